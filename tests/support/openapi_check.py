"""Check that an HTTP response is one that docs/openapi.json allows."""

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cache
from typing import Any
from urllib.parse import unquote

from jsonschema.exceptions import best_match
from openapi_core import Config, OpenAPI, V30ResponseValidator
from openapi_core.datatypes import RequestParameters
from openapi_core.exceptions import OpenAPIError
from openapi_core.templating.paths.exceptions import PathError
from openapi_core.validation.schemas.factories import SchemaValidatorsFactory
from openapi_core.validation.schemas.validators import SchemaValidator
from openapi_schema_validator import OAS30ReadValidator
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
    request = _Request(method.lower(), unquote(path.partition("?")[0]).rstrip("/") or "/")
    response = _Response(status, Headers(list(headers.items())), data)
    if method == "HEAD":
        _check_head(request.path, response)
        return
    try:
        _specification().validate_response(request, response)
        if status == 204 and data:
            raise Undocumented(f"{method} {path} answered 204 with a body: {data!r}")
    except PathError:
        _check_unknown_route(method, request.path, response)
    except OpenAPIError as error:
        detail = f"{method} {path} answered {status}: {_reason(error)}\n{data!r}"
        raise Undocumented(detail) from error


@dataclass
class _Request:
    method: str
    path: str
    host_url: str = "http://127.0.0.1:8080"
    content_type: str = "application/json"
    body: bytes | None = None
    parameters: RequestParameters = field(default_factory=RequestParameters)


@dataclass
class _Response:
    status_code: int
    headers: Headers
    data: bytes | None

    @property
    def content_type(self) -> str:
        return self.headers.get("Content-Type", "")


class _SchemaValidators(SchemaValidatorsFactory):
    """Makes the validator of each schema once: making it takes longer than ten checks."""

    _create_once = cache(SchemaValidatorsFactory.create)

    def create(self, *schema: Any, **policies: Any) -> SchemaValidator:
        return self._create_once(*schema, **policies)


class _ResponseValidator(V30ResponseValidator):
    schema_validators_factory = _SchemaValidators(OAS30ReadValidator)


@cache
def _specification() -> OpenAPI:
    """Read the document once: reading takes longer than a hundred checks."""
    strict = Config(
        response_validator_cls=_ResponseValidator,
        additional_properties_default_policy="forbid",
        response_properties_default_policy="required",
        extra_media_type_deserializers={"application/problem+json": json.loads},
    )
    return OpenAPI.from_dict(_document(), config=strict)


@cache
def _document() -> dict[str, Any]:
    return dict(json.loads(DOCUMENT.read_text(encoding="utf-8")))


def _check_head(path: str, response: _Response) -> None:
    documented = _path_item(path).get("get", {"responses": {"401", "403", "404", "405", "413"}})
    has_id = "X-Request-Id" in response.headers
    if response.data or not has_id or str(response.status_code) not in documented["responses"]:
        raise Undocumented(f"HEAD {path} answered {response.status_code}: {response}")


def _check_unknown_route(method: str, path: str, response: _Response) -> None:
    """Check a response to a method or path that the document does not have."""
    methods = {name.upper() for name in _path_item(path) if not name.startswith("x-")}
    allow = sorted(methods | ({"HEAD"} if "GET" in methods else set()))
    # The gateway refuses a request without a key, or with too large a body, before the function.
    possible: list[ServiceError] = (
        [MethodNotAllowed(allow=allow), Unauthenticated(), Forbidden(), RequestTooLarge()]
        if methods
        else [RouteNotFound()]
    )
    request_id = response.headers.get("X-Request-Id", "")
    got = json.loads(response.data or b"null")
    kind = response.content_type.partition(";")[0]
    expected = {status_of(type(e)): problem(e, request_id) for e in possible}
    if (
        kind != "application/problem+json"
        or got != expected.get(response.status_code)
        or (response.status_code == 405 and response.headers.get("Allow") != ", ".join(allow))
    ):
        raise Undocumented(
            f"{method} {path} is not in the document, but answered {response.status_code}: {got}"
        )


def _path_item(path: str) -> dict[str, Any]:
    """Return what the document has at a path; empty if nothing."""
    for template, item in _document()["paths"].items():
        if re.fullmatch(re.sub(r"{\w+}", "[^/]+", template), path):
            return dict(item)
    return {}


def _reason(error: OpenAPIError) -> str:
    errors = getattr(error.__cause__, "schema_errors", ())
    best = best_match(errors) if errors else None
    return f"{best.json_path}: {best.message}" if best else str(error.__cause__ or error)
