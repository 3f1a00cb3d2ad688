"""Payload format 1.0: converts requests to functions' events, and their results to responses."""

import base64
import binascii
import json
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Annotated, Any

from pydantic import BaseModel, ConfigDict, Field
from pydantic.alias_generators import to_camel
from werkzeug.datastructures import Headers
from werkzeug.wrappers import Request, Response

from local.children import HOST
from local.gateway.errors import GatewayError
from local.gateway.operations import Operation

SIZE_LIMIT = int(2.5 * 1024 * 1024)
"""Size limit of a request or a response, in bytes."""

# fmt: off
_NOT_FOR_AUTHORIZERS = {
    "Connection", "Content-Md5", "Expect", "Keep-Alive", "Max-Forwards", "Proxy-Authenticate",
    "Server", "Te", "Trailer", "Transfer-Encoding", "Upgrade", "Www-Authenticate",
}
_NOT_FOR_FUNCTIONS = _NOT_FOR_AUTHORIZERS | {"Authorization", "Cookie"}
# fmt: on
_NOT_FOR_CLIENTS = {"Authorization", "Connection", "Cookie", "Host", "Max-Forwards", "User-Agent"}
_REFUSED_FROM_FUNCTIONS = {"Proxy-Authenticate", "Transfer-Encoding", "Via"}
_RENAMED_FOR_CLIENTS = {"Content-Md5", "Date", "Server", "Www-Authenticate"}


@dataclass(frozen=True)
class Call:
    """A request for an operation, from which the functions' events are made."""

    request: Request
    operation: Operation
    path_parameters: dict[str, str]
    request_id: str

    def event(self, authorizer: dict[str, Any]) -> dict[str, Any]:
        """Return the function's event."""
        headers = self._headers(without=_NOT_FOR_FUNCTIONS)
        query = self.request.args.to_dict(flat=False)
        parameters = self._parameters()
        body, is_base64 = self._body()
        return {
            "version": "1.0",
            "resource": self.operation.resource,
            "path": self.request.path,
            "httpMethod": self.request.method,
            "headers": headers,
            "multiValueHeaders": {name: [value] for name, value in headers.items()},
            "queryStringParameters": _last(query),
            "multiValueQueryStringParameters": query,
            "requestContext": self._context(authorizer=authorizer)
            | {"apiGateway": {"operationContext": self.operation.context}},
            "pathParameters": self.path_parameters,
            "body": body,
            "isBase64Encoded": is_base64,
            "parameters": _last(parameters),
            "multiValueParameters": parameters,
            "operationId": self.operation.operation_id,
        }

    def authorizer_event(self) -> dict[str, Any]:
        """Return the authorizer's event."""
        return {
            "resource": self.operation.resource,
            "path": self.request.path,
            "httpMethod": self.request.method,
            "headers": self._headers(without=_NOT_FOR_AUTHORIZERS),
            "queryStringParameters": _last(self.request.args.to_dict(flat=False)),
            "pathParameters": self.path_parameters,
            "requestContext": self._context(),
            "cookies": self.request.cookies.to_dict(),
        }

    def _headers(self, *, without: set[str]) -> dict[str, str]:
        forwarded = [*self.request.headers.getlist("X-Forwarded-For"), self._source_ip()]
        return {
            **{name: value for name, value in self.request.headers if name not in without},
            "X-Forwarded-For": ", ".join(forwarded),
            "X-Request-Id": self.request_id,
        }

    def _context(self, **more: Any) -> dict[str, Any]:
        now = datetime.now(UTC)
        user_agent = self.request.headers.get("User-Agent", "")
        return {
            "identity": {"sourceIp": self._source_ip(), "userAgent": user_agent},
            "httpMethod": self.request.method,
            "requestId": self.request_id,
            "requestTime": now.strftime("%d/%b/%Y:%H:%M:%S +0000"),
            "requestTimeEpoch": int(now.timestamp()),
            **more,
        }

    def _source_ip(self) -> str:
        return self.request.remote_addr or HOST

    def _parameters(self) -> dict[str, list[str]]:
        """Return the declared parameters that the request has."""
        sources: dict[str, Callable[[str], list[str]]] = {
            "path": lambda name: [self.path_parameters[name]],
            "query": self.request.args.getlist,
            "header": self.request.headers.getlist,
            "cookie": self.request.cookies.getlist,
        }
        found = {name: sources[where](name) for where, name in self.operation.parameters}
        return {name: values for name, values in found.items() if values}

    def _body(self) -> tuple[str, bool]:
        """Return the body as a string, and whether it is base64."""
        body = self.request.get_data()
        if not body or self.request.mimetype == "application/json":
            return body.decode(errors="replace"), False
        return base64.b64encode(body).decode(), True


def _last(values: dict[str, list[str]]) -> dict[str, str]:
    return {name: several[-1] for name, several in values.items()}


class AuthorizerResult(BaseModel):
    """The result of an authorizer function."""

    model_config = ConfigDict(alias_generator=to_camel, strict=True)

    is_authorized: bool
    context: dict[str, Any] = {}


_HeaderName = Annotated[str, Field(pattern=r"^[!#$%&'*+.^_`|~0-9A-Za-z-]+$")]
_HeaderValue = Annotated[str, Field(pattern=r"^[\t\x20-\x7e]*$")]


class _FunctionResult(BaseModel):
    """The result of a function."""

    model_config = ConfigDict(alias_generator=to_camel, strict=True)

    status_code: int = Field(ge=200, le=599)
    headers: dict[_HeaderName, _HeaderValue] = {}
    multi_value_headers: dict[_HeaderName, list[_HeaderValue]] = {}
    body: str = ""
    is_base64_encoded: bool = False


def response_of(result: Any) -> Response:
    """Convert a function's result to the response."""
    try:
        parsed = _FunctionResult.model_validate(result)
        headers = _response_headers(parsed)
        raw = parsed.body.encode()
        body = base64.b64decode(raw, validate=True) if parsed.is_base64_encoded else raw
    except (ValueError, binascii.Error) as error:
        fields = {
            "errorMessage": "Malformed serverless function response",
            "errorType": "ProxyIntegrationError",
            "payload": json.dumps(result),
        }
        raise GatewayError("bad_gateway", f"Malformed function response: {error}", fields) from None
    if len(body) > SIZE_LIMIT:
        raise GatewayError(
            "bad_gateway", f"The response has {len(body)} bytes, more than {SIZE_LIMIT}."
        )
    return Response(body, parsed.status_code, headers)


def _response_headers(result: _FunctionResult) -> Headers:
    headers = Headers(list(result.headers.items()))
    for name, values in result.multi_value_headers.items():
        headers.setlist(name, values)
    passed = Headers()
    for name, value in headers:
        canonical = name.title()
        if canonical in _REFUSED_FROM_FUNCTIONS:
            raise ValueError(f"a function may not set the header {canonical}")
        if canonical not in _NOT_FOR_CLIENTS:
            prefix = "X-Yf-Remapped-" if canonical in _RENAMED_FOR_CLIENTS else ""
            passed.add(prefix + name, value)
    return passed
