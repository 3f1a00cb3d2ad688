"""The OpenAPI document that the code generates."""

from typing import Any

from openapi_schema_validator import OAS30Validator, oas30_format_checker

from local import openapi
from shared import api

DOCUMENT: dict[str, Any] = openapi.document()
ROUTES = sorted(
    (route for route in api.routes() if route.module.startswith("functions.")),
    key=lambda route: route.operation_id,
)


def resolve(node: dict[str, Any]) -> dict[str, Any]:
    while "$ref" in node:
        steps = node["$ref"].removeprefix("#/").split("/")
        node = DOCUMENT
        for step in steps:
            node = node[step]
    return node


def operation(route: api.Route) -> dict[str, Any]:
    found: dict[str, Any] = DOCUMENT["paths"][route.path][route.method.lower()]
    return found


def faults(schema: dict[str, Any], value: Any) -> list[str]:
    whole = {"allOf": [schema], "components": DOCUMENT["components"]}
    validator = OAS30Validator(whole, format_checker=oas30_format_checker)
    return [f"{fault.json_path}: {fault.message}" for fault in validator.iter_errors(value)]
