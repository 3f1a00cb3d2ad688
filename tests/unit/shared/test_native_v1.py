"""native.v1: encodes commands, decodes messages."""

import json
from contextlib import suppress
from datetime import UTC, datetime, timedelta, timezone
from typing import Any
from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import TypeAdapter

from shared.commands.report_state import ReportState
from shared.commands.unlock import Unlock
from shared.messages import AnyMessage, CellEvent, CommandResult, Hello, StateReport
from shared.protocols import Undecodable, codecs, native_v1
from tests.support.pages import blocks

ID = UUID("0b9f2a6c-53a4-4f5b-8a53-6d6c2b1f9e02")
NOON = datetime(2026, 11, 22, 12, 0, 0, 123999, tzinfo=UTC)
HELLO = {"v": 1, "type": "hello", "boot_id": "b-1", "seq": 0}
CELL = {"cell_number": 1, "door": "closed", "accumulator_id": None}


def decode(message: Any) -> Any:
    return native_v1.decode(json.dumps(message).encode()).message


def refusal(payload: bytes) -> str:
    with pytest.raises(Undecodable) as caught:
        native_v1.decode(payload)
    return str(caught.value)


def test_the_codec_is_registered_by_name() -> None:
    assert codecs()["native.v1"].encode is native_v1.encode


def test_a_command_is_encoded_as_a_flat_json_object() -> None:
    payload = native_v1.encode(Unlock(cells=[3, 5]), command_id=ID, issued_at=NOON, ttl_s=15.0)
    assert json.loads(payload) == {
        "v": 1,
        "command_id": str(ID),
        "kind": "unlock",
        "cells": [3, 5],
        "issued_at": "2026-11-22T12:00:00.123Z",
        "ttl_s": 15,
    }
    assert b'"ttl_s":15}' in payload  # without a decimal point


def test_a_ttl_may_be_a_fraction() -> None:
    payload = native_v1.encode(ReportState(), command_id=ID, issued_at=NOON, ttl_s=0.5)
    assert json.loads(payload)["ttl_s"] == 0.5


def test_a_time_in_another_zone_is_encoded_with_its_offset() -> None:
    there = NOON.astimezone(timezone(timedelta(hours=3)))
    payload = native_v1.encode(ReportState(), command_id=ID, issued_at=there, ttl_s=1)
    assert datetime.fromisoformat(json.loads(payload)["issued_at"]) == NOON.replace(
        microsecond=123000
    )


@pytest.mark.parametrize(
    ("message", "kind"),
    [
        (HELLO, Hello),
        ({**HELLO, "type": "state_report", "cells": [CELL]}, StateReport),
        ({**HELLO, "type": "cell_event", "cell": CELL}, CellEvent),
        (
            {**HELLO, "type": "command_result", "command_id": "x", "status": "done"},
            CommandResult,
        ),
    ],
    ids=["hello", "state_report", "cell_event", "command_result"],
)
def test_every_message_type_is_decoded(message: dict[str, Any], kind: type) -> None:
    assert isinstance(decode(message), kind)


@pytest.mark.parametrize(
    ("message", "where"),
    [
        ({}, "type"),
        ([], ""),
        ("hello", ""),
        ({**HELLO, "type": "bye"}, "type"),
        ({**HELLO, "v": "2"}, "hello.v"),
        ({**HELLO, "seq": 1.5}, "hello.seq"),
        ({**HELLO, "seq": True}, "hello.seq"),
        ({**HELLO, "seq": 10**40}, "hello.seq"),
        ({**HELLO, "boot_id": True}, "hello.boot_id"),
        ({**HELLO, "type": "cell_event", "cell": None}, "cell_event.cell"),
        ({**HELLO, "type": "command_result", "status": "done"}, "command_result.command_id"),
        (
            {**HELLO, "type": "command_result", "command_id": "x", "status": "perhaps"},
            "command_result.status",
        ),
    ],
    ids=str,
)
def test_an_invalid_message_is_refused_naming_the_field(message: Any, where: str) -> None:
    reason = refusal(json.dumps(message).encode())
    assert where in reason
    assert "pydantic" not in reason


@pytest.mark.parametrize(
    "payload",
    [
        b"",
        b"\xff\xfe",
        b"{",
        b"null",
        b"[" * 10_000,
        b'{"a":' * 5_000,
        json.dumps({**HELLO, "boot_id": "\ud800"}).encode(),
        json.dumps({**HELLO, "boot_id": "b\x00"}).encode(),
    ],
    ids=["empty", "no UTF-8", "cut", "null", "arrays", "objects", "surrogate", "NUL"],
)
def test_bytes_that_are_not_a_json_message_are_refused(payload: bytes) -> None:
    assert refusal(payload)


def test_a_message_over_the_size_limit_is_refused_unparsed() -> None:
    just_right = json.dumps(HELLO).encode().ljust(native_v1.MAX_BYTES)
    assert isinstance(native_v1.decode(just_right).message, Hello)
    assert "262145 bytes; the limit is 262144" in refusal(just_right + b" ")


def test_unknown_fields_are_ignored() -> None:
    assert decode({**HELLO, "firmware": "1.4.2", "colour": "red"}).firmware == "1.4.2"


@given(payload=st.binary(max_size=200) | st.text(max_size=100).map(str.encode))
def test_any_bytes_are_a_message_or_undecodable(payload: bytes) -> None:
    with suppress(Undecodable):
        native_v1.decode(payload)


EXAMPLES = [block.text for block in blocks("docs/protocol.md") if block.language == "json"]
"""A command, and messages of each type, as the authors of firmware see them."""


def test_the_command_on_the_page_is_what_a_cabinet_receives() -> None:
    ten = datetime(2026, 11, 22, 10, tzinfo=UTC)
    payload = native_v1.encode(Unlock(cells=[3, 5]), command_id=ID, issued_at=ten, ttl_s=15)
    assert json.loads(payload) == json.loads(EXAMPLES[0])


def test_the_messages_on_the_page_are_decoded_without_loss() -> None:
    for example in EXAMPLES[1:]:
        message, unreadable = native_v1.decode(example.encode())
        strict: TypeAdapter[AnyMessage] = TypeAdapter(AnyMessage)
        assert message == strict.validate_python(json.loads(example), strict=True)
        assert unreadable == ()
