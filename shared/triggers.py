"""The trigger edge: events of the IoT trigger (sent by the bridge as well) and of the timer."""

import base64
import hashlib
import json
from contextlib import suppress
from datetime import datetime
from typing import Any

from shared.messages import RawMessage

_MAX_NAME_LENGTH = 200
TIMER = "yandex.cloud.events.serverless.triggers.TimerMessage"


def raw_messages(event: dict[str, Any]) -> list[RawMessage]:
    """Return the messages of an IoT trigger event, in order.

    A record of another shape becomes a message of an unnamed device, so that it is kept as an
    anomaly. Raises ValueError when there are no records at all.
    """
    records = event.get("messages")
    if not isinstance(records, list):
        raise ValueError("the event has no list of messages")  # noqa: TRY004 - it is a value
    return [_raw_message(record) for record in records]


def is_timer(event: dict[str, Any]) -> bool:
    """Whether this is the timer's event."""
    try:
        kinds = {message["event_metadata"]["event_type"] for message in event["messages"]}
    except (KeyError, TypeError):
        return False
    return kinds == {TIMER}


def _raw_message(record: Any) -> RawMessage:
    try:
        metadata, details = record["event_metadata"], record["details"]
        return RawMessage(
            event_id=_name(metadata["event_id"]),
            device_id=_name(details["device_id"]),
            payload=base64.b64decode(details["payload"], validate=True),
            received_at=_time(metadata.get("created_at")),
        )
    except (KeyError, TypeError, ValueError):
        raw = _serialized(record)
        return RawMessage(
            event_id=f"malformed-{hashlib.sha256(raw).hexdigest()}", device_id="", payload=raw
        )


def _name(value: Any) -> str:
    """Return a name as the platform makes them: printable ASCII, not too long. Or ValueError."""
    printable = isinstance(value, str) and value.isascii() and value.isprintable()
    if not (printable and 0 < len(value) <= _MAX_NAME_LENGTH):
        raise ValueError("not a name")
    return str(value)


def _time(value: Any) -> datetime | None:
    """Return a time with its zone; None if it cannot be read: the message is understood anyway."""
    with suppress(TypeError, ValueError):
        time = datetime.fromisoformat(value)
        return time if time.tzinfo else None
    return None


def _serialized(record: Any) -> bytes:
    with suppress(RecursionError):  # raised, it would have the batch delivered again for ever
        return json.dumps(record, sort_keys=True, default=str).encode()
    return b"a record that is nested too deeply to be kept"
