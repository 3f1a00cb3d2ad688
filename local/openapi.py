"""docs/openapi.json: the HTTP API, out of the route table, the models and the errors."""

import importlib
import inspect
import pkgutil
import sys
from collections.abc import Iterable, Iterator
from http import HTTPStatus
from itertools import groupby
from typing import Any, get_args, get_origin

from pydantic import TypeAdapter

import functions
from local import examples, schemas
from local.openapi_errors import Error, errors_of, example_of, model_of, order_of
from local.openapi_links import links_from, links_to
from local.schemas import Schema
from shared import api, errors
from shared.api.problems import status_of

_ABOUT = """\
Where the accumulators of the battery cabinets are, who holds them, and the opening of their cells.

**Keys.** `Authorization: Bearer <key>`. A key has one of the scopes `read`, `backend` and \
`operator`; each may do what those before it may.

**Errors** are RFC 9457 problems; `code` tells them apart. What the gateway answers by itself \
(401, 403, 404, 413, 502, 504) may come in the platform's own shape instead.

**Asking again.** A POST with an `Idempotency-Key` is done once: for 24 hours the same key with \
the same request gives the stored answer. Answers of 500 and above are not stored.

**Times** are RFC 3339 in UTC, **charges** whole percent; null is unknown.
"""
_METHODS = ("GET", "POST", "PATCH", "DELETE")
_IDEMPOTENCY_KEY = {
    "name": "Idempotency-Key",
    "in": "header",
    "description": "Makes it safe to ask again: the same key gives the same answer for 24 hours.",
    "schema": {"type": "string", "pattern": "^[!-~]{1,128}$"},
    "example": "T-7-2026-11-22-0001",
}
_HEADERS: Schema = {
    "X-Request-Id": {
        "description": "Finds the request in the log.",
        "required": True,
        "schema": {"type": "string"},
    },
    "Idempotency-Replayed": {
        "description": "The answer is the stored one of the first request with this key.",
        "schema": {"type": "boolean"},
    },
    "Retry-After": {"description": "Seconds.", "schema": {"type": "integer"}},
}
_API_KEY = {
    "type": "http",
    "scheme": "bearer",
    "description": "The API key. What it may do is its scope: read, backend or operator.",
    "x-yc-apigateway-authorizer": {
        "type": "function",
        "function_id": "${function_ids.authorizer}",
        "service_account_id": "${service_account_id}",
        "authorizer_result_ttl_in_seconds": 60,
        # The key alone decides, but a result must never serve another path should that change.
        "authorizer_result_caching_mode": "uri",
    },
}


def document() -> Schema:
    """The OpenAPI document of all functions' routes."""
    routes = _routes()
    problems = {error for route in routes for error in errors_of(route)} | {errors.RouteNotFound}
    inputs = [model for route in routes for model in _models(route)]
    inputs += [(e.code(), "serialization", TypeAdapter(model_of(e))) for e in problems]
    by_name, definitions = schemas.of_models(inputs, "#/components/schemas/{model}")
    paths: Schema = {}
    for route in routes:
        paths.setdefault(route.path, {})[route.method.lower()] = _operation(route, by_name)
    return {
        "openapi": "3.0.3",
        "info": {"title": "scooter-accumulator", "version": "1.0", "description": _ABOUT},
        "tags": _tags(routes),
        "paths": paths,
        "components": {
            "schemas": {
                name: schemas.in_openapi(schema) for name, schema in sorted(definitions.items())
            },
            "responses": {error.__name__: _problems([error]) for error in _common(routes)},
            "parameters": {"Idempotency-Key": _IDEMPOTENCY_KEY},
            "headers": _HEADERS,
            "links": links_to(routes),
            "securitySchemes": {"api_key": _API_KEY},
        },
    }


# --- What the code says -----------------------------------------------------------------------


def _routes() -> list[api.Route]:
    for function in pkgutil.iter_modules(functions.__path__):
        importlib.import_module(f"functions.{function.name}.main")
    own = [route for route in api.routes() if route.module.startswith("functions.")]
    return sorted(own, key=lambda route: (route.path, _METHODS.index(route.method)))


def _function(route: api.Route) -> str:
    return route.module.split(".")[1]


def _tags(routes: Iterable[api.Route]) -> list[Schema]:
    modules = {_function(route): sys.modules[route.module] for route in routes}
    return [{"name": name, "description": modules[name].__doc__} for name in sorted(modules)]


def _common(routes: Iterable[api.Route]) -> list[Error]:
    """The errors that routes have without saying so."""
    found = {e for route in routes for e in errors_of(route) if e not in route.raises}
    return sorted(found | {errors.RouteNotFound}, key=order_of)


def _answer_type(route: api.Route) -> tuple[Any, list[int]]:
    """What a route answers with, and under which statuses."""
    answer = route.hints["return"]
    if get_origin(answer) is tuple:
        return get_args(answer)[0], [200, 503]
    return answer, [route.status]


def _models(route: api.Route) -> Iterator[schemas.Input]:
    if route.body is not None:
        yield f"{route.operation_id} request", "validation", route.body
    answer, _ = _answer_type(route)
    if answer is not type(None):
        yield f"{route.operation_id} answer", "serialization", TypeAdapter(answer)


# --- Operations -------------------------------------------------------------------------------


def _operation(route: api.Route, by_name: Schema) -> Schema:
    name = route.operation_id
    details = (inspect.getdoc(route.endpoint) or "").partition("\n")[2].strip()
    scope = f"Scope: `{route.scope}`." if route.scope else "Needs no key."
    operation: Schema = {
        "operationId": name,
        "tags": [_function(route)],
        "summary": route.summary,
        "description": "\n\n".join(filter(None, [details, scope])),
        "parameters": [*_parameters(route)],
    }
    if route.body is not None:
        content = _content(by_name[f"{name} request"], examples.REQUESTS.get(name, {}))
        operation["requestBody"] = {"required": True, "content": {"application/json": content}}
    operation["responses"] = _responses(route, by_name.get(f"{name} answer"))
    if route.scope is not None:
        operation["security"] = [{"api_key": []}]
    operation["x-yc-apigateway-integration"] = {
        "type": "cloud_functions",
        "function_id": f"${{function_ids.{_function(route)}}}",
        "tag": "$latest",
        "payload_format_version": "1.0",
        "service_account_id": "${service_account_id}",
    }
    return operation


def _parameters(route: api.Route) -> Iterator[Schema]:
    for where, model in (("path", route.path_parameters), ("query", route.query)):
        described = model.model_json_schema(schema_generator=schemas.Generator)
        for name, described_as in described.get("properties", {}).items():
            schema = schemas.in_openapi(schemas.without_null(described_as))
            required = name in described.get("required", [])
            apart = {key: schema.pop(key) for key in ("description", "example") if key in schema}
            yield {"name": name, "in": where, "required": required, **apart, "schema": schema}
    if route.method == "POST":
        yield {"$ref": "#/components/parameters/Idempotency-Key"}


def _responses(route: api.Route, answer: Schema | None) -> Schema:
    found = {**_successes(route, answer), **_failures(route)}
    return {str(status): found[status] for status in sorted(found)}


def _successes(route: api.Route, answer: Schema | None) -> dict[int, Schema]:
    kind, statuses = _answer_type(route)
    headers = _headers(*_replayed(route))
    if answer is None:
        return {status: {"description": "Done.", "headers": headers} for status in statuses}
    links = links_from(route, kind, _routes())
    return {
        status: {
            "description": inspect.getdoc(kind),
            "headers": headers,
            "content": {
                "application/json": _content(answer, _told(f"{route.operation_id} {status}"))
            },
            **({"links": links} if links else {}),
        }
        for status in statuses
    }


def _failures(route: api.Route) -> dict[int, Schema]:
    found: dict[int, Schema] = {}
    for status, group in groupby(errors_of(route), status_of):
        possible = list(group)
        own = any(error in route.raises for error in possible)
        stored = own and status < HTTPStatus.INTERNAL_SERVER_ERROR
        if own or len(possible) > 1:
            found[status] = _problems(possible, *(_replayed(route) if stored else ()))
        else:
            found[status] = {"$ref": f"#/components/responses/{possible[0].__name__}"}
    return found


def _told(answer: str) -> Schema:
    return {answer: examples.ANSWERS[answer]} if answer in examples.ANSWERS else {}


def _replayed(route: api.Route) -> tuple[str, ...]:
    return ("Idempotency-Replayed",) if route.method == "POST" else ()


def _problems(possible: list[Error], *headers: str) -> Schema:
    """The answer with one of several errors of the same status."""
    schemas_of = {error.code(): f"#/components/schemas/{error.__name__}" for error in possible}
    one_of = [{"$ref": reference} for reference in schemas_of.values()]
    schema = (
        one_of[0]
        if len(one_of) == 1
        else {"oneOf": one_of, "discriminator": {"propertyName": "code", "mapping": schemas_of}}
    )
    retry = ["Retry-After"] if any(issubclass(e, errors.Unavailable) for e in possible) else []
    return {
        "description": "\n\n".join(f"`{error.code()}`: {error.title()}" for error in possible),
        "headers": _headers(*headers, *retry),
        "content": {
            "application/problem+json": _content(
                schema, {e.code(): example_of(e) for e in possible}
            )
        },
    }


def _headers(*names: str) -> Schema:
    return {name: {"$ref": f"#/components/headers/{name}"} for name in ("X-Request-Id", *names)}


def _content(schema: Schema, bodies: Schema) -> Schema:
    """A schema with its one example, or its named examples."""
    content = {"schema": schemas.in_openapi(schema)}
    if len(bodies) == 1:
        return {**content, "example": next(iter(bodies.values()))}
    if bodies:
        content["examples"] = {name: {"value": body} for name, body in bodies.items()}
    return content
