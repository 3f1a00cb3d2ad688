"""docs/openapi.json: the HTTP API, out of the route table, the models and the errors."""

import importlib
import inspect
import pkgutil
import sys
from collections.abc import Iterable, Iterator
from dataclasses import fields
from http import HTTPStatus
from itertools import groupby
from typing import Any, get_args, get_origin, get_type_hints

from pydantic import BaseModel, Field, TypeAdapter, create_model

import functions
from local import examples, schemas
from local.schemas import Schema
from shared import api, errors, models
from shared.api.problems import problem, status_of
from shared.errors import ServiceError

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


Error = type[ServiceError]


class BadGateway(errors.BadGateway):
    """The function gave no answer that can be passed on."""


class GatewayTimeout(errors.NoAnswer):
    """The function did not answer in time."""


class Fault(BaseModel):
    """A field that is wrong."""

    field: str
    message: str


_FIELD_TYPES: dict[str, Any] = {"errors": list[Fault], "place": models.Place | None}
"""Fields of errors whose Python type says less than is known."""


def document() -> Schema:
    """The OpenAPI document of all functions' routes."""
    routes = _routes()
    problems = {error for route in routes for error in errors_of(route)} | {errors.RouteNotFound}
    common = problems - {error for route in routes for error in route.raises}
    inputs = [entry for route in routes for entry in _models(route)]
    inputs += [(e.code(), "serialization", TypeAdapter(_problem_model(e))) for e in problems]
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
                name: schemas.in_openapi(definitions[name]) for name in sorted(definitions)
            },
            "responses": {e.__name__: _problems([e]) for e in sorted(common, key=_order)},
            "parameters": {"Idempotency-Key": _IDEMPOTENCY_KEY},
            "headers": _HEADERS,
            "securitySchemes": {"api_key": _API_KEY},
        },
    }


def errors_of(route: api.Route) -> list[Error]:
    """Every error that a route can answer with, the gateway's included, by status and code."""
    found: set[Error] = {errors.InvalidRequest, errors.Internal, BadGateway, GatewayTimeout}
    found |= set(route.raises)
    if route.scope is not None:
        found |= {errors.Unauthenticated, errors.Forbidden, errors.DatabaseUnavailable}
    if route.method in ("POST", "PATCH"):
        found.add(errors.RequestTooLarge)
    if route.method == "POST":
        found |= {errors.RequestInProgress, errors.IdempotencyKeyReused}
    return sorted(found, key=_order)


# --- What the code says -----------------------------------------------------------------------


def _routes() -> list[api.Route]:
    for function in pkgutil.iter_modules(functions.__path__):
        importlib.import_module(f"functions.{function.name}.main")
    return sorted(api.routes(), key=lambda route: (route.path, _METHODS.index(route.method)))


def _function(route: api.Route) -> str:
    return route.module.split(".")[1]


def _tags(routes: Iterable[api.Route]) -> list[Schema]:
    modules = {_function(route): sys.modules[route.module] for route in routes}
    return [{"name": name, "description": modules[name].__doc__} for name in sorted(modules)]


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


def _order(error: Error) -> tuple[int, str]:
    return status_of(error), error.code()


def _own_fields(error: Error) -> list[str]:
    return [field.name for field in fields(error) if field.name != "detail"]


def _problem_model(error: Error) -> type[BaseModel]:
    """What `shared.api.problems.problem` makes of an error."""
    hints = get_type_hints(error)
    given: dict[str, Any] = {
        "type": _fixed(f"urn:scooter-accumulator:{error.code()}"),
        "title": _fixed(error.title()),
        "status": _fixed(status_of(error)),
        "detail": (str, ...),
        "code": _fixed(error.code()),
        "request_id": (str, ...),
        **{name: (_FIELD_TYPES.get(name, hints[name]), ...) for name in _own_fields(error)},
    }
    model: type[BaseModel] = create_model(error.__name__, __doc__=error.title(), **given)
    return model


def _fixed(value: str | int) -> tuple[type, Any]:
    return type(value), Field(json_schema_extra={"enum": [value]})


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
        bodies = examples.REQUESTS.get(name, {})
        content = _content(by_name[f"{name} request"], bodies)
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
    kind, statuses = _answer_type(route)
    replayed = ["Idempotency-Replayed"] if route.method == "POST" else []
    found: Schema = {}
    for status in statuses:
        found[str(status)] = {"description": "Done.", "headers": _headers(*replayed)}
        if answer:
            key = route.operation_id if status == route.status else f"{route.operation_id} {status}"
            found[str(status)]["description"] = inspect.getdoc(kind)
            found[str(status)]["content"] = {
                "application/json": _content(answer, examples.ANSWERS.get(key, {}))
            }
    for status, group in groupby(errors_of(route), status_of):
        possible = list(group)
        own = set(possible) & set(route.raises)
        if own or len(possible) > 1:
            stored = own and status < HTTPStatus.INTERNAL_SERVER_ERROR
            found[str(status)] = _problems(possible, *(replayed if stored else []))
        else:
            found[str(status)] = {"$ref": f"#/components/responses/{possible[0].__name__}"}
    return dict(sorted(found.items()))


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
            "application/problem+json": _content(schema, {e.code(): _example(e) for e in possible})
        },
    }


def _headers(*names: str) -> Schema:
    return {name: {"$ref": f"#/components/headers/{name}"} for name in ("X-Request-Id", *names)}


def _example(error: Error) -> Schema:
    own = {name: examples.ERROR_FIELDS[name] for name in _own_fields(error)}
    return problem(error(**own), examples.REQUEST_ID)


def _content(schema: Schema, bodies: Schema) -> Schema:
    """A schema with its one example, or its named examples."""
    content = {"schema": schemas.in_openapi(schema)}
    match list(bodies.items()):
        case []:
            return content
        case [(_, body)]:
            return {**content, "example": body}
    return {**content, "examples": {name: {"value": body} for name, body in bodies.items()}}
