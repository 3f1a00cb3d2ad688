"""native.v1: JSON over MQTT. The contract is docs/protocol.md."""

import json
from datetime import datetime
from typing import Any
from uuid import UUID

from pydantic import ConfigDict, TypeAdapter, ValidationError

from shared.commands import Command
from shared.messages import AnyMessage
from shared.protocols import Undecodable

NAME = "native.v1"
MAX_BYTES = 256 * 1024

# Built when the first message comes: who only sends commands needs none.
_adapter: TypeAdapter[AnyMessage] = TypeAdapter(AnyMessage, config=ConfigDict(defer_build=True))


def encode(command: Command, *, command_id: UUID, issued_at: datetime, ttl_s: float) -> bytes:
    """A command as JSON; `issued_at` must be aware, `ttl_s` is seconds."""
    body: dict[str, Any] = {
        "v": 1,
        "command_id": str(command_id),
        "kind": command.kind,
        **command.payload(),
        "issued_at": issued_at.isoformat(timespec="milliseconds").replace("+00:00", "Z"),
        "ttl_s": int(ttl_s) if ttl_s == int(ttl_s) else ttl_s,
    }
    return json.dumps(body, separators=(",", ":")).encode()


def decode(payload: bytes) -> AnyMessage:
    """A message from JSON; strict about types, indifferent to fields it does not know."""
    if len(payload) > MAX_BYTES:
        raise Undecodable(f"{len(payload)} bytes; at most {MAX_BYTES} are read")
    try:
        return _adapter.validate_json(payload, strict=True)
    except ValidationError as error:
        first = error.errors(include_url=False, include_input=False, include_context=False)[0]
        where = ".".join(str(part) for part in first["loc"])
        raise Undecodable(f"{where}: {first['msg']}" if where else first["msg"]) from None
