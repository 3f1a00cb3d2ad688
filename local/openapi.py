"""Generates docs/openapi.json from the routes, the models and the errors."""

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
from local import event_examples, examples, openapi_limits, schemas
from local.openapi_errors import Error, errors_of, example_of, model_of, order_of
from local.openapi_links import links_from, links_to
from local.schemas import Schema
from shared import api, errors
from shared.api.problems import status_of
from shared.models.commands import Command
from shared.protocols import codecs

_ABOUT = """\
Tracks where the accumulators of battery cabinets are and who has them, and opens their cells.

**Keys.** `Authorization: Bearer <key>`. A key has one of the scopes `read`, `backend` and \
`operator`; each includes the ones before it.

**Errors** are RFC 9457 problems, each with a `code`. Errors of the gateway itself (401, 403, \
404, 413, 429, 502, 504) may have the platform's own format.

**Limits.** 429 `rate_limited` says with `Retry-After` how long to wait. Each key may spend so \
many units per second on lists, reports and imports (`x-cost`), whatever other keys spend; the \
gateway has ceilings for them, which all callers share. Bookings, unlocks, swaps, transfers and \
single resources have none of these limits.

**Methods.** `HEAD` returns the same as `GET`, without a body. A method that the path does not \
have gets 405 `method_not_allowed`, and `Allow` lists those that it has. A path that does not \
exist gets 404 `route_not_found`.

**Retries.** A POST with an `Idempotency-Key` is executed once: for 24 hours the same key with the \
same request returns the stored response. Responses of 500 and above are not stored.

**Times** are RFC 3339 in UTC, **charges** whole percent; null is unknown.
"""
_METHODS = ("GET", "POST", "PATCH", "DELETE")
_IDEMPOTENCY_KEY = {
    "name": "Idempotency-Key",
    "in": "header",
    "description": "Makes a retry safe: for 24 hours the same key returns the same response. "
    "Use a new one, such as a UUID, for each request.",
    "schema": {"type": "string", "pattern": "^[!-~]{1,128}$"},
}
_PREFER = {
    "name": "Prefer",
    "in": "header",
    "description": "RFC 7240. `respond-async`: 202 with the command as soon as it is published. "
    "`wait=N`: 202 if its outcome is not known after N seconds. Other preferences are ignored.",
    "schema": {"type": "string"},
    "example": "respond-async",
}
_IF_NONE_MATCH = {
    "name": "If-None-Match",
    "in": "header",
    "description": "The `ETag` of a response that the client has: 304 if it has not changed.",
    "schema": {"type": "string"},
    "example": 'W/"9f86d081884c7d659a2feaa0c55ad015"',
}
_HEADERS: Schema = {
    "X-Request-Id": {
        "description": "Identifies the request in the log.",
        "required": True,
        "schema": {"type": "string"},
    },
    "Idempotency-Replayed": {
        "description": "The response is the stored one of the first request with this key.",
        "schema": {"type": "boolean"},
    },
    "Retry-After": {"description": "Seconds.", "schema": {"type": "integer"}},
    "Location": {
        "description": "Where the command's outcome will be.",
        "required": True,
        "schema": {"type": "string", "format": "uri-reference"},
    },
    "ETag": {
        "description": "Changes with the response, but not with its `at`.",
        "required": True,
        "schema": {"type": "string"},
    },
    "Preference-Applied": {
        "description": "The preferences that the response follows.",
        "schema": {"type": "string"},
    },
}
CONTACT = {"name": "The scooter-accumulator authors"}
LICENSE = {"name": "MIT", "url": "https://spdx.org/licenses/MIT.html"}
_SERVER = {
    "url": "http://127.0.0.1:8080",
    "description": "The local cloud (`make run`). Deployed: Terraform's output `api_url`.",
}
_API_KEY = {
    "type": "http",
    "scheme": "bearer",
    "description": "The API key. Its scope, read, backend or operator, determines what it may do.",
    "x-yc-apigateway-authorizer": {
        "type": "function",
        "function_id": "${function_ids.authorizer}",
        "service_account_id": "${service_account_id}",
        "authorizer_result_ttl_in_seconds": 60,
        # Only the key decides, so a result serves all paths of a route: a caller who is known needs
        # no call of the authorizer for the next unlock, however many wrong keys keep it busy.
        "authorizer_result_caching_mode": "path",
    },
}


def document() -> Schema:
    """Return the OpenAPI document of all functions' routes."""
    routes = _routes()
    problems = {error for route in routes for error in errors_of(route)}
    inputs = [model for route in routes for model in _models(route)]
    inputs += [(e.code(), "serialization", TypeAdapter(model_of(e))) for e in problems]
    by_name, definitions = schemas.of_models(inputs, "#/components/schemas/{model}")
    # Models do not know the protocols; the service checks these fields.
    for protocol in (
        definitions["CabinetRequest"]["properties"]["protocol"],
        definitions["CabinetChange"]["properties"]["protocol"]["anyOf"][0],
    ):
        protocol["enum"] = sorted(codecs())
    paths: Schema = {}
    for route in routes:
        paths.setdefault(route.path, {})[route.method.lower()] = _operation(route, by_name)
    for path, item in paths.items():
        item["x-yc-apigateway-any-method"] = _any_method([r for r in routes if r.path == path])
    return {
        "openapi": "3.0.3",
        "info": {
            "title": "scooter-accumulator",
            "version": "1.0",
            "description": _ABOUT,
            "contact": CONTACT,
            "license": LICENSE,
        },
        "servers": [_SERVER],
        "tags": _tags(routes),
        "paths": paths,
        "components": {
            "schemas": {
                name: schemas.in_openapi(schema) for name, schema in sorted(definitions.items())
            },
            "responses": {error.__name__: _problems([error]) for error in _common(routes)},
            "parameters": {one["name"]: one for one in (_IDEMPOTENCY_KEY, _IF_NONE_MATCH, _PREFER)},
            "headers": _HEADERS,
            **openapi_limits.components(),
            "links": links_to(routes),
            "securitySchemes": {"api_key": _API_KEY},
        },
    }


# --- From the code ----------------------------------------------------------------------------


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
    """Return the errors that a route can raise without declaring them."""
    found = {e for route in routes for e in errors_of(route) if e not in route.raises}
    return sorted(found, key=order_of)


def _response_type(route: api.Route) -> tuple[Any, list[int]]:
    """Return a route's response model, and its statuses."""
    response = route.hints["return"]
    if get_origin(response) is tuple:
        return get_args(response)[0], [200, 503]
    if route.takes_preferences:
        [response] = [one for one in get_args(response) if one is not api.Accepted]
    return response, [route.status]


def _models(route: api.Route) -> Iterator[schemas.Input]:
    if route.body is not None:
        yield f"{route.operation_id} request", "validation", route.body
    response, _ = _response_type(route)
    if response is not type(None):
        yield f"{route.operation_id} response", "serialization", TypeAdapter(response)
    if route.takes_preferences:
        yield f"{route.operation_id} accepted", "serialization", TypeAdapter(Command)


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
    operation["responses"] = _responses(route, by_name)
    operation["security"] = [{"api_key": []}] if route.scope else []
    if route.cost:
        operation["x-cost"] = route.cost
    operation |= openapi_limits.of_route(route)
    operation["x-yc-apigateway-integration"] = _integration(route)
    return operation


def _any_method(routes: list[api.Route]) -> Schema:
    """Return the operation for HEAD and for the methods that a path does not have."""
    first = routes[0]
    allowed = ", ".join(sorted(api.by_method(routes)))
    return {
        "parameters": [one for one in _parameters(first) if one.get("in") == "path"],
        "responses": {"405": {"description": f"`method_not_allowed`. Allow: {allowed}."}},
        "security": [{"api_key": []}] if first.scope else [],
        **openapi_limits.of_route(api.by_method(routes).get("HEAD")),
        "x-yc-apigateway-integration": _integration(first),
    }


def _integration(route: api.Route) -> Schema:
    return {
        "type": "cloud_functions",
        "function_id": f"${{function_ids.{_function(route)}}}",
        "tag": "$latest",
        "payload_format_version": "1.0",
        "service_account_id": "${service_account_id}",
    }


def _parameters(route: api.Route) -> Iterator[Schema]:
    for where, model in (("path", route.path_parameters), ("query", route.query)):
        described = model.model_json_schema(schema_generator=schemas.Generator)
        for name, described_as in described.get("properties", {}).items():
            schema = schemas.in_openapi(schemas.without_null(described_as))
            required = name in described.get("required", [])
            separate = {key: schema.pop(key) for key in ("description", "example") if key in schema}
            yield {"name": name, "in": where, "required": required, **separate, "schema": schema}
    if route.method == "POST":
        yield {"$ref": "#/components/parameters/Idempotency-Key"}
    if route.etag:
        yield {"$ref": "#/components/parameters/If-None-Match"}
    if route.takes_preferences:
        yield {"$ref": "#/components/parameters/Prefer"}


def _responses(route: api.Route, by_name: Schema) -> Schema:
    response = by_name.get(f"{route.operation_id} response")
    found = {**_failures(route), **_successes(route, response)}
    if route.etag:
        found[HTTPStatus.NOT_MODIFIED] = {
            "description": "The response has not changed since the client's.",
            "headers": _headers("ETag"),
        }
    if route.takes_preferences:
        found[HTTPStatus.ACCEPTED] = _accepted(route, by_name[f"{route.operation_id} accepted"])
    return {str(int(status)): found[status] for status in sorted(found)}


def _accepted(route: api.Route, command: Schema) -> Schema:
    example = _response_example(f"{route.operation_id} 202")
    return {
        "description": inspect.getdoc(api.Accepted),
        "headers": _headers("Location", "Preference-Applied", *_replayed(route)),
        "content": {"application/json": _content(command, example)},
        "links": links_from(route, Command, _routes()),
    }


def _successes(route: api.Route, response: Schema | None) -> dict[int, Schema]:
    kind, statuses = _response_type(route)
    headers = _headers(*_replayed(route), *(["ETag"] if route.etag else []))
    if response is None:
        return {status: {"description": "Done.", "headers": headers} for status in statuses}
    links = links_from(route, kind, _routes())
    return {
        status: {
            "description": inspect.getdoc(kind),
            "headers": headers,
            "content": {
                "application/json": _content(
                    response, _response_example(f"{route.operation_id} {status}")
                )
            },
            **({"links": links} if links else {}),
        }
        for status in statuses
    }


def _failures(route: api.Route) -> dict[int, Schema]:
    found: dict[int, Schema] = {}
    for status, group in groupby(errors_of(route), status_of):
        possible = list(group)
        is_declared = any(error in route.raises for error in possible)
        is_stored = is_declared and status < HTTPStatus.INTERNAL_SERVER_ERROR
        if is_declared or len(possible) > 1:
            found[status] = _problems(possible, *(_replayed(route) if is_stored else ()))
        else:
            found[status] = {"$ref": f"#/components/responses/{possible[0].__name__}"}
    return found


def _response_example(name: str) -> Schema:
    if name == "list_events 200":
        return event_examples.pages()
    return {name: examples.RESPONSES[name]} if name in examples.RESPONSES else {}


def _replayed(route: api.Route) -> tuple[str, ...]:
    return ("Idempotency-Replayed",) if route.method == "POST" else ()


def _problems(possible: list[Error], *headers: str) -> Schema:
    """Return the response for errors that share a status."""
    schemas_of = {error.code(): f"#/components/schemas/{error.__name__}" for error in possible}
    one_of = [{"$ref": reference} for reference in schemas_of.values()]
    schema = (
        one_of[0]
        if len(one_of) == 1
        else {"oneOf": one_of, "discriminator": {"propertyName": "code", "mapping": schemas_of}}
    )
    waits = (errors.Unavailable, errors.TooManyRequests)
    retry = ["Retry-After"] if any(issubclass(e, waits) for e in possible) else []
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
    """Return a schema with its example or named examples."""
    content = {"schema": schemas.in_openapi(schema)}
    if len(bodies) == 1:
        return {**content, "example": next(iter(bodies.values()))}
    if bodies:
        content["examples"] = {name: {"value": body} for name, body in bodies.items()}
    return content
