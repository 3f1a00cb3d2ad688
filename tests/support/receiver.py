"""A receiver of webhooks on the loopback, which can misbehave in every way."""

import ssl
import threading
from collections.abc import Callable
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, Self

from standardwebhooks import Webhook


@dataclass(frozen=True)
class Received:
    """A request that the receiver got."""

    path: str
    headers: dict[str, str]
    body: bytes
    connection: tuple[str, int]
    """The sender's address and port: the same for all requests of a connection."""

    @property
    def id(self) -> str:
        """The header webhook-id."""
        return self.headers["webhook-id"]

    def verified(self, secret: str) -> Any:
        """Return the event, if the published library accepts its signature."""
        return Webhook(secret).verify(self.body, self.headers)


Answer = Callable[[BaseHTTPRequestHandler, "Receiver"], None]


def status(code: int, **headers: str) -> Answer:
    """Answer with a status; `headers`: names with _ for -."""

    def answer(request: BaseHTTPRequestHandler, _: "Receiver") -> None:
        request.send_response(code)
        for name, value in {"content_length": "0", **headers}.items():
            request.send_header(name.replace("_", "-"), value)
        request.end_headers()

    return answer


def slowly(seconds: float, then: Answer) -> Answer:
    """Wait before answering."""

    def answer(request: BaseHTTPRequestHandler, receiver: "Receiver") -> None:
        receiver.stopping.wait(seconds)
        then(request, receiver)

    return answer


def hang(_: BaseHTTPRequestHandler, receiver: "Receiver") -> None:
    """Answer nothing, until the receiver stops."""
    receiver.stopping.wait()


def drop(request: BaseHTTPRequestHandler, _: "Receiver") -> None:
    """Close the connection without an answer."""
    request.close_connection = True


def babble(request: BaseHTTPRequestHandler, _: "Receiver") -> None:
    """Answer with something that is not HTTP."""
    request.wfile.write(b"220 mail.example ESMTP\r\n")
    request.close_connection = True


def endless_body(request: BaseHTTPRequestHandler, receiver: "Receiver") -> None:
    """Answer 200 with a body that never ends."""
    request.send_response(200)
    request.end_headers()
    while not receiver.stopping.is_set():
        request.wfile.write(b"x" * 65_536)


def trickle(request: BaseHTTPRequestHandler, receiver: "Receiver") -> None:
    """Answer with headers that never end, one byte at a time."""
    request.wfile.write(b"HTTP/1.1 200 OK\r\nX-Slow: ")
    while not receiver.stopping.wait(0.05):
        request.wfile.write(b"x")
        request.wfile.flush()


def body_that_hangs(request: BaseHTTPRequestHandler, receiver: "Receiver") -> None:
    """Answer 200, and then send nothing of the body."""
    request.send_response(200)
    request.send_header("Content-Length", "10")
    request.end_headers()
    receiver.stopping.wait()


class Receiver:
    """An HTTP server, or HTTPS with `tls`. It answers each request with `answer`."""

    def __init__(self, answer: Answer | None = None, *, tls: ssl.SSLContext | None = None) -> None:
        self.answer = answer or status(200)
        self.received: list[Received] = []
        self.stopping = threading.Event()
        self._server = _Server(("127.0.0.1", 0), _handler_of(self))
        self._server.tls = tls
        self._scheme = "https" if tls else "http"
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.01,))

    @property
    def port(self) -> int:
        """The port."""
        return self._server.server_address[1]

    @property
    def url(self) -> str:
        """The URL."""
        return f"{self._scheme}://127.0.0.1:{self.port}/hook"

    @property
    def ids(self) -> list[str]:
        """The ids of all messages, in the order in which they came."""
        return [request.id for request in self.received]

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.stopping.set()
        self._server.shutdown()
        self._thread.join()
        self._server.server_close()


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    block_on_close = False
    tls: ssl.SSLContext | None = None

    def finish_request(self, request: Any, client_address: Any) -> None:
        """Make the TLS handshake in the connection's own thread: a slow one stops nobody."""
        if self.tls is None:
            super().finish_request(request, client_address)
            return
        with self.tls.wrap_socket(request, server_side=True) as secured:
            super().finish_request(secured, client_address)

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Print nothing: senders that give up are normal here."""


def _handler_of(receiver: Receiver) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"]))
            headers = {name.lower(): value for name, value in self.headers.items()}
            got = Received(self.path, headers, body, self.client_address)
            receiver.received.append(got)
            receiver.answer(self, receiver)

        def log_message(self, *_: Any) -> None:
            pass

    return Handler
