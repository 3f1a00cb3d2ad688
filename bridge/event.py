"""The IoT Core trigger event: the shape in which a function gets messages, whoever sends them."""

import base64
import re
from datetime import UTC, datetime
from typing import Any
from uuid import uuid4

PAYLOAD_BYTES = 256 * 1024
"""The largest payload that the protocol allows."""

_EVENTS_TOPIC = re.compile(r"\$devices/([^/]+)/events")


class UnexpectedTopic(ValueError):
    """The message is not on `$devices/<device_id>/events`."""


def message(topic: str, payload: bytes, *, registry_id: str) -> dict[str, Any]:
    """One entry of an event, with an id of its own; raises UnexpectedTopic.

    A payload over PAYLOAD_BYTES is cut one byte above: small enough for any function to take,
    too large to pass for a whole one, so that it ends among the anomalies and not nowhere.
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
