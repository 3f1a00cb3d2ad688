"""Records calls: each request with its answer, as lines of JSON without secrets.

A recording can be sent again to another fake (tests/integration/yandex_cloud/test_recordings.py).
"""

import base64
import json
import re
from pathlib import Path
from typing import Any

from google.protobuf.json_format import MessageToDict
from google.protobuf.message import Message
from werkzeug.wrappers import Request, Response

from local.yandex_cloud.http.answers import parse
from local.yandex_cloud.refusals import Refused

_HIDDEN = "hidden value"  # long enough for a password
_INSTEAD = {
    "binaryValue": base64.b64encode(_HIDDEN.encode()).decode(),
    "content": base64.b64encode(_HIDDEN.encode()).decode(),
    "openapiSpec": '{"openapi": "3.0.0", "info": {}, "paths": {}}',  # short, and still valid
    "password": _HIDDEN,
    "secret": _HIDDEN,
    "textValue": _HIDDEN,
}
"""What is written instead of the values of these fields, if they have one."""
_LONG = 500
_HEADERS = ("Authorization", "Content-Type", "X-YaCloud-SubjectToken", "x-amz-acl")


class Recorder:
    """Appends calls to a file."""

    def __init__(self, file: Path) -> None:
        self._file = file.open("a", encoding="utf-8")

    def __call__(self, method: str, request: Message, answer: Message | Refused) -> None:
        """Write a line."""
        if isinstance(answer, Refused):
            outcome: dict[str, Any] = {"error": [answer.code.name, answer.message]}
        else:
            outcome = {"answer": _plain(MessageToDict(answer))}
        self._write({"method": method, "request": _plain(MessageToDict(request)), **outcome})

    def http(self, request: Request, response: Response) -> None:
        """Write a line for a request to one of the APIs that are no gRPC."""
        sent: dict[str, Any] = {"url": request.url, "headers": _headers(request)}
        if request.form:
            sent["form"] = request.form.to_dict()
        elif body := request.get_data():
            sent["body"] = body.decode() if request.args else _HIDDEN  # else: a file
        answered = response.get_data() if request.method != "HEAD" else b""
        found = {"status": response.status_code, "texts": texts(answered)}
        self._write({"method": f"HTTP {request.method}", "request": sent, "answer": found})

    def _write(self, line: dict[str, Any]) -> None:
        self._file.write(json.dumps(line, sort_keys=True) + "\n")
        self._file.flush()

    def close(self) -> None:
        """Close the file."""
        self._file.close()


def texts(document: bytes) -> list[list[str]]:
    """Return the names and texts in a document of XML; none of anything else."""
    if not document.startswith(b"<"):
        return []
    return [[one.tag, one.text] for one in parse(document).iter() if one.text]


def _headers(request: Request) -> dict[str, str]:
    """Return the headers that an answer depends on, without a signature."""
    found = {name: request.headers[name] for name in _HEADERS if name in request.headers}
    return {name: re.sub(r"Signature=\w+", "Signature=0", value) for name, value in found.items()}


def _plain(value: Any, key: str = "") -> Any:
    """Return a value without secrets, and with long texts cut."""
    if isinstance(value, dict):
        return {name: _plain(one, name) for name, one in value.items()}
    if isinstance(value, list):
        return [_plain(one, key) for one in value]
    if isinstance(value, str):
        return _INSTEAD.get(key, value[:_LONG]) if value else value
    return value
