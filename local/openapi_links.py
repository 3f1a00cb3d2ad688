"""Links of the OpenAPI document, from the response of a POST to the routes that take its ids."""

from collections.abc import Collection
from typing import Any
from uuid import UUID

from local.schemas import Schema
from shared import api


def links_from(route: api.Route, answer: Any, routes: Collection[api.Route]) -> Schema:
    """Return references to the routes that take an id which this route's response always has."""
    fields = getattr(answer, "model_fields", {}) if route.method == "POST" else {}
    ids = {name for name, field in fields.items() if field.annotation in (str, UUID)}
    return {
        target.operation_id: {"$ref": f"#/components/links/{target.operation_id}"}
        for target in routes
        if _id_of(target) in ids
    }


def links_to(routes: Collection[api.Route]) -> Schema:
    """Return a link to each route that takes an id; field and parameter have the same name.

    No POST makes an anomaly, so nothing links to the routes that take its id.
    """
    return {
        route.operation_id: {
            "operationId": route.operation_id,
            "parameters": {_id_of(route): f"$response.body#/{_id_of(route)}"},
        }
        for route in routes
        if _id_of(route) not in {None, "anomaly_id"}
    }


def _id_of(route: api.Route) -> str | None:
    """Return the path's parameter if it has exactly one."""
    names = [*route.path_parameters.model_fields]
    return names[0] if len(names) == 1 else None
