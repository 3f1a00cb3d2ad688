"""The service's HTTP API as its clients call it: for the stack itself, the demo and the tests."""

import json
from collections.abc import Collection
from dataclasses import dataclass
from http.client import HTTPConnection
from typing import Any
from urllib.parse import urlsplit


class Unexpected(AssertionError):
    """The API answered with another status than was expected; says with which, and its body."""


@dataclass(frozen=True)
class Answer:
    """An HTTP answer."""

    status: int
    headers: dict[str, str]
    raw: bytes

    @property
    def body(self) -> Any:
        """The JSON value; None if there is none."""
        return json.loads(self.raw) if self.raw else None


class Api:
    """One API key's view of the service. A connection a call; JSON in and out."""

    def __init__(self, url: str, key: str, *, timeout: float = 70) -> None:
        self._address = urlsplit(url)
        self._key = key
        self._timeout = timeout

    def call(self, method: str, path: str, body: Any = None, **headers: str) -> Answer:
        """Whatever the answer is. `headers`: names with _ for -."""
        connection = HTTPConnection(
            self._address.hostname or "", self._address.port, timeout=self._timeout
        )
        sent = {"Authorization": f"Bearer {self._key}", "Content-Type": "application/json"}
        sent |= {name.replace("_", "-"): value for name, value in headers.items()}
        try:
            payload = None if body is None else json.dumps(body)
            connection.request(method, path, payload, sent)
            answer = connection.getresponse()
            return Answer(answer.status, dict(answer.getheaders()), answer.read())
        finally:
            connection.close()

    def expect(self, statuses: Collection[int], method: str, path: str, body: Any = None) -> Any:
        """The body of an answer with one of these statuses. Raises Unexpected."""
        answer = self.call(method, path, body)
        if answer.status not in statuses:
            raise Unexpected(f"{method} {path}: {answer.status} {answer.body}")
        return answer.body

    def get(self, path: str) -> Any:
        """The body of a 200."""
        return self.expect({200}, "GET", path)

    def post(self, path: str, body: Any = None) -> Any:
        """The body of a 200 or 201."""
        return self.expect({200, 201}, "POST", path, body)
