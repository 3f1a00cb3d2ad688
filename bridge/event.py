"""The format of IoT Core's trigger event, in which the function receives messages."""

import base64
import re
from datetime import UTC, datetime
from typing import Any
from uuid import uuid4

PAYLOAD_BYTES = 256 * 1024
"""Size limit of a payload, as in IoT Core."""

_EVENTS_TOPIC = re.compile(r"\$devices/([^/]+)/events")


class UnexpectedTopic(ValueError):
    """The topic is not `$devices/<device_id>/events`."""


def message(topic: str, payload: bytes, *, registry_id: str) -> dict[str, Any]:
    """Return a message as an entry of the trigger event, with a new id. Raises UnexpectedTopic.

    A payload over PAYLOAD_BYTES is cut to one byte more: small enough for an invocation, and still
    too large for the function, which records it as an anomaly instead of losing it.
    """
    match = _EVENTS_TOPIC.fullmatch(topic)
    if match is None:
        raise UnexpectedTopic(topic)
    received_at = datetime.now(UTC).isoformat(timespec="microseconds").replace("+00:00", "Z")
    return {
        "event_metadata": {
            "event_id": str(uuid4()),
            "event_type": "yandex.cloud.events.iot.IoTMessage",
            "created_at": received_at,
        },
        "details": {
            "registry_id": registry_id,
            "device_id": match[1],
            "mqtt_topic": topic,
            "payload": base64.b64encode(payload[: PAYLOAD_BYTES + 1]).decode(),
        },
    }
