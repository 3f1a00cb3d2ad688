"""An HTTP proxy that answers the requests for Object Storage and Message Queue itself.

The provider puts the name of a bucket before the host, as in bucket.storage.yandexcloud.net, and no
such name leads to this machine. With HTTP_PROXY, Go asks this server for every http:// address.
"""

import threading
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from typing import TYPE_CHECKING, Any, Protocol

from werkzeug.serving import ThreadedWSGIServer, WSGIRequestHandler
from werkzeug.wrappers import Request, Response

from local.children import HOST
from local.yandex_cloud.http.answers import HttpRefused
from local.yandex_cloud.state import State

if TYPE_CHECKING:
    from _typeshed.wsgi import StartResponse, WSGIEnvironment

Record = Callable[[Request, Response], None]


class Api(Protocol):
    """An API at a host, and at the names below it."""

    host: str

    def name(self, request: Request) -> str:
        """Return what a request asks for."""

    def answer(self, request: Request) -> Response:
        """Answer a request. Raises HttpRefused."""

    def refuse(self, refused: HttpRefused) -> Response:
        """Return the response for an error."""


class HttpServer:
    """Serves some APIs."""

    def __init__(
        self, apis: Sequence[Api], state: State, *, port: int, record: Record | None = None
    ) -> None:
        """Listen on `port`; 0: a free one. `record`: called with each request and its answer."""
        self.calls: Counter[str] = Counter()
        """How often each call was made, by its name."""
        self._apis = apis
        self._record = record
        self._state = state
        self._server = ThreadedWSGIServer(HOST, port, self._app, _Handler)
        self._server.daemon_threads = True
        self._thread = threading.Thread(
            target=self._server.serve_forever, args=(0.05,), name="yandex-cloud-http", daemon=True
        )

    @property
    def port(self) -> int:
        """The port that it listens on."""
        return int(self._server.server_port)

    @property
    def environment(self) -> dict[str, str]:
        """The variables with which the provider and the deployment's programs come here."""
        return {
            "HTTP_PROXY": f"http://{HOST}:{self.port}",
            "YC_STORAGE_ENDPOINT_URL": "http://storage.yandexcloud.net",
            "YC_STORAGE_URL": "http://storage.yandexcloud.net",
            "YC_MESSAGE_QUEUE_ENDPOINT": "http://message-queue.api.cloud.yandex.net",
        }

    def start(self) -> None:
        """Start to serve."""
        self._thread.start()

    def stop(self) -> None:
        """Stop serving."""
        self._server.shutdown()
        self._thread.join()
        self._server.server_close()

    def _app(self, environ: "WSGIEnvironment", start: "StartResponse") -> Iterable[bytes]:
        return self._answer(Request(environ))(environ, start)

    def _answer(self, request: Request) -> Response:
        host = request.host.partition(":")[0]
        api = next((one for one in self._apis if f".{host}".endswith(f".{one.host}")), None)
        if api is None:
            return Response(f"{host} is not in this fake\n", 502, content_type="text/plain")
        self.calls[api.name(request)] += 1
        try:
            with self._state.transaction():
                response = api.answer(request)
        except HttpRefused as refused:
            response = api.refuse(refused)
        if self._record:
            with self._state.transaction():  # one line at a time
                self._record(request, response)
        return response


class _Handler(WSGIRequestHandler):
    disable_nagle_algorithm = True

    def log(self, type: str, message: str, *args: Any) -> None:  # noqa: A002 - werkzeug's name
        """Log nothing."""
