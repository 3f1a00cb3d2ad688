"""Trigger events: every record becomes a message, even a malformed one."""

import base64
from datetime import UTC, datetime
from typing import Any

import pytest

from local.timer import timer_event
from shared.triggers import is_timer, raw_messages
from tests.support.service import record


def test_a_record_becomes_a_raw_message() -> None:
    [message] = raw_messages({"messages": [record("C-1", b"\x00\xff", event_id="e-1")]})
    assert (message.event_id, message.device_id) == ("e-1", "C-1")
    assert message.payload == b"\x00\xff"


def test_a_message_has_the_time_when_the_bridge_received_it() -> None:
    noon = datetime(2026, 11, 22, 12, tzinfo=UTC)
    [message] = raw_messages({"messages": [record("C-1", b"x", received_at=noon)]})
    assert message.received_at == noon


@pytest.mark.parametrize("time", [None, 5, "", "noon", "2026-11-22T12:00:00", "x" * 10_000])
def test_a_record_with_an_unreadable_time_is_understood_without_it(time: Any) -> None:
    whole = record("C-1", b"x")
    metadata = {**whole["event_metadata"], "created_at": time}
    [message] = raw_messages({"messages": [{**whole, "event_metadata": metadata}]})
    assert (message.device_id, message.payload, message.received_at) == ("C-1", b"x", None)


def test_records_keep_their_order() -> None:
    batch = [record("C-1", str(n).encode()) for n in range(5)]
    assert [e.payload for e in raw_messages({"messages": batch})] == [b"0", b"1", b"2", b"3", b"4"]


MALFORMED: dict[str, Any] = {
    "a text": "text",
    "null": None,
    "a list": [],
    "empty": {},
    "no metadata": {"details": {"device_id": "C-1", "payload": ""}},
    "metadata is null": {**record("C-1", b"x"), "event_metadata": None},
    "no device": {**record("C-1", b"x"), "details": {"payload": ""}},
    "no payload": {**record("C-1", b"x"), "details": {"device_id": "C-1"}},
    "payload is a number": {
        **record("C-1", b"x"),
        "details": {"device_id": "C-1", "payload": 5},
    },
    "payload is no base64": {
        **record("C-1", b"x"),
        "details": {"device_id": "C-1", "payload": "%%%"},
    },
    "payload is cut": {**record("C-1", b"x"), "details": {"device_id": "C-1", "payload": "abc"}},
    "payload is no ASCII": {
        **record("C-1", b"x"),
        "details": {"device_id": "C-1", "payload": "шкаф"},
    },
}


@pytest.mark.parametrize("broken", MALFORMED.values(), ids=MALFORMED)
def test_a_malformed_record_becomes_a_message_without_a_device_and_blocks_no_other(
    broken: Any,
) -> None:
    good = record("C-1", b"x")
    found = raw_messages({"messages": [broken, good]})
    assert [e.device_id for e in found] == ["", "C-1"]
    assert found[0].payload


def test_a_deeply_nested_record_blocks_no_other() -> None:
    deep: Any = []
    for _ in range(200_000):
        deep = [deep]
    found = raw_messages({"messages": [deep, record("C-1", b"x")]})
    assert [e.device_id for e in found] == ["", "C-1"]


@pytest.mark.parametrize("name", ["event_id", "device_id"])
def test_a_record_without_an_id_is_kept_whole(name: str) -> None:
    nameless = record("C-1", b"x")
    nameless["event_metadata" if name == "event_id" else "details"][name] = ""
    first, second = raw_messages({"messages": [nameless, {**nameless, "another": 1}]})
    assert first.device_id == ""
    assert first.event_id != second.event_id


def test_a_redelivered_malformed_record_has_the_same_id() -> None:
    first, second, other = raw_messages({"messages": [{"a": 1}, {"a": 1}, {"a": 2}]})
    assert first.event_id == second.event_id != other.event_id


@pytest.mark.parametrize("event", [{}, {"messages": None}, {"messages": "x"}, {"messages": {}}])
def test_an_event_without_a_list_of_records_is_an_error(event: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match="no list of messages"):
        raw_messages(event)


def test_an_empty_batch_has_no_messages() -> None:
    assert raw_messages({"messages": []}) == []


def test_the_timer_event_is_recognized() -> None:
    assert is_timer(timer_event())


@pytest.mark.parametrize(
    "event",
    [
        {},
        {"messages": None},
        {"messages": [{}]},
        {"messages": ["x"]},
        {"messages": [record("C-1", b"x")]},
        {"httpMethod": "POST"},
    ],
    ids=lambda event: str(event)[:30],
)
def test_other_events_are_not_timer_events(event: dict[str, Any]) -> None:
    assert not is_timer(event)


def test_a_payload_is_decoded_byte_for_byte() -> None:
    sent = bytes(range(256))
    event = {"messages": [record("C-1", sent)]}
    assert base64.b64decode(event["messages"][0]["details"]["payload"]) == sent
    assert raw_messages(event)[0].payload == sent
