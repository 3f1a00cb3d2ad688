"""native.v1: commands as bytes, bytes as messages."""

import json
from contextlib import suppress
from datetime import UTC, datetime, timedelta, timezone
from typing import Any
from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shared.commands.report_state import ReportState
from shared.commands.unlock import Unlock
from shared.messages import CellEvent, CommandResult, Hello, StateReport
from shared.protocols import Undecodable, codecs, native_v1

ID = UUID("0b9f2a6c-53a4-4f5b-8a53-6d6c2b1f9e02")
NOON = datetime(2026, 11, 22, 12, 0, 0, 123999, tzinfo=UTC)
HELLO = {"v": 1, "type": "hello", "boot_id": "b-1", "seq": 0}
CELL = {"cell_number": 1, "door": "closed", "accumulator_id": None}


def decode(message: Any) -> Any:
    return native_v1.decode(json.dumps(message).encode())


def refused(payload: bytes) -> str:
    with pytest.raises(Undecodable) as caught:
        native_v1.decode(payload)
    return str(caught.value)


def test_it_is_registered_by_its_name() -> None:
    assert codecs()["native.v1"].encode is native_v1.encode


def test_a_command_is_a_flat_object_of_what_it_needs() -> None:
    payload = native_v1.encode(Unlock(cells=[3, 5]), command_id=ID, issued_at=NOON, ttl_s=15.0)
    assert json.loads(payload) == {
        "v": 1,
        "command_id": str(ID),
        "kind": "unlock",
        "cells": [3, 5],
        "issued_at": "2026-11-22T12:00:00.123Z",
        "ttl_s": 15,
    }
    assert b'"ttl_s":15}' in payload  # a whole number is written as one


def test_a_ttl_may_be_a_fraction() -> None:
    payload = native_v1.encode(ReportState(), command_id=ID, issued_at=NOON, ttl_s=0.5)
    assert json.loads(payload)["ttl_s"] == 0.5


def test_a_time_of_another_zone_says_which() -> None:
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
def test_every_type_of_message_is_understood(message: dict[str, Any], kind: type) -> None:
    assert isinstance(decode(message), kind)


@pytest.mark.parametrize(
    ("message", "where"),
    [
        ({}, "type"),
        ([], ""),
        ("hello", ""),
        ({**HELLO, "type": "bye"}, "type"),
        ({**HELLO, "v": "1"}, "hello.v"),
        ({**HELLO, "seq": 1.5}, "hello.seq"),
        ({**HELLO, "seq": True}, "hello.seq"),
        ({**HELLO, "seq": 10**40}, "hello.seq"),
        ({**HELLO, "boot_id": 5}, "hello.boot_id"),
        ({**HELLO, "type": "state_report"}, "state_report.cells"),
        ({**HELLO, "type": "state_report", "cells": [{}]}, "state_report.cells.0.cell_number"),
        ({**HELLO, "type": "cell_event", "cell": None}, "cell_event.cell"),
        ({**HELLO, "type": "command_result", "status": "done"}, "command_result.command_id"),
        (
            {**HELLO, "type": "command_result", "command_id": "x", "status": "perhaps"},
            "command_result.status",
        ),
    ],
    ids=str,
)
def test_a_message_of_another_shape_is_refused_by_its_place(message: Any, where: str) -> None:
    told = refused(json.dumps(message).encode())
    assert where in told
    assert "pydantic" not in told


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
def test_bytes_that_are_no_json_of_ours_are_refused(payload: bytes) -> None:
    assert refused(payload)


def test_a_message_that_is_too_long_is_not_even_read() -> None:
    just_right = json.dumps(HELLO).encode().ljust(native_v1.MAX_BYTES)
    assert isinstance(native_v1.decode(just_right), Hello)
    assert "262145 bytes; at most 262144 are read" in refused(just_right + b" ")


def test_fields_that_are_not_known_are_ignored() -> None:
    assert decode({**HELLO, "firmware": "1.4.2", "colour": "red"}).firmware == "1.4.2"


def test_a_strange_charge_spoils_its_cell_and_not_the_message() -> None:
    report = decode(
        {
            **HELLO,
            "type": "state_report",
            "cells": [{**CELL, "battery_charge": 255}, {**CELL, "cell_number": 2}],
        }
    )
    assert [bool(cell.doubt()) for cell in report.cells] == [True, False]


@given(payload=st.binary(max_size=200) | st.text(max_size=100).map(str.encode))
def test_whatever_the_bytes_they_are_a_message_or_undecodable(payload: bytes) -> None:
    with suppress(Undecodable):
        native_v1.decode(payload)
