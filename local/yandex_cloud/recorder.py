"""Records calls: each request with its answer, as lines of JSON without secrets.

A recording can be sent again to another fake (tests/integration/yandex_cloud/test_recordings.py).
"""

import base64
import json
from pathlib import Path
from typing import Any

from google.protobuf.json_format import MessageToDict
from google.protobuf.message import Message

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
        line = {"method": method, "request": _plain(MessageToDict(request)), **outcome}
        self._file.write(json.dumps(line, sort_keys=True) + "\n")
        self._file.flush()

    def close(self) -> None:
        """Close the file."""
        self._file.close()


def _plain(value: Any, key: str = "") -> Any:
    """Return a value without secrets, and with long texts cut."""
    if isinstance(value, dict):
        return {name: _plain(one, name) for name, one in value.items()}
    if isinstance(value, list):
        return [_plain(one, key) for one in value]
    if isinstance(value, str):
        return _INSTEAD.get(key, value[:_LONG]) if value else value
    return value
