"""A device's message in the format of the trigger event."""

import base64
import json
import re
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from bridge import event


def entry(topic: str = "$devices/cab-1/events", payload: bytes = b"Test 4") -> dict[str, Any]:
    return event.message(topic, payload, registry_id="are-1")


def test_a_message_has_exactly_the_fields_of_the_iot_core_trigger_event() -> None:
    message = entry()

    metadata = message.pop("event_metadata")
    assert message == {
        "details": {
            "registry_id": "are-1",
            "device_id": "cab-1",
            "mqtt_topic": "$devices/cab-1/events",
            "payload": "VGVzdCA0",
        }
    }
    assert metadata.keys() == {"event_id", "event_type", "created_at"}
    assert metadata["event_type"] == "yandex.cloud.events.iot.IoTMessage"


def test_the_creation_time_is_now_in_utc_with_microseconds() -> None:
    created_at = entry()["event_metadata"]["created_at"]

    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{6}Z", created_at)
    age = datetime.now(UTC) - datetime.fromisoformat(created_at)
    assert timedelta(0) <= age < timedelta(seconds=5)


def test_equal_messages_have_different_ids() -> None:
    assert entry()["event_metadata"]["event_id"] != entry()["event_metadata"]["event_id"]


@pytest.mark.parametrize("payload", [b"", b"\x00\xff\xfe", "шкаф".encode()])
def test_a_payload_is_encoded_byte_for_byte(payload: bytes) -> None:
    encoded = json.loads(json.dumps(entry(payload=payload)))["details"]["payload"]

    assert base64.b64decode(encoded, validate=True) == payload


def test_a_payload_at_the_limit_is_sent_whole() -> None:
    payload = b"x" * event.PAYLOAD_BYTES

    assert base64.b64decode(entry(payload=payload)["details"]["payload"]) == payload


def test_a_payload_over_the_limit_is_truncated_just_above_it() -> None:
    payload = b"x" * (event.PAYLOAD_BYTES + 1000)

    assert len(base64.b64decode(entry(payload=payload)["details"]["payload"])) == (
        event.PAYLOAD_BYTES + 1
    )


@pytest.mark.parametrize(
    "topic",
    [
        "$devices/cab-1/commands",
        "$devices/cab-1/events/door",
        "$devices//events",
        "$devices/cab-1/events\n",
        "x$devices/cab-1/events",
        "$registries/are-1/commands",
        "",
    ],
)
def test_an_unexpected_topic_is_refused_and_named(topic: str) -> None:
    with pytest.raises(event.UnexpectedTopic) as refusal:
        entry(topic=topic)

    assert str(refusal.value) == topic
