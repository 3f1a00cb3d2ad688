"""A way to the gateway with the real functions for any bytes, also those of no honest client."""

import json
import socket
from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass
from http.client import HTTPResponse

from local.gateway import Gateway
from tests.service import DOCUMENT, KEYS, Service

PATIENCE = 20.0

BODY = b'{"accumulator_id": "A-1"}'


@dataclass(frozen=True)
class Answer:
    status: int
    headers: dict[str, str]
    raw: bytes

    @property
    def code(self) -> str:
        """What the problem is."""
        return str(json.loads(self.raw)["code"])


class Wire:
    """A way to the gateway for any bytes."""

    def __init__(self, gateway: Gateway) -> None:
        self._port = int(gateway.url.rpartition(":")[2])

    def send(self, raw: bytes) -> Answer:
        """The first answer to these bytes, after which nothing more is sent."""
        address = ("127.0.0.1", self._port)
        with socket.create_connection(address, PATIENCE) as client:
            client.sendall(raw)
            client.shutdown(socket.SHUT_WR)
            with closing(HTTPResponse(client)) as response:
                response.begin()
                return Answer(response.status, dict(response.headers), response.read())

    def get(self, target: bytes, *headers: bytes) -> Answer:
        """The answer to a GET of this target, exactly so written."""
        return self.send(request(b"GET", target, *headers))

    def post(self, body: bytes, *headers: bytes) -> Answer:
        """The answer to a new accumulator; its length and type only by `headers`."""
        return self.send(request(b"POST", b"/v1/accumulators", *headers) + body)


def request(method: bytes, target: bytes, *headers: bytes) -> bytes:
    key = b"Authorization: Bearer " + KEYS["operator"].encode()
    lines = [method + b" " + target + b" HTTP/1.1", b"Host: x", key, *headers]
    return b"\r\n".join([*lines, b"", b""])


@contextmanager
def wire_to(service: Service) -> Iterator[Wire]:
    """A wire to a gateway before this service, which must live to the end."""
    gateway = Gateway(DOCUMENT, service.pool, port=0)
    gateway.start()
    wire = Wire(gateway)
    yield wire
    assert wire.get(b"/v1/accumulators").status == 200, "the gateway lives"
    service.check_invariants()
    gateway.stop()
