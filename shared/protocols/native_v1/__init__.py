"""native.v1: JSON over MQTT. The contract is docs/protocol.md.

What follows the contract is decoded as it is, anything else as far as it is understood
(`reading.py`). The messages that come out are strict either way.
"""

import json
from contextlib import suppress
from datetime import datetime
from typing import Any
from uuid import UUID

from pydantic import ConfigDict, TypeAdapter, ValidationError

from shared.commands import Command
from shared.messages import AnyMessage
from shared.protocols import Decoded, Undecodable
from shared.protocols.native_v1 import reading

NAME = "native.v1"
MAX_BYTES = 256 * 1024

# Built at the first message: functions that only send commands do not need it.
_adapter: TypeAdapter[AnyMessage] = TypeAdapter(AnyMessage, config=ConfigDict(defer_build=True))


def encode(command: Command, *, command_id: UUID, issued_at: datetime, ttl_s: float) -> bytes:
    """Encode a command as JSON; `issued_at` is an aware time, `ttl_s` is in seconds."""
    body: dict[str, Any] = {
        "v": 1,
        "command_id": str(command_id),
        "kind": command.kind,
        **command.payload(),
        "issued_at": issued_at.isoformat(timespec="milliseconds").replace("+00:00", "Z"),
        "ttl_s": int(ttl_s) if ttl_s == int(ttl_s) else ttl_s,
    }
    return json.dumps(body, separators=(",", ":")).encode()


def decode(payload: bytes) -> Decoded:
    """Decode a JSON message. Raises Undecodable."""
    if len(payload) > MAX_BYTES:
        raise Undecodable(f"the message has {len(payload)} bytes; the limit is {MAX_BYTES}")
    with suppress(ValidationError):
        return Decoded(_adapter.validate_json(payload, strict=True))
    reader = reading.Reader()
    fields = reader.message(reading.parse(payload))
    try:
        message = _adapter.validate_python(fields, strict=True)
    except ValidationError as error:
        first = error.errors(include_url=False, include_input=False, include_context=False)[0]
        where = ".".join(str(part) for part in first["loc"])
        raise Undecodable(f"{where}: {first['msg']}" if where else first["msg"]) from None
    return Decoded(message, tuple(reader.unreadable))
