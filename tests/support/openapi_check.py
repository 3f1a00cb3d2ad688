"""Check that an HTTP response is one that docs/openapi.json allows."""

import json
import re
from collections.abc import Mapping
from functools import cache
from typing import Any
from urllib.parse import unquote
from uuid import UUID

from jsonschema_rs import Draft4Validator
from werkzeug.datastructures import Headers

from shared.api.problems import problem, status_of
from shared.errors import (
    Forbidden,
    MethodNotAllowed,
    RequestTooLarge,
    RouteNotFound,
    ServiceError,
    Unauthenticated,
)
from tests.support.processes import ROOT

DOCUMENT = ROOT / "docs" / "openapi.json"
_Node = dict[str, Any]


class Undocumented(AssertionError):
    """The document does not allow this response."""


def check_response(
    method: str, path: str, status: int, headers: Mapping[str, str], body: bytes | str
) -> None:
    """Raise Undocumented unless the document has the status, media type, headers and body.

    A field that is not documented is an error, and so is a missing one. A response to HEAD has no
    body, and is otherwise that to GET. For a path that the document does not have, the response
    must be 404 `route_not_found`; for a method that the path does not have, 405
    `method_not_allowed`, or what the gateway returns before it looks at the method.
    """
    data = body.encode() if isinstance(body, str) else body
    given = Headers(list(headers.items()))
    path = unquote(path.partition("?")[0]).rstrip("/") or "/"
    template = _template(path)
    operations = _document()["paths"].get(template, {})
    if method == "HEAD":
        fault = _fault_of_head(operations, status, given, data)
    elif method.lower() in operations:
        fault = _fault(template, method.lower(), status, given, data)
    else:
        fault = _fault_of_unknown_route(operations, status, given, data)
    if fault:
        raise Undocumented(f"{method} {path} answered {status}: {fault}\n{data!r}")


def _fault(template: str, method: str, status: int, headers: Headers, data: bytes) -> str:
    """Return what the document does not allow; empty if it allows the response."""
    response = _response(template, method, status)
    if response is None:
        return "the document does not have this status"
    for name, header in response.get("headers", {}).items():
        if fault := _fault_of_header(_resolved(header), headers.get(name)):
            return f"header {name}: {fault}"
    if "content" not in response:
        return f"{status} with a body" if data else ""
    media_type = headers.get("Content-Type", "").partition(";")[0]
    if media_type not in response["content"]:
        return f"the document does not have the media type {media_type!r}"
    try:
        value = json.loads(data)
    except ValueError as error:
        return f"the body is no JSON: {error}"
    return _fault_of_value(_body_validator(template, method, status, media_type), value)


def _fault_of_header(header: _Node, text: str | None) -> str:
    if text is None:
        return "missing" if header.get("required") else ""
    try:
        value = text if header["schema"]["type"] == "string" else json.loads(text)
    except ValueError:
        return f"{text!r} is no {header['schema']['type']}"
    return _fault_of_value(Draft4Validator(header["schema"], validate_formats=True), value)


def _fault_of_value(validator: Draft4Validator, value: Any) -> str:
    return "; ".join(
        f"{'.'.join(map(str, error.instance_path)) or 'the body'}: {error.message}"
        for error in validator.iter_errors(value)
    )


def _fault_of_head(operations: _Node, status: int, headers: Headers, data: bytes) -> str:
    documented = operations.get("get", {"responses": {"401", "403", "404", "405", "413"}})
    if data or "X-Request-Id" not in headers or str(status) not in documented["responses"]:
        return f"not as the document has it for GET: {headers}"
    return ""


def _fault_of_unknown_route(operations: _Node, status: int, headers: Headers, data: bytes) -> str:
    """Check a response to a method or path that the document does not have."""
    methods = {name.upper() for name in operations if not name.startswith("x-")}
    allow = sorted(methods | ({"HEAD"} if "GET" in methods else set()))
    # The gateway refuses a request without a key, or with too large a body, before the function.
    possible: list[ServiceError] = (
        [MethodNotAllowed(allow=allow), Unauthenticated(), Forbidden(), RequestTooLarge()]
        if methods
        else [RouteNotFound()]
    )
    request_id = headers.get("X-Request-Id", "")
    got = json.loads(data or b"null")
    kind = headers.get("Content-Type", "").partition(";")[0]
    expected = {status_of(type(e)): problem(e, request_id) for e in possible}
    if (
        kind != "application/problem+json"
        or got != expected.get(status)
        or (status == 405 and headers.get("Allow") != ", ".join(allow))
    ):
        return "the request is not in the document"
    return ""


# --- The document -----------------------------------------------------------------------------


@cache
def _document() -> _Node:
    return dict(json.loads(DOCUMENT.read_text(encoding="utf-8")))


@cache
def _template(path: str) -> str:
    """Return the path of the document that has this one; empty if none has."""
    for template in _document()["paths"]:
        if re.fullmatch(re.sub(r"{\w+}", "[^/]+", template), path):
            return str(template)
    return ""


@cache
def _response(template: str, method: str, status: int) -> _Node | None:
    found = _document()["paths"][template][method]["responses"].get(str(status))
    return _resolved(found) if found else None


def _resolved(node: _Node) -> _Node:
    while "$ref" in node:
        steps = node["$ref"].removeprefix("#/").split("/")
        node = _document()
        for step in steps:
            node = node[step]
    return node


@cache
def _body_validator(template: str, method: str, status: int, media_type: str) -> Draft4Validator:
    response = _response(template, method, status)
    assert response
    whole = {
        "allOf": [_strict(response["content"][media_type]["schema"])],
        "components": {"schemas": _strict_components()},
    }
    return Draft4Validator(whole, validate_formats=True, formats={"uuid": _is_uuid})


@cache
def _strict_components() -> _Node:
    return dict(_strict(_document()["components"]["schemas"]))


def _strict(node: Any) -> Any:
    """Return an OpenAPI 3.0 schema as one of JSON Schema Draft 4.

    Every field of an object is required, and no other allowed, unless the schema allows them.
    """
    if isinstance(node, list):
        return [_strict(one) for one in node]
    if not isinstance(node, dict):
        return node
    schema = {name: _strict(one) for name, one in node.items() if name != "nullable"}
    if node.get("type") == "object":
        schema.setdefault("additionalProperties", False)
        if properties := node.get("properties"):
            schema["required"] = [*properties]
    if node.get("nullable") is True:
        return {"anyOf": [schema, {"enum": [None]}]}
    return schema


def _is_uuid(text: str) -> bool:
    try:
        return str(UUID(text)) == text
    except ValueError:
        return False
