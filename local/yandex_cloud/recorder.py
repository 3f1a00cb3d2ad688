"""Records calls: each request with its answer, as JSON lines without secrets."""

import json
from pathlib import Path
from typing import Any

from google.protobuf.json_format import MessageToDict
from google.protobuf.message import Message

from local.yandex_cloud.refusals import Refused

_HIDDEN = {"content", "password", "textValue", "binaryValue", "secret"}
_LONG = 2_000


class Recorder:
    """Appends calls to a file."""

    def __init__(self, file: Path) -> None:
        self._file = file.open("a", encoding="utf-8")

    def __call__(self, method: str, request: Message, answer: Message | Refused) -> None:
        """Write one line; gRPC's threads call this inside a transaction of the state."""
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
    """Return a value without secrets and without long texts."""
    if isinstance(value, dict):
        return {name: _plain(one, name) for name, one in value.items()}
    if isinstance(value, list):
        return [_plain(one, key) for one in value]
    if key in _HIDDEN:
        return "hidden"
    if isinstance(value, str) and len(value) > _LONG:
        return value[:_LONG]
    return value
