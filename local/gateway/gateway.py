"""Handles an HTTP request: calls the authorizer, then the function, and returns its response."""

import socket
import threading
import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol
from uuid import uuid4

from pydantic import ValidationError
from werkzeug.exceptions import RequestEntityTooLarge
from werkzeug.wrappers import Request, Response

from local import CannotStart
from local.children import HOST
from local.functions import FunctionFailed, FunctionPool, FunctionThrottled, FunctionTimedOut
from local.gateway.errors import GatewayError
from local.gateway.limiter import Limiter
from local.gateway.operations import Operation, Routes
from local.gateway.payload import SIZE_LIMIT, AuthorizerResult, Call, response_of
from local.gateway.server import Server
from shared import log

if TYPE_CHECKING:
    from _typeshed.wsgi import StartResponse, WSGIEnvironment

_BACKLOG = 256


@dataclass(frozen=True)
class Exchange:
    """A request and its response, for observers."""

    method: str
    path: str
    resource: str | None
    """The path template of the document, with its {parameters}; None if no operation matched."""
    status: int
    duration_ms: float
    request_id: str
    function: str | None
    request_body: bytes
    response_body: bytes


class Page(Protocol):
    """Responds to GET and HEAD itself, before any function."""

    def answer(self, path: str) -> Response | None:
        """Return the response to a GET of `path`; None if there is none."""


class Gateway:
    """Serves HTTP requests with the functions that an OpenAPI document names, and pages."""

    def __init__(  # noqa: PLR0913 - each is a part of the gateway
        self,
        routes: Routes,
        pool: FunctionPool,
        *,
        port: int,
        pages: Sequence[Page] = (),
        observers: Sequence[Callable[[Exchange], None]] = (),
        execution_timeout: float = 60.0,
        rate_limits: bool = False,
    ) -> None:
        """Serve `routes` on `port` (0: a free one) after start(), or through `app` without it.

        `pages` take precedence over functions, in their order.
        Observers are called when the function has returned, before the response is sent.
        `execution_timeout` is in seconds. `rate_limits`: enforce those of the document.
        """
        self._routes = routes
        self._pages = pages
        self._pool = pool
        self._port = port
        self._observers = observers
        self._timeout = execution_timeout
        self._limiter = Limiter() if rate_limits else None
        self._server: Server | None = None

    def start(self) -> None:
        """Start listening. Raises CannotStart if the port is in use."""
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
        """The API's URL. The gateway must have been started."""
        port = self._server.port if self._server else self._port
        return f"http://{HOST}:{port}"

    def stop(self) -> None:
        """Stop listening; running requests have a second to end."""
        if self._server:
            self._server.shutdown()
            self._thread.join()
            self._server.close_connections(seconds=1)

    def app(self, environ: "WSGIEnvironment", start_response: "StartResponse") -> Iterable[bytes]:
        """Handle one request (WSGI)."""
        request = _Request(environ)
        request_id = str(uuid4())
        try:
            response = self._page(request) or self._serve(request, request_id)
        except Exception:  # noqa: BLE001 - the client gets a response in any case
            log.error("the gateway failed", request_id=request_id, path=request.path)
            response = GatewayError("internal").response(request_id)
        response.headers.setdefault("X-Request-Id", request_id)
        # A function's response to HEAD has no body, so its length is not that of the GET.
        response.automatically_set_content_length = request.method != "HEAD"
        return response(environ, start_response)

    def _page(self, request: Request) -> Response | None:
        if request.method not in {"GET", "HEAD"}:
            return None
        answers = (page.answer(request.path) for page in self._pages)
        return next((answer for answer in answers if answer), None)

    def _serve(self, request: Request, request_id: str) -> Response:
        started = time.perf_counter()
        call = self._match(request, request_id)
        body = b""
        try:
            body = _read(request)
            response = self._perform(call)
        except GatewayError as error:
            response = error.response(request_id)
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
        found = self._routes.match(request.method, request.path)
        if found is None:
            return None
        operation, parameters = found
        return Call(request, operation, parameters, request_id)

    def _perform(self, call: "Call | None") -> Response:
        if call is None:
            raise GatewayError("route_not_found")
        self._admit(call.operation)
        authorizer = self._authorize(call)
        function = call.operation.function
        try:
            result = self._pool.invoke(function, call.event(authorizer), timeout=self._timeout)
        except FunctionThrottled:
            raise _too_many() from None
        except FunctionTimedOut as error:
            raise GatewayError("gateway_timeout", str(error)) from None
        except FunctionFailed as failure:
            log.error(
                "a function failed",
                function=function,
                request_id=call.request_id,
                **failure.report(),
            )
            raise GatewayError("bad_gateway", str(failure), failure.report()) from None
        return response_of(result)

    def _admit(self, operation: Operation) -> None:
        """Raise GatewayError if the operation's rate limit is exceeded; no function is called."""
        if self._limiter is not None and not self._limiter.admit(operation):
            raise _too_many()

    def _authorize(self, call: "Call") -> dict[str, Any]:
        """Return the context of the caller, from the authorizer. Raises GatewayError."""
        authorizer = call.operation.authorizer
        if authorizer is None:
            return {}
        if "Authorization" not in call.request.headers:
            raise GatewayError("unauthenticated")
        try:
            result = self._pool.invoke(authorizer, call.authorizer_event(), timeout=self._timeout)
            decision = AuthorizerResult.model_validate(result)
        except (FunctionTimedOut, FunctionFailed, FunctionThrottled, ValidationError):
            log.error("the authorizer failed", request_id=call.request_id)
            raise GatewayError("internal", "The authorizer failed.") from None
        if not decision.is_authorized:
            raise GatewayError("forbidden")
        return decision.context


def _too_many() -> GatewayError:
    return GatewayError("rate_limited", fields={"retry_after_s": 1})


class _Request(Request):
    max_content_length = SIZE_LIMIT


def _read(request: Request) -> bytes:
    try:
        return request.get_data()
    except RequestEntityTooLarge:
        raise GatewayError("request_too_large") from None
