"""A client of the HTTP API, for the stack, the demo and the tests."""

import json
from collections.abc import Collection
from dataclasses import dataclass
from http.client import HTTPConnection
from typing import Any
from urllib.parse import urlsplit


class UnexpectedStatus(AssertionError):
    """The API returned an unexpected status; the message has it and the body."""


@dataclass(frozen=True)
class Response:
    """An HTTP response."""

    status: int
    headers: dict[str, str]
    raw: bytes

    @property
    def body(self) -> Any:
        """The parsed body; None if it is empty."""
        return json.loads(self.raw) if self.raw else None


class Api:
    """A client with one API key. It opens a connection per call, and sends and receives JSON."""

    def __init__(self, url: str, key: str, *, timeout: float = 70) -> None:
        self._address = urlsplit(url)
        self._key = key
        self._timeout = timeout

    def call(self, method: str, path: str, body: Any = None, **headers: str) -> Response:
        """Send a request; return the response of any status. `headers`: names with _ for -."""
        connection = HTTPConnection(
            self._address.hostname or "", self._address.port, timeout=self._timeout
        )
        sent = {"Authorization": f"Bearer {self._key}", "Content-Type": "application/json"}
        sent |= {name.replace("_", "-"): value for name, value in headers.items()}
        try:
            payload = None if body is None else json.dumps(body)
            connection.request(method, path, payload, sent)
            response = connection.getresponse()
            return Response(response.status, dict(response.getheaders()), response.read())
        finally:
            connection.close()

    def expect(self, statuses: Collection[int], method: str, path: str, body: Any = None) -> Any:
        """Return the body if the response has one of these statuses. Raises UnexpectedStatus."""
        response = self.call(method, path, body)
        if response.status not in statuses:
            raise UnexpectedStatus(f"{method} {path}: {response.status} {response.body}")
        return response.body

    def get(self, path: str) -> Any:
        """GET; return the body of a 200. Raises UnexpectedStatus."""
        return self.expect({200}, "GET", path)

    def post(self, path: str, body: Any = None) -> Any:
        """POST; return the body of a 200 or 201. Raises UnexpectedStatus."""
        return self.expect({200, 201}, "POST", path, body)
