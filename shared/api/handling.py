"""Handle the gateway's events: request to endpoint to response, in payload format 1.0."""

import base64
import binascii
import codecs
import hashlib
import json
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Any

from pydantic import BaseModel, TypeAdapter, ValidationError
from pydantic_core import from_json, to_json

from shared import config, db, log
from shared.api.etag import NOT_MODIFIED, etag_of, is_known
from shared.api.prefer import Accepted, preferences_of
from shared.api.problems import problem, status_of
from shared.api.routes import Route, by_method, routes_of
from shared.callers import Caller, caller_of
from shared.errors import (
    CabinetRejected,
    Internal,
    InvalidRequest,
    MethodNotAllowed,
    QueueUnavailable,
    RateLimited,
    RequestTooLarge,
    RouteNotFound,
    ServiceError,
    Unavailable,
)
from shared.models.base import field_errors
from shared.services import allowance, idempotency
from shared.services.idempotency import Key, StoredResponse

Event = dict[str, Any]
MAX_BODY_BYTES = 2_621_440
ACCEPTED = 202
_KEY = re.compile(r"[!-~]{1,128}")


@dataclass(frozen=True)
class Response:
    """An HTTP response."""

    status: int
    body: str
    headers: Mapping[str, str]


def handler_of(module: str) -> Callable[[Event, Any], Event]:
    """Return the cloud function that serves the routes which `module` declares."""

    def handler(event: Event, context: Any) -> Event:
        request_id = (event.get("requestContext") or {}).get("requestId") or context.request_id
        response = _handle(module, event, context, request_id)
        method = event.get("httpMethod")
        if method not in {"GET", "HEAD"} and response.status < 400:  # noqa: PLR2004 - no error
            log.info("request handled", path=event.get("path"), status=response.status)
        headers = {"X-Request-Id": request_id, **response.headers}
        if response.status == ACCEPTED and (applied := str(preferences_of(event))):
            headers["Preference-Applied"] = applied
        body = "" if method == "HEAD" else response.body
        return {"statusCode": response.status, "headers": headers, "body": body}

    return handler


def _handle(module: str, event: Event, context: Any, request_id: str) -> Response:
    try:
        operation = event.get("operationId")
        log.begin(config.settings().log_level, request_id=request_id, operation=operation)
        db.attribute_to(None)
        return _call(_find(module, event), event, context, request_id)
    except ServiceError as error:
        return _problem(error, request_id)
    except Exception:  # noqa: BLE001 - the platform would show the stack trace to the caller
        return _failure(request_id)


def _find(module: str, event: Event) -> Route:
    path = event.get("resource")
    found = by_method(route for route in routes_of(module) if route.path == path)
    if not found:
        raise RouteNotFound
    method = str(event.get("httpMethod"))
    if method not in found:
        raise MethodNotAllowed(allow=sorted(found))
    return found[method]


def _call(route: Route, event: Event, context: Any, request_id: str) -> Response:
    caller = None
    if route.scope is not None:
        caller = caller_of(event)
        caller.require(route.scope)
        log.bind(caller=caller.name)
        db.attribute_to(caller.name, requested_by=caller.name)
    arguments = _arguments(route, event)
    _spend(route, caller)
    key = _idempotency_key(route, event, caller)
    if key is None or caller is None:
        response = _run(route, arguments, caller)
        return _unless_known(event, response)
    with db.transaction() as tx:
        claim = idempotency.begin(
            tx,
            key,
            seconds=context.get_remaining_time_in_millis() / 1000,
            keep_hours=config.settings().idempotency_keep_hours,
        )
    if isinstance(claim, StoredResponse):
        return _replay(claim)
    undone = False
    try:
        response = _run(route, arguments, replace(caller, new_id=claim))
    except ServiceError as error:
        response = _problem(error, request_id)
        undone = isinstance(error, QueueUnavailable | CabinetRejected)
    except Exception:  # noqa: BLE001 - the key must be released whatever happened
        response = _failure(request_id)
    with db.transaction() as tx:
        if route.shows_secret and response.status < 400:  # noqa: PLR2004 - no error
            idempotency.release(tx, key)
        else:
            stored = StoredResponse(response.status, response.body)
            idempotency.finish(tx, key, stored, undone=undone)
    return response


def _spend(route: Route, caller: Caller | None) -> None:
    """Take the route's cost from the allowance of the caller's key. Raises RateLimited."""
    if caller is not None and route.cost:
        with db.statements() as tx:
            allowance.spend(tx, caller.name, route.cost, config.settings())


def _run(route: Route, arguments: dict[str, Any], caller: Caller | None) -> Response:
    if route.takes_caller:
        arguments["caller"] = caller
    result = route.endpoint(**arguments)
    if result is None:
        return Response(route.status, "", {})
    if isinstance(result, Accepted):
        body = result.command.model_dump_json(by_alias=True)
        return Response(ACCEPTED, body, _headers(ACCEPTED) | _location(body))
    model, status = result if isinstance(result, tuple) else (result, route.status)
    # The 503 of the health check is a normal response, not a problem.
    headers = _headers(200) | ({"ETag": etag_of(model)} if route.etag else {})
    return Response(status, model.model_dump_json(by_alias=True), headers)


def _unless_known(event: Event, response: Response) -> Response:
    """Return 304 if the client has the response already; only some routes' have an ETag."""
    etag = response.headers.get("ETag")
    if etag is None or not is_known(event, etag):
        return response
    return Response(NOT_MODIFIED, "", {"ETag": etag})


def _replay(stored: StoredResponse) -> Response:
    headers = _headers(stored.status, replayed=True)
    if stored.status == ACCEPTED:
        headers |= _location(stored.body)
    return Response(stored.status, stored.body, headers)


def _location(command: str) -> dict[str, str]:
    """Return the header that says where the outcome of a command will be."""
    return {"Location": f"/v1/commands/{json.loads(command)['command_id']}"}


def _problem(error: ServiceError, request_id: str) -> Response:
    status = status_of(type(error))
    log.info("request refused", code=error.code(), detail=error.detail, **error.extra())
    headers = _headers(status)
    if isinstance(error, Unavailable):
        headers["Retry-After"] = "1"
    if isinstance(error, RateLimited):
        headers["Retry-After"] = str(error.retry_after_s)
    if isinstance(error, MethodNotAllowed):
        headers["Allow"] = ", ".join(error.allow)
    return Response(status, json.dumps(problem(error, request_id), default=str), headers)


def _failure(request_id: str) -> Response:
    """Log the exception that is being handled; the response does not describe it."""
    log.error("request failed")
    return _problem(Internal(), request_id)


def _headers(status: int, *, replayed: bool = False) -> dict[str, str]:
    kind = "application/json" if status < 400 else "application/problem+json"  # noqa: PLR2004 - no error
    return {"Content-Type": kind} | ({"Idempotency-Replayed": "true"} if replayed else {})


def _arguments(route: Route, event: Event) -> dict[str, Any]:
    """Return the endpoint's arguments. Raises InvalidRequest, which names each invalid field."""
    path = _validated(route.path_parameters, event.get("pathParameters") or {})
    arguments = {name: getattr(path, name) for name in route.path_parameters.model_fields}
    query = _validated(route.query, _query(event))
    if "query" in route.hints:
        arguments["query"] = query
    if route.takes_preferences:
        arguments["prefer"] = preferences_of(event)
    if route.body is not None:
        arguments["request"] = _body(route.body, _raw_body(event))
    return arguments


def _query(event: Event) -> dict[str, Any]:
    values = dict(event.get("queryStringParameters") or {})
    for name, repeated in (event.get("multiValueQueryStringParameters") or {}).items():
        if len(repeated) > 1:
            message = "must be given once"
            raise InvalidRequest(errors=[{"field": name, "message": message}])
    return values


def _validated(model: type[BaseModel], values: Mapping[str, Any]) -> BaseModel:
    try:
        return model.model_validate(values)
    except ValidationError as error:
        raise InvalidRequest(errors=field_errors(error)) from None


def _body(adapter: TypeAdapter[Any], raw: bytes) -> Any:
    try:
        parsed = from_json(raw.removeprefix(codecs.BOM_UTF8))
    except ValueError as error:
        message = f"Invalid JSON: {error}"
        raise InvalidRequest(errors=[{"field": "body", "message": message}]) from None
    try:
        return adapter.validate_json(to_json(_with_integers(parsed)), strict=True)
    except ValidationError as error:
        raise InvalidRequest(errors=field_errors(error)) from None


def _with_integers(value: Any) -> Any:
    """Return parsed JSON with 1.0 and 9e1 as integers, which JSON Schema says they are."""
    if isinstance(value, float) and value.is_integer():
        return int(value)
    if isinstance(value, dict):
        return {name: _with_integers(inner) for name, inner in value.items()}
    if isinstance(value, list):
        return [_with_integers(inner) for inner in value]
    return value


def _raw_body(event: Event) -> bytes:
    body = event.get("body") or ""
    try:
        raw = (
            base64.b64decode(body, validate=True) if event.get("isBase64Encoded") else body.encode()
        )
    except (binascii.Error, ValueError):
        raise InvalidRequest(
            errors=[{"field": "body", "message": "must be valid base64"}]
        ) from None
    if len(raw) > MAX_BODY_BYTES:
        raise RequestTooLarge
    return raw


def _idempotency_key(route: Route, event: Event, caller: Caller | None) -> Key | None:
    headers = {name.lower(): value for name, value in (event.get("headers") or {}).items()}
    key = headers.get("idempotency-key")
    if key is None or route.method != "POST" or caller is None:
        return None
    if not _KEY.fullmatch(key):
        message = "must be 1 to 128 visible ASCII characters"
        raise InvalidRequest(errors=[{"field": "Idempotency-Key", "message": message}])
    request = json.dumps([event.get("path"), _raw_body(event).decode(errors="replace")])
    return Key(
        caller=caller.name,
        route=f"{route.method} {route.path}",
        key=key,
        fingerprint=hashlib.sha256(request.encode()).hexdigest(),
    )
