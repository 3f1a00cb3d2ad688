"""From an HTTP request, by way of the authorizer and the function, to an answer."""

import socket
import threading
import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any
from uuid import uuid4

from pydantic import ValidationError
from werkzeug.exceptions import NotFound, RequestEntityTooLarge
from werkzeug.routing import Map, Rule
from werkzeug.wrappers import Request, Response

from local import CannotStart
from local.children import HOST
from local.docs_page import DocsPage
from local.functions import FunctionFailed, FunctionPool, FunctionTimedOut
from local.gateway.operations import operations, rule
from local.gateway.payload import SIZE_LIMIT, Call, Verdict, response_of
from local.gateway.refusals import Refusal
from local.gateway.server import Server
from shared import log

if TYPE_CHECKING:
    from _typeshed.wsgi import StartResponse, WSGIEnvironment

_BACKLOG = 256


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
        self._operations = {(o.method, o.resource): o for o in operations(document)}
        resources = {resource for _, resource in self._operations}
        rules = [Rule(rule(resource), endpoint=resource) for resource in sorted(resources)]
        self._routes = Map(rules, merge_slashes=False).bind(HOST)
        self._docs = DocsPage(document)
        self._pool = pool
        self._port = port
        self._observers = observers
        self._timeout = execution_timeout
        self._server: Server | None = None

    def start(self) -> None:
        """Listen. Raises CannotStart if the port cannot be had."""
        try:
            listener = socket.create_server((HOST, self._port), backlog=_BACKLOG)
        except (OSError, OverflowError) as error:
            raise CannotStart(
                f"the API cannot listen on port {self._port} ({error});"
                " name another with --http-port, or 0 for a free one"
            ) from None
        with listener:
            self._server = Server(listener, self.app)
        self._thread = threading.Thread(
            target=self._server.serve_forever, args=(0.1,), name="gateway", daemon=True
        )
        self._thread.start()

    @property
    def url(self) -> str:
        """The API's address, once started."""
        port = self._server.port if self._server else self._port
        return f"http://{HOST}:{port}"

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
            response = Refusal("internal").response(request_id)
        response.headers.setdefault("X-Request-Id", request_id)
        return response(environ, start_response)

    def _serve(self, request: Request, request_id: str) -> Response:
        started = time.perf_counter()
        call = self._match(request, request_id)
        body = b""
        try:
            body = _read(request)
            response = self._perform(call)
        except Refusal as refusal:
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

    def _match(self, request: Request, request_id: str) -> "Call | None":
        try:
            resource, parameters = self._routes.match(request.path.rstrip("/") or "/")
        except NotFound:
            return None
        operation = self._operations.get((request.method, resource))
        return Call(request, operation, dict(parameters), request_id) if operation else None

    def _perform(self, call: "Call | None") -> Response:
        if call is None:
            raise Refusal("route_not_found")
        authorizer = self._authorize(call)
        function = call.operation.function
        try:
            result = self._pool.invoke(function, call.event(authorizer), timeout=self._timeout)
        except FunctionTimedOut as error:
            raise Refusal("gateway_timeout", str(error)) from None
        except FunctionFailed as failure:
            log.error(
                "a function failed",
                function=function,
                request_id=call.request_id,
                **failure.report(),
            )
            raise Refusal("bad_gateway", str(failure), failure.report()) from None
        return response_of(result)

    def _authorize(self, call: "Call") -> dict[str, Any]:
        """Return what the authorizer says about the caller."""
        authorizer = call.operation.authorizer
        if authorizer is None:
            return {}
        if "Authorization" not in call.request.headers:
            raise Refusal("unauthenticated")
        try:
            result = self._pool.invoke(authorizer, call.authorizer_event(), timeout=self._timeout)
            verdict = Verdict.model_validate(result)
        except (FunctionTimedOut, FunctionFailed, ValidationError):
            log.error("the authorizer failed", request_id=call.request_id)
            raise Refusal("internal", "The authorizer failed.") from None
        if not verdict.is_authorized:
            raise Refusal("forbidden")
        return verdict.context


class _Request(Request):
    max_content_length = SIZE_LIMIT


def _read(request: Request) -> bytes:
    try:
        return request.get_data()
    except RequestEntityTooLarge:
        raise Refusal("request_too_large") from None
