"""An HTTP client that sends any bytes, also those that no HTTP library sends."""

import json
import socket
from contextlib import closing
from dataclasses import dataclass
from http.client import HTTPResponse

from local.gateway import Gateway
from tests.support.service import KEYS

TIMEOUT_SECONDS = 20.0
BODY = b'{"accumulator_id": "A-1"}'


@dataclass(frozen=True)
class Response:
    status: int
    headers: dict[str, str]
    raw: bytes

    @property
    def code(self) -> str:
        """The code of the problem."""
        return str(json.loads(self.raw)["code"])


class RawClient:
    """Sends bytes to a gateway."""

    def __init__(self, gateway: Gateway) -> None:
        self._port = int(gateway.url.rpartition(":")[2])

    def send(self, raw: bytes) -> Response:
        """Send these bytes, close the sending side, and return the first response."""
        address = ("127.0.0.1", self._port)
        with socket.create_connection(address, TIMEOUT_SECONDS) as client:
            client.sendall(raw)
            client.shutdown(socket.SHUT_WR)
            with closing(HTTPResponse(client)) as response:
                response.begin()
                return Response(response.status, dict(response.headers), response.read())

    def get(self, target: bytes, *headers: bytes) -> Response:
        """GET this target, exactly as written."""
        return self.send(request(b"GET", target, *headers))

    def post(self, body: bytes, *headers: bytes) -> Response:
        """POST an accumulator; only `headers` state the length and type of the body."""
        return self.send(request(b"POST", b"/v1/accumulators", *headers) + body)


def request(method: bytes, target: bytes, *headers: bytes) -> bytes:
    key = b"Authorization: Bearer " + KEYS["operator"].encode()
    lines = [method + b" " + target + b" HTTP/1.1", b"Host: x", key, *headers]
    return b"\r\n".join([*lines, b"", b""])
