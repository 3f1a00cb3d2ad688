"""The gateway's HTTP server, with persistent connections that it can close."""

import re
import socket
import threading
from contextlib import suppress
from io import BufferedIOBase, BytesIO
from typing import TYPE_CHECKING, Any

from werkzeug.exceptions import HTTPException
from werkzeug.serving import DechunkedInput, ThreadedWSGIServer, WSGIRequestHandler
from werkzeug.wrappers import Response
from werkzeug.wsgi import get_input_stream

from local.children import HOST
from local.gateway.payload import SIZE_LIMIT

if TYPE_CHECKING:
    from _typeshed.wsgi import WSGIApplication, WSGIEnvironment


class Server(ThreadedWSGIServer):
    """Serves each connection in a thread, and tracks connections to close them."""

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

    def close_connections(self, *, seconds: float) -> None:
        """Accept no more requests; after `seconds`, close connections of running requests."""
        with self._changed:
            self._shut(socket.SHUT_RD)
            if not self._changed.wait_for(lambda: not self._connections, seconds):
                self._shut(socket.SHUT_RDWR)

    def _shut(self, how: int) -> None:
        for connection in self._connections:
            with suppress(OSError):
                connection.shutdown(how)


class _RequestHandler(WSGIRequestHandler):
    """Serves several requests per connection; werkzeug's handler closes it after one."""

    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True

    def run_wsgi(self) -> None:
        try:
            self._check_length()
            environ = self.make_environ()
            if "Transfer-Encoding" in self.headers:
                environ["wsgi.input"] = DechunkedInput(_CompleteReader(self.rfile))
            _read_body(environ)
        # The URL or body is invalid, or the client disconnected while sending it.
        except (OSError, ValueError, HTTPException):
            self.send_error(400)
            return
        response = Response.from_app(self.server.app, environ, buffered=True)
        self.send_response(response.status_code)
        for name, value in response.headers:
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(response.data)

    def _check_length(self) -> None:
        """Refuse a body of unclear length: the rest would be read as the next request."""
        lengths = self.headers.get_all("Content-Length", [])
        codings = self.headers.get_all("Transfer-Encoding", [])
        is_clear = all(re.fullmatch(r"[0-9]{1,18}", length.strip()) for length in lengths) and all(
            coding.strip().lower() == "chunked" for coding in codings
        )
        if not is_clear or len(lengths) + len(codings) > 1:
            raise ValueError("the length of the body is unclear")

    def log_request(self, code: object = "-", size: object = "-") -> None:
        """Log nothing: werkzeug's method fails on an invalid URL."""

    def log(self, type: str, message: str, *args: Any) -> None:  # noqa: A002 - werkzeug's name
        """Log nothing: observers report the requests."""


class _CompleteReader(BytesIO):
    """A stream whose `read` raises OSError if the stream ends early.

    DechunkedInput does not notice that, and would go on as if the chunk were complete.
    """

    def __init__(self, connection: BufferedIOBase) -> None:
        super().__init__()
        self._connection = connection

    def read(self, size: int | None = -1) -> bytes:
        """Read exactly this many bytes."""
        data = self._connection.read(size or 0)
        if len(data) != size:
            raise OSError("the client disconnected within a chunk")
        return data

    def readline(self, size: int | None = -1) -> bytes:
        """Read a line, or up to this many bytes of it."""
        return self._connection.readline(size or 0)


def _read_body(environ: "WSGIEnvironment") -> None:
    """Read the whole body, so that the next request can follow; keep what the gateway may use."""
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
