"""The gateway's HTTP server: connections that stay open, and can be ended."""

import re
import socket
import threading
from contextlib import suppress
from io import BytesIO
from typing import TYPE_CHECKING, Any

from werkzeug.exceptions import HTTPException
from werkzeug.serving import ThreadedWSGIServer, WSGIRequestHandler
from werkzeug.wrappers import Response
from werkzeug.wsgi import get_input_stream

from local.children import HOST
from local.gateway.payload import SIZE_LIMIT

if TYPE_CHECKING:
    from _typeshed.wsgi import WSGIApplication, WSGIEnvironment


class Server(ThreadedWSGIServer):
    """A thread a connection; knows its connections, so that it can end them."""

    def __init__(self, listener: socket.socket, app: "WSGIApplication") -> None:
        self._connections: set[Any] = set()
        self._changed = threading.Condition()
        super().__init__(HOST, 0, app, _RequestHandler, fd=listener.fileno())

    def process_request(self, request: Any, client_address: Any) -> None:
        """Serve a new connection."""
        with self._changed:
            self._connections.add(request)
        super().process_request(request, client_address)

    def shutdown_request(self, request: Any) -> None:
        """Close a connection."""
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
        try:
            environ = self.make_environ()
            _take_body(environ)
        # An address or a body that cannot be read, or the client went away in the middle of it.
        except (OSError, ValueError, HTTPException):
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
    if not re.fullmatch(r"[0-9]{0,18}", environ.get("CONTENT_LENGTH", "")):
        raise ValueError("no length: what follows could be taken for another request")
    stream = get_input_stream(environ)
    kept = bytearray()
    size = 0
    while chunk := stream.read(65536):
        size += len(chunk)
        if len(kept) <= SIZE_LIMIT:
            kept += chunk
    environ["wsgi.input"] = BytesIO(kept)
    if environ.pop("HTTP_TRANSFER_ENCODING", None):
        environ["CONTENT_LENGTH"] = str(size)
