"""Links of the OpenAPI document: from what a POST answers with to the routes that take its ids."""

from collections.abc import Collection
from typing import Any
from uuid import UUID

from local.schemas import Schema
from shared import api


def links_from(route: api.Route, answer: Any, routes: Collection[api.Route]) -> Schema:
    """References to the routes whose path needs nothing but ids that the answer surely has."""
    fields = getattr(answer, "model_fields", {}) if route.method == "POST" else {}
    ids = {name for name, field in fields.items() if field.annotation in (str, UUID)}
    return {
        target.operation_id: {"$ref": f"#/components/links/{target.operation_id}"}
        for target in routes
        if _taken_by(target) and _taken_by(target) <= ids
    }


def links_to(routes: Collection[api.Route]) -> Schema:
    """One link to each route that takes ids; a parameter and the answer's field are namesakes."""
    return {
        route.operation_id: {
            "operationId": route.operation_id,
            "parameters": {name: f"$response.body#/{name}" for name in sorted(_taken_by(route))},
        }
        for route in routes
        if _taken_by(route)
    }


def _taken_by(route: api.Route) -> set[str]:
    return set(route.path_parameters.model_fields)
