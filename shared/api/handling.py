"""From the gateway's event to an endpoint and back: API Gateway's payload format 1.0."""

import base64
import binascii
import hashlib
import json
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Any

from pydantic import BaseModel, TypeAdapter, ValidationError

from shared import config, db, log
from shared.api.problems import problem, status_of
from shared.api.routes import Route, routes
from shared.callers import Caller, caller_of
from shared.errors import (
    CabinetRejected,
    Internal,
    InvalidRequest,
    QueueUnavailable,
    RequestTooLarge,
    RouteNotFound,
    ServiceError,
    Unavailable,
)
from shared.services import idempotency
from shared.services.idempotency import Key, Stored

Event = dict[str, Any]
MAX_BODY_BYTES = 2_621_440
_KEY = re.compile(r"[!-~]{1,128}")


@dataclass(frozen=True)
class Answer:
    """An HTTP answer."""

    status: int
    body: str
    headers: Mapping[str, str]


def handler_of(module: str) -> Callable[[Event, Any], Event]:
    """The cloud function that answers the routes which `module` declares."""

    def handler(event: Event, context: Any) -> Event:
        request_id = (event.get("requestContext") or {}).get("requestId") or context.request_id
        answer = _answered(module, event, context, request_id)
        if event.get("httpMethod") != "GET" and answer.status < 400:  # noqa: PLR2004 - no error
            log.info("done", path=event.get("path"), status=answer.status)  # who: the caller
        headers = {"X-Request-Id": request_id, **answer.headers}
        return {"statusCode": answer.status, "headers": headers, "body": answer.body}

    return handler


def _answered(module: str, event: Event, context: Any, request_id: str) -> Answer:
    try:
        operation = event.get("operationId")
        log.begin(config.settings().log_level, request_id=request_id, operation=operation)
        return _call(_find(module, event), event, context, request_id)
    except ServiceError as error:
        return _problem(error, request_id)
    except Exception:  # noqa: BLE001 - the platform would show the stack to the caller
        return _failure(request_id)


def _find(module: str, event: Event) -> Route:
    wanted = (module, event.get("httpMethod"), event.get("resource"))
    for route in routes():
        if (route.module, route.method, route.path) == wanted:
            return route
    raise RouteNotFound


def _call(route: Route, event: Event, context: Any, request_id: str) -> Answer:
    caller = None
    if route.scope is not None:
        caller = caller_of(event)
        caller.require(route.scope)
        log.bind(caller=caller.name)
    arguments = _arguments(route, event)
    key = _idempotency_key(route, event, caller)
    if key is None or caller is None:
        return _run(route, arguments, caller)
    with db.transaction() as tx:
        begun = idempotency.begin(tx, key, seconds=context.get_remaining_time_in_millis() / 1000)
    if isinstance(begun, Stored):
        return Answer(begun.status, begun.body, _headers(begun.status, replayed=True))
    undone = False
    try:
        answer = _run(route, arguments, replace(caller, new_id=begun))
    except ServiceError as error:
        answer = _problem(error, request_id)
        undone = isinstance(error, QueueUnavailable | CabinetRejected)
    except Exception:  # noqa: BLE001 - the key must be given back whatever happened
        answer = _failure(request_id)
    with db.transaction() as tx:
        idempotency.finish(tx, key, Stored(answer.status, answer.body), undone=undone)
    return answer


def _run(route: Route, arguments: dict[str, Any], caller: Caller | None) -> Answer:
    if route.takes_caller:
        arguments["caller"] = caller
    result = route.endpoint(**arguments)
    if result is None:
        return Answer(route.status, "", {})
    model, status = result if isinstance(result, tuple) else (result, route.status)
    # A 503 of the health check is its answer, not a problem.
    return Answer(status, model.model_dump_json(by_alias=True), _headers(200))


def _problem(error: ServiceError, request_id: str) -> Answer:
    status = status_of(type(error))
    log.info("refused", code=error.code(), detail=error.detail, **error.extra())
    retry = {"Retry-After": "1"} if isinstance(error, Unavailable) else {}
    body = json.dumps(problem(error, request_id), default=str)
    return Answer(status, body, {**_headers(status), **retry})


def _failure(request_id: str) -> Answer:
    """The answer to a fault of ours that is being handled: told to the log, not to the caller."""
    log.error("request failed")
    return _problem(Internal(), request_id)


def _headers(status: int, *, replayed: bool = False) -> dict[str, str]:
    kind = "application/json" if status < 400 else "application/problem+json"  # noqa: PLR2004 - no error
    return {"Content-Type": kind} | ({"Idempotency-Replayed": "true"} if replayed else {})


def _arguments(route: Route, event: Event) -> dict[str, Any]:
    """The endpoint's arguments out of the event. Raises InvalidRequest, naming each field."""
    given = event.get("pathParameters") or {}
    path = _validated(route.path_parameters, given)
    arguments = {name: getattr(path, name) for name in route.path_parameters.model_fields}
    query = _validated(route.query, _query(event))
    if "query" in route.hints:
        arguments["query"] = query
    if route.body is not None:
        arguments["request"] = _body(route.body, _raw_body(event))
    return arguments


def _query(event: Event) -> dict[str, Any]:
    values = dict(event.get("queryStringParameters") or {})
    for name, many in (event.get("multiValueQueryStringParameters") or {}).items():
        if len(many) > 1:
            message = "given more than once"
            raise InvalidRequest(errors=[{"field": name, "message": message}])
    return values


def _validated(model: type[BaseModel], values: Mapping[str, Any]) -> BaseModel:
    try:
        return model.model_validate(values)
    except ValidationError as error:
        raise InvalidRequest(errors=_faults(error)) from None


def _body(adapter: TypeAdapter[Any], raw: bytes) -> Any:
    try:
        return adapter.validate_json(raw, strict=True)
    except ValidationError as error:
        raise InvalidRequest(errors=_faults(error)) from None


def _faults(error: ValidationError) -> list[dict[str, str]]:
    details = error.errors(include_url=False, include_input=False, include_context=False)
    return [
        {
            "field": ".".join(str(part) for part in fault["loc"]) or "body",
            "message": fault["msg"].removeprefix("Value error, "),
        }
        for fault in details[:20]
    ]


def _raw_body(event: Event) -> bytes:
    body = event.get("body") or ""
    try:
        raw = (
            base64.b64decode(body, validate=True) if event.get("isBase64Encoded") else body.encode()
        )
    except (binascii.Error, ValueError):
        raise InvalidRequest(errors=[{"field": "body", "message": "cannot be decoded"}]) from None
    if len(raw) > MAX_BODY_BYTES:
        raise RequestTooLarge
    return raw


def _idempotency_key(route: Route, event: Event, caller: Caller | None) -> Key | None:
    headers = {name.lower(): value for name, value in (event.get("headers") or {}).items()}
    key = headers.get("idempotency-key")
    if key is None or route.method != "POST" or caller is None:
        return None
    if not _KEY.fullmatch(key):
        message = "1 to 128 visible ASCII characters"
        raise InvalidRequest(errors=[{"field": "Idempotency-Key", "message": message}])
    asked = json.dumps([event.get("path"), _raw_body(event).decode(errors="replace")])
    return Key(
        caller=caller.name,
        route=f"{route.method} {route.path}",
        key=key,
        fingerprint=hashlib.sha256(asked.encode()).hexdigest(),
    )
