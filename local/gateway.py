"""The local API Gateway: serves the API's own OpenAPI document as the cloud's gateway does.

Left out, because the document uses none of it: the request validator, CORS, rate limits, WebSocket,
other integrations than functions, and the cache of the authorizer's results.
"""

import base64
import binascii
import json
import re
import socket
import threading
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from io import BytesIO
from typing import TYPE_CHECKING, Annotated, Any
from uuid import uuid4

from pydantic import BaseModel, ConfigDict, Field, ValidationError
from pydantic.alias_generators import to_camel
from werkzeug.datastructures import Headers
from werkzeug.exceptions import HTTPException, NotFound, RequestEntityTooLarge
from werkzeug.routing import Map, Rule
from werkzeug.serving import ThreadedWSGIServer, WSGIRequestHandler
from werkzeug.wrappers import Request, Response
from werkzeug.wsgi import get_input_stream

from local import CannotStart
from local.docs_page import DocsPage
from local.functions import FunctionFailed, FunctionPool, FunctionTimedOut
from shared import errors, log

if TYPE_CHECKING:
    from _typeshed.wsgi import StartResponse, WSGIApplication, WSGIEnvironment

_HOST = "127.0.0.1"
_BACKLOG = 256
_SIZE_LIMIT = int(2.5 * 1024 * 1024)  # bytes, of a request and of an answer
_PROBLEMS = {
    "unauthenticated": (401, errors.Unauthenticated.title()),
    "forbidden": (403, errors.Forbidden.title()),
    "route_not_found": (404, errors.RouteNotFound.title()),
    "request_too_large": (413, errors.RequestTooLarge.title()),
    "internal": (500, errors.Internal.title()),
    "bad_gateway": (502, "The function gave no answer that can be passed on."),
    "gateway_timeout": (504, "The function did not answer in time."),
}
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
class Exchange:
    """A request and its answer, as observers see them."""

    method: str
    path: str
    resource: str | None
    """The path as the document has it, with its {parameters}; None if it has none such."""
    status: int
    duration_ms: float
    request_id: str
    function: str | None
    request_body: bytes
    response_body: bytes


class Gateway:
    """Answers HTTP requests with the functions that an OpenAPI document names."""

    def __init__(
        self,
        document: dict[str, Any],
        pool: FunctionPool,
        *,
        port: int,
        observers: Sequence[Callable[[Exchange], None]] = (),
        execution_timeout: float = 60.0,
    ) -> None:
        """Serve `document` on `port` (0: a free one) after start(), or through `app` without it.

        Observers are called after the function's answer and before the client gets it; a function
        has `execution_timeout` seconds. Raises CannotStart if the document cannot be served.
        """
        self._operations = {(o.method, o.resource): o for o in _operations(document)}
        resources = {resource for _, resource in self._operations}
        rules = [Rule(_rule(resource), endpoint=resource) for resource in sorted(resources)]
        self._routes = Map(rules, merge_slashes=False).bind(_HOST)
        self._docs = DocsPage(document)
        self._pool = pool
        self._port = port
        self._observers = observers
        self._timeout = execution_timeout
        self._server: _Server | None = None

    def start(self) -> None:
        """Listen. Raises CannotStart if the port cannot be had."""
        try:
            listener = socket.create_server((_HOST, self._port), backlog=_BACKLOG)
        except (OSError, OverflowError) as error:
            raise CannotStart(
                f"the API cannot listen on port {self._port} ({error});"
                " name another with --http-port, or 0 for a free one"
            ) from None
        with listener:
            self._server = _Server(listener, self.app)
        self._thread = threading.Thread(
            target=self._server.serve_forever, args=(0.1,), name="gateway", daemon=True
        )
        self._thread.start()

    @property
    def url(self) -> str:
        """The API's address, once started."""
        port = self._server.port if self._server else self._port
        return f"http://{_HOST}:{port}"

    def stop(self) -> None:
        """Stop listening; requests being answered have a second to end."""
        if self._server:
            self._server.shutdown()
            self._thread.join()
            self._server.hang_up(seconds=1)

    def app(self, environ: "WSGIEnvironment", start_response: "StartResponse") -> Iterable[bytes]:
        """Answer one request (WSGI)."""
        request = _Request(environ)
        page = self._docs.answer(request.path) if request.method == "GET" else None
        request_id = str(uuid4())
        try:
            response = page or self._serve(request, request_id)
        except Exception:  # noqa: BLE001 - the client gets an answer, whatever happens here
            log.error("the gateway failed", request_id=request_id, path=request.path)
            response = _Refusal("internal").response(request_id)
        response.headers.setdefault("X-Request-Id", request_id)
        return response(environ, start_response)

    def _serve(self, request: Request, request_id: str) -> Response:
        started = time.perf_counter()
        call = self._match(request, request_id)
        body = b""
        try:
            body = _read(request)
            response = self._perform(call)
        except _Refusal as refusal:
            response = refusal.response(request_id)
        exchange = Exchange(
            method=request.method,
            path=request.path,
            resource=call.operation.resource if call else None,
            status=response.status_code,
            duration_ms=(time.perf_counter() - started) * 1000,
            request_id=request_id,
            function=call.operation.function if call else None,
            request_body=body,
            response_body=response.get_data(),
        )
        for observe in self._observers:
            observe(exchange)
        return response

    def _match(self, request: Request, request_id: str) -> "_Call | None":
        try:
            resource, parameters = self._routes.match(request.path.rstrip("/") or "/")
        except NotFound:
            return None
        operation = self._operations.get((request.method, resource))
        return _Call(request, operation, dict(parameters), request_id) if operation else None

    def _perform(self, call: "_Call | None") -> Response:
        if call is None:
            raise _Refusal("route_not_found")
        authorizer = self._authorize(call)
        function = call.operation.function
        try:
            result = self._pool.invoke(function, call.event(authorizer), timeout=self._timeout)
        except FunctionTimedOut as error:
            raise _Refusal("gateway_timeout", str(error)) from None
        except FunctionFailed as failure:
            log.error(
                "a function failed",
                function=function,
                request_id=call.request_id,
                **failure.report(),
            )
            raise _Refusal("bad_gateway", str(failure), failure.report()) from None
        return _response(result)

    def _authorize(self, call: "_Call") -> dict[str, Any]:
        """Return what the authorizer says about the caller."""
        authorizer = call.operation.authorizer
        if authorizer is None:
            return {}
        if "Authorization" not in call.request.headers:
            raise _Refusal("unauthenticated")
        try:
            result = self._pool.invoke(authorizer, call.authorizer_event(), timeout=self._timeout)
            verdict = _Verdict.model_validate(result)
        except (FunctionTimedOut, FunctionFailed, ValidationError):
            log.error("the authorizer failed", request_id=call.request_id)
            raise _Refusal("internal", "The authorizer failed.") from None
        if not verdict.is_authorized:
            raise _Refusal("forbidden")
        return verdict.context


class _Request(Request):
    max_content_length = _SIZE_LIMIT


def _read(request: Request) -> bytes:
    try:
        return request.get_data()
    except RequestEntityTooLarge:
        raise _Refusal("request_too_large") from None


class _Refusal(Exception):
    """The gateway's own answer instead of the function's."""

    def __init__(
        self,
        code: str,
        detail: str | None = None,
        fields: dict[str, Any] | None = None,
    ) -> None:
        super().__init__(code)
        self.code = code
        self.detail = detail
        self.fields = fields or {}

    def response(self, request_id: str) -> Response:
        status, title = _PROBLEMS[self.code]
        problem = {
            "type": f"urn:scooter-accumulator:{self.code}",
            "title": title,
            "status": status,
            "detail": self.detail or title,
            "code": self.code,
            "request_id": request_id,
            **self.fields,
        }
        response = Response(json.dumps(problem), status, mimetype="application/problem+json")
        if "stackTrace" in self.fields:
            response.headers["X-Function-Error"] = "true"
        return response


# --- The document ---------------------------------------------------------------------------------


@dataclass(frozen=True)
class _Operation:
    """One method of one path in the document."""

    method: str
    resource: str
    operation_id: str
    function: str
    authorizer: str | None
    parameters: tuple[tuple[str, str], ...]
    """What the document declares: where it stands (path, query, header, cookie), and its name."""
    context: dict[str, Any]


def _operations(document: dict[str, Any]) -> Iterator[_Operation]:
    for resource, path_item in document["paths"].items():
        for method, described in path_item.items():
            if isinstance(described, dict) and "x-yc-apigateway-integration" in described:
                try:
                    yield _operation(document, resource, method)
                except (KeyError, ValueError) as error:
                    raise CannotStart(
                        f"the OpenAPI document is wrong at {method.upper()} {resource}: {error!r};"
                        " write it anew with make documents"
                    ) from None


def _operation(document: dict[str, Any], resource: str, method: str) -> _Operation:
    path_item = document["paths"][resource]
    described = path_item[method]
    integration = described["x-yc-apigateway-integration"]
    if (integration["type"], integration["payload_format_version"]) != ("cloud_functions", "1.0"):
        raise ValueError("only cloud_functions with payload format 1.0 can be served here")
    declared = [*path_item.get("parameters", []), *described.get("parameters", [])]
    parameters = [_resolve(document, parameter) for parameter in declared]
    return _Operation(
        method=method.upper(),
        resource=resource,
        operation_id=described["operationId"],
        function=_function_name(integration["function_id"]),
        authorizer=_authorizer(document, described.get("security", document.get("security", []))),
        parameters=tuple((parameter["in"], parameter["name"]) for parameter in parameters),
        context=integration.get("context", {}),
    )


def _authorizer(document: dict[str, Any], security: list[dict[str, Any]]) -> str | None:
    for requirement in security:
        for scheme in requirement:
            described = document["components"]["securitySchemes"][scheme]
            return _function_name(described["x-yc-apigateway-authorizer"]["function_id"])
    return None


def _function_name(template: str) -> str:
    found = re.fullmatch(r"\$\{function_ids\.(\w+)\}", template)
    if not found:
        raise ValueError(f"{template!r} is no ${{function_ids.NAME}}")
    return found[1]


def _resolve(document: dict[str, Any], node: dict[str, Any]) -> dict[str, Any]:
    if "$ref" not in node:
        return node
    target: Any = document
    for step in node["$ref"].removeprefix("#/").split("/"):
        target = target[step]
    return _resolve(document, target)


def _rule(resource: str) -> str:
    """Return werkzeug's notation of a path; `{name+}` takes the rest of it."""
    greedy = re.sub(r"\{(\w+)\+\}", r"<path:\1>", resource)
    return re.sub(r"\{(\w+)\}", r"<\1>", greedy)


# --- Payload format 1.0 ---------------------------------------------------------------------------


@dataclass(frozen=True)
class _Call:
    """A request for an operation, as the events for functions are made from it."""

    request: Request
    operation: _Operation
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
        return self.request.remote_addr or _HOST

    def _parameters(self) -> dict[str, list[str]]:
        """Return the declared parameters that the request has, and no others."""
        sources: dict[str, Callable[[str], list[str]]] = {
            "path": lambda name: [self.path_parameters[name]],
            "query": self.request.args.getlist,
            "header": self.request.headers.getlist,
            "cookie": self.request.cookies.getlist,
        }
        found = {name: sources[where](name) for where, name in self.operation.parameters}
        return {name: values for name, values in found.items() if values}

    def _body(self) -> tuple[str, bool]:
        """Return the body as a string, and whether that is base64."""
        body = self.request.get_data()
        if not body or self.request.mimetype == "application/json":
            return body.decode(errors="replace"), False
        return base64.b64encode(body).decode(), True


def _last(values: dict[str, list[str]]) -> dict[str, str]:
    return {name: several[-1] for name, several in values.items()}


class _Verdict(BaseModel):
    """What an authorizer returns."""

    model_config = ConfigDict(alias_generator=to_camel, strict=True)

    is_authorized: bool
    context: dict[str, Any] = {}


_HeaderName = Annotated[str, Field(pattern=r"^[!#$%&'*+.^_`|~0-9A-Za-z-]+$")]
_HeaderValue = Annotated[str, Field(pattern=r"^[\t\x20-\x7e]*$")]


class _Answer(BaseModel):
    """What a function returns."""

    model_config = ConfigDict(alias_generator=to_camel, strict=True)

    status_code: int = Field(ge=200, le=599)
    headers: dict[_HeaderName, _HeaderValue] = {}
    multi_value_headers: dict[_HeaderName, list[_HeaderValue]] = {}
    body: str = ""
    is_base64_encoded: bool = False


def _response(result: Any) -> Response:
    """Make the client's answer of a function's result."""
    try:
        answer = _Answer.model_validate(result)
        headers = _answer_headers(answer)
        raw = answer.body.encode()
        body = base64.b64decode(raw, validate=True) if answer.is_base64_encoded else raw
    except (ValueError, binascii.Error) as error:
        fields = {
            "errorMessage": "Malformed serverless function response",
            "errorType": "ProxyIntegrationError",
            "payload": json.dumps(result),
        }
        raise _Refusal("bad_gateway", f"Malformed function response: {error}", fields) from None
    if len(body) > _SIZE_LIMIT:
        raise _Refusal("bad_gateway", f"The answer has {len(body)} bytes, over {_SIZE_LIMIT}.")
    return Response(body, answer.status_code, headers)


def _answer_headers(answer: _Answer) -> Headers:
    headers = Headers(list(answer.headers.items()))
    for name, values in answer.multi_value_headers.items():
        headers.setlist(name, values)
    passed = Headers()
    for name, value in headers:
        canonical = name.title()
        if canonical in _REFUSED_FROM_FUNCTIONS:
            raise ValueError(f"a function may not answer with {canonical}")
        if canonical not in _NOT_FOR_CLIENTS:
            prefix = "X-Yf-Remapped-" if canonical in _RENAMED_FOR_CLIENTS else ""
            passed.add(prefix + name, value)
    return passed


# --- The server -----------------------------------------------------------------------------------


class _Server(ThreadedWSGIServer):
    """A thread a connection; knows its connections, so that it can end them."""

    def __init__(self, listener: socket.socket, app: "WSGIApplication") -> None:
        self._connections: set[Any] = set()
        self._changed = threading.Condition()
        super().__init__(_HOST, 0, app, _RequestHandler, fd=listener.fileno())

    def process_request(self, request: Any, client_address: Any) -> None:
        with self._changed:
            self._connections.add(request)
        super().process_request(request, client_address)

    def shutdown_request(self, request: Any) -> None:
        super().shutdown_request(request)
        with self._changed:
            self._connections.discard(request)
            self._changed.notify_all()

    def hang_up(self, *, seconds: float) -> None:
        """Take no more requests; after `seconds` cut off those that are still being answered."""
        with self._changed:
            self._shut(socket.SHUT_RD)
            if not self._changed.wait_for(lambda: not self._connections, seconds):
                self._shut(socket.SHUT_RDWR)

    def _shut(self, how: int) -> None:
        for connection in self._connections:
            with suppress(OSError):
                connection.shutdown(how)


class _RequestHandler(WSGIRequestHandler):
    """Serves one request after another: werkzeug's own handler ends each connection after one."""

    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True

    def run_wsgi(self) -> None:
        environ = self.make_environ()
        try:
            _take_body(environ)
        except (OSError, HTTPException):  # bad chunks, or the client went away in the middle
            self.send_error(400)
            return
        response = Response.from_app(self.server.app, environ, buffered=True)
        self.send_response(response.status_code)
        for name, value in response.headers:
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(response.data)

    def log(self, type: str, message: str, *args: Any) -> None:  # noqa: A002 - werkzeug's name
        """Write nothing: the observers tell of the requests."""


def _take_body(environ: "WSGIEnvironment") -> None:
    """Read all of the body, so that the next request follows; keep what the gateway would read."""
    stream = get_input_stream(environ)
    kept = bytearray()
    size = 0
    while chunk := stream.read(65536):
        size += len(chunk)
        if len(kept) <= _SIZE_LIMIT:
            kept += chunk
    environ["wsgi.input"] = BytesIO(kept)
    if environ.pop("HTTP_TRANSFER_ENCODING", None):
        environ["CONTENT_LENGTH"] = str(size)
