"""Whether an HTTP answer is one that docs/openapi.json allows, to the letter."""

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import lru_cache
from pathlib import Path
from urllib.parse import unquote

from jsonschema.exceptions import best_match
from openapi_core import Config, OpenAPI
from openapi_core.datatypes import RequestParameters
from openapi_core.exceptions import OpenAPIError
from openapi_core.templating.paths.exceptions import PathError
from werkzeug.datastructures import Headers

from shared.api.problems import problem
from shared.errors import RouteNotFound

DOCUMENT = Path(__file__).parents[1] / "docs" / "openapi.json"


class Undocumented(AssertionError):
    """The document does not allow this answer; says which answer and why."""


def check_answer(
    method: str, path: str, status: int, headers: Mapping[str, str], body: bytes | str
) -> None:
    """Raise Undocumented unless the document has the status, media type, headers and body.

    Fields beyond the documented ones are faults, and so are fields that are missing. A path or
    method that the document does not have must be answered 404 `route_not_found`.
    """
    data = body.encode() if isinstance(body, str) else body
    request = _Request(method.lower(), unquote(path.partition("?")[0]).rstrip("/") or "/")
    response = _Response(status, Headers(list(headers.items())), data)
    try:
        _specification().validate_response(request, response)
        if status == 204 and data:
            raise Undocumented(f"{method} {path} answered 204 with a body: {data!r}")
    except PathError:
        _check_unknown_route(method, path, response)
    except OpenAPIError as error:
        told = f"{method} {path} answered {status}: {_reason(error)}\n{data!r}"
        raise Undocumented(told) from error


@dataclass
class _Request:
    method: str
    path: str
    host_url: str = "http://localhost"
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


@lru_cache(maxsize=1)
def _specification() -> OpenAPI:
    """Read once a process: it takes longer than a hundred checks."""
    strict = Config(
        additional_properties_default_policy="forbid",
        response_properties_default_policy="required",
        extra_media_type_deserializers={"application/problem+json": json.loads},
    )
    return OpenAPI.from_dict(json.loads(DOCUMENT.read_text(encoding="utf-8")), config=strict)


def _check_unknown_route(method: str, path: str, response: _Response) -> None:
    request_id = response.headers.get("X-Request-Id", "")
    expected = problem(RouteNotFound(), request_id)
    got = json.loads(response.data or b"null")
    kind = response.content_type.partition(";")[0]
    if (response.status_code, kind, got) != (404, "application/problem+json", expected):
        raise Undocumented(
            f"{method} {path} is not in the document, but answered {response.status_code}: {got}"
        )


def _reason(error: OpenAPIError) -> str:
    faults = getattr(error.__cause__, "schema_errors", ())
    best = best_match(faults) if faults else None
    return f"{best.json_path}: {best.message}" if best else str(error.__cause__ or error)
