"""The trigger edge: the events of the IoT trigger (or the bridge) and of the timer."""

import base64
import hashlib
import json
from contextlib import suppress
from typing import Any

from shared.services.ingest import Envelope

_LONGEST_TOKEN = 200
TIMER = "yandex.cloud.events.serverless.triggers.TimerMessage"


def envelopes(event: dict[str, Any]) -> list[Envelope]:
    """The messages of an IoT trigger event, in order.

    A record that is not of the documented shape becomes an envelope of nobody, so that it is kept.
    Raises ValueError when there are no records at all.
    """
    messages = event.get("messages")
    if not isinstance(messages, list):
        raise ValueError("the event has no list of messages")  # noqa: TRY004 - it is a value
    return [_envelope(record) for record in messages]


def is_timer(event: dict[str, Any]) -> bool:
    """Whether this is the timer's event."""
    try:
        kinds = {message["event_metadata"]["event_type"] for message in event["messages"]}
    except (KeyError, TypeError):
        return False
    return kinds == {TIMER}


def _envelope(record: Any) -> Envelope:
    try:
        metadata, details = record["event_metadata"], record["details"]
        return Envelope(
            event_id=_token(metadata["event_id"]),
            device_id=_token(details["device_id"]),
            payload=base64.b64decode(details["payload"], validate=True),
        )
    except (KeyError, TypeError, ValueError):
        raw = _raw(record)
        return Envelope(
            event_id=f"malformed-{hashlib.sha256(raw).hexdigest()}", device_id="", payload=raw
        )


def _token(value: Any) -> str:
    """A name as the bus makes them: printable ASCII, not too long. Raises ValueError."""
    printable = isinstance(value, str) and value.isascii() and value.isprintable()
    if not (printable and 0 < len(value) <= _LONGEST_TOKEN):
        raise ValueError("no name")
    return str(value)


def _raw(record: Any) -> bytes:
    with suppress(RecursionError):  # which would have the batch delivered again for ever
        return json.dumps(record, sort_keys=True, default=str).encode()
    return b"a record that is nested too deeply to be kept"
