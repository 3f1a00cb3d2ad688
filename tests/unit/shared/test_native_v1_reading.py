"""What devices really send: how native.v1 reads it."""

import json
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from shared.messages import CellState, CommandResult, Goodbye, Hello, StateReport
from shared.protocols import Decoded, Undecodable, native_v1

REPORT: dict[str, Any] = {
    "v": 1,
    "type": "state_report",
    "boot_id": "b-1",
    "seq": 7,
    "sent_at": "2026-11-22T10:00:00Z",
    "command_id": "0b9f2a6c-53a4-4f5b-8a53-6d6c2b1f9e02",
    "alarms": [],
    "cells": [
        {
            "cell_number": number,
            "door": "closed",
            "accumulator_id": f"A-{number}",
            "battery_charge": 90,
            "state_of_health": 96,
            "charging": True,
            "temperature_c": 24.5,
            "fault": None,
        }
        for number in (1, 2, 3)
    ],
}
RESULT = {
    "v": 1,
    "type": "command_result",
    "boot_id": "b-1",
    "seq": 8,
    "command_id": "x",
    "status": "done",
    "cells": [{"cell_number": 1, "result": "opened"}],
}
HELLO = {"v": 1, "type": "hello", "boot_id": "b-1", "seq": 0}


def decode(document: Any) -> Decoded:
    return native_v1.decode(json.dumps(document).encode())


def first_cell(**fields: Any) -> tuple[CellState, list[str]]:
    """Return the first cell of a report with these fields, and what was not understood."""
    cells = [{**REPORT["cells"][0], **fields}, *REPORT["cells"][1:]]
    message, unreadable = decode({**REPORT, "cells": cells})
    assert isinstance(message, StateReport)
    return message.cells[0], [str(value) for value in unreadable]


@pytest.mark.parametrize("before", [b"", b"\xef\xbb\xbf", b" \r\n", b"\0", b"\xef\xbb\xbf \0"])
@pytest.mark.parametrize("after", [b"", b"\0", b"\r\n\0\0", b"\xef\xbb\xbf"])
def test_bytes_around_the_document_are_ignored(before: bytes, after: bytes) -> None:
    message, unreadable = native_v1.decode(before + json.dumps(REPORT).encode() + after)
    assert isinstance(message, StateReport)
    assert unreadable == ()


@pytest.mark.parametrize("literal", ["7", "7.0", "0.7e1", '"7"', '"7.0"', '" 7 "', "700e-2"])
@pytest.mark.parametrize("field", ["seq", "cell_number", "battery_charge", "state_of_health"])
def test_a_whole_number_may_be_written_in_any_way(field: str, literal: str) -> None:
    text = json.dumps(REPORT)
    given_values = {"seq": 7, "cell_number": 1, "battery_charge": 90, "state_of_health": 96}
    old = f'"{field}": {given_values[field]}'
    message = native_v1.decode(text.replace(old, f'"{field}": {literal}', 1).encode()).message
    assert isinstance(message, StateReport)
    read = message.seq if field == "seq" else vars(message.cells[0])[field]
    assert (read, type(read)) == (7, int)


def test_a_large_number_keeps_all_its_digits() -> None:
    document = json.dumps(HELLO).replace('"seq": 0', '"seq": 9007199254740993.0')
    assert (
        native_v1.decode(document.encode()).message
        == decode({**HELLO, "seq": 9007199254740993}).message
    )


@pytest.mark.parametrize("version", [1.0, "1", "1.0"])
def test_the_version_is_a_whole_number(version: Any) -> None:
    assert decode({**HELLO, "v": version}).message.v == 1


@pytest.mark.parametrize("boot_id", [17, 17.0, "17"])
def test_an_id_given_as_a_number_is_its_digits(boot_id: Any) -> None:
    assert decode({**HELLO, "boot_id": boot_id}).message.boot_id == "17"
    message = decode({**RESULT, "command_id": boot_id}).message
    assert isinstance(message, CommandResult)
    assert message.command_id == "17"


@pytest.mark.parametrize("sent_at", [0, 1763805600, None, "1970-01-01", "x" * 65, {}, "a\0"])
def test_the_devices_clock_decides_nothing(sent_at: Any) -> None:
    _, unreadable = decode({**HELLO, "sent_at": sent_at})
    assert unreadable == ()


@pytest.mark.parametrize(
    ("charge", "read"), [(97.9, 97), ("97", 97), ("97.9", 97), (0.4, 0), (100, 100), (None, None)]
)
def test_a_fraction_of_a_percent_is_rounded_down(charge: Any, read: int | None) -> None:
    for field in ("battery_charge", "state_of_health"):
        cell, unreadable = first_cell(**{field: charge})
        assert vars(cell)[field] == read
        assert unreadable == []


@pytest.mark.parametrize("charge", [-0.5, 100.1, 255, True, "full", [], {}, 10**400, "9" * 100])
def test_any_other_charge_is_unknown(charge: Any) -> None:
    cell, [told] = first_cell(battery_charge=charge)
    assert (cell.battery_charge, cell.accumulator_id) == (None, "A-1")
    assert told.startswith("cell 1: battery_charge is ")
    assert len(told) < 200


@pytest.mark.parametrize(
    ("given_id", "read"), [("f3-ab", "F3-AB"), (" A-9\r\n\0", "A-9"), (1234, "1234"), (None, None)]
)
def test_an_accumulator_id_is_read_in_any_case(given_id: Any, read: str | None) -> None:
    cell, unreadable = first_cell(accumulator_id=given_id)
    assert (cell.accumulator_id, unreadable) == (read, [])


@pytest.mark.parametrize(
    "given_id", ["?", "0000000000", "0", "ffff", "FFFFFFFF", "   ", "", "00-00-00", 0]
)
def test_a_reader_that_has_read_nothing_reports_something_unreadable(given_id: Any) -> None:
    cell, _ = first_cell(accumulator_id=given_id)
    assert cell.accumulator_id == "?"


@pytest.mark.parametrize(
    "given_id", ["A 1", "??", "x" * 65, "\u0410-1", "\u00df", "\u017f", "\ud800", True, 1.5, [], {}]
)
def test_what_is_no_id_is_something_unreadable_and_never_empty(given_id: Any) -> None:
    cell, [told] = first_cell(accumulator_id=given_id)
    assert cell.accumulator_id == "?"
    assert told.startswith("cell 1: accumulator_id is ")


def test_a_missing_accumulator_id_is_not_an_empty_cell() -> None:
    cells = [{"cell_number": 1, "door": "closed"}]
    message, [value] = decode({**REPORT, "cells": cells})
    assert isinstance(message, StateReport)
    assert message.cells[0].accumulator_id == "?"
    assert str(value) == "cell 1: accumulator_id is missing"


@pytest.mark.parametrize("door", ["ajar", "OPEN", None, 1, [], {}])
def test_another_word_for_a_door_is_unknown(door: Any) -> None:
    cell, unreadable = first_cell(door=door)
    assert cell.door == "unknown"
    assert len(unreadable) == 1


@pytest.mark.parametrize(
    ("fault", "read"),
    [
        (None, None),
        ("", None),
        (0, None),
        (0.0, None),
        (False, None),
        ("lock", "lock"),
        (17, "17"),
        (1.5, "1.5"),
        (True, "true"),
        ("x" * 100, "x" * 64),
        ([], "unreadable"),
        ({}, "unreadable"),
        ("a\0", "unreadable"),
        ("\ud800", "unreadable"),
    ],
)
def test_any_fault_is_kept_as_a_text(fault: Any, read: str | None) -> None:
    assert first_cell(fault=fault)[0].fault == read


@pytest.mark.parametrize(
    ("alarms", "read"),
    [
        (None, []),
        ([], []),
        ("smoke", ["smoke"]),
        (["smoke", None, "", 3], ["smoke", "3"]),
        ([{}], ["unreadable"]),
        ({}, ["unreadable"]),
        ([str(number) for number in range(200)], [str(number) for number in range(100)]),
    ],
)
def test_any_alarm_is_kept_as_a_text(alarms: Any, read: list[str]) -> None:
    message = decode({**REPORT, "alarms": alarms}).message
    assert isinstance(message, StateReport)
    assert message.alarms == read


@pytest.mark.parametrize(
    "fields", [{"charging": 1}, {"temperature_c": "hot"}, {"temperature_c": -61}], ids=str
)
def test_charging_and_temperature_that_are_not_understood_are_unknown(
    fields: dict[str, Any],
) -> None:
    cell, unreadable = first_cell(**fields)
    [name] = fields
    assert vars(cell)[name] is None
    assert len(unreadable) == 1


@pytest.mark.parametrize("literal", ["NaN", "Infinity", "151", "1e400", "1e9999999999999999999"])
def test_an_impossible_temperature_is_unknown(literal: str) -> None:
    text = json.dumps(REPORT).replace("24.5", literal, 1)
    message = native_v1.decode(text.encode()).message
    assert isinstance(message, StateReport)
    assert message.cells[0].temperature_c is None


def test_a_cell_twice_alike_is_one_cell() -> None:
    message, unreadable = decode({**REPORT, "cells": REPORT["cells"] * 2})
    assert message == decode(REPORT).message
    assert unreadable == ()


def test_a_cell_twice_unlike_is_left_out_as_unknown() -> None:
    other = {**REPORT["cells"][0], "battery_charge": 5}
    message, [value] = decode({**REPORT, "cells": [*REPORT["cells"], other]})
    assert isinstance(message, StateReport)
    assert [cell.cell_number for cell in message.cells] == [2, 3]
    assert value.cell_number == 1


@pytest.mark.parametrize("number", [0, -1, "one", None, 1.5, True, 1001, []])
def test_an_entry_without_a_cell_number_is_left_out(number: Any) -> None:
    message, [value] = decode(
        {**REPORT, "cells": [*REPORT["cells"], {**REPORT["cells"][0], "cell_number": number}]}
    )
    assert message == decode(REPORT).message
    assert value.field == "cell_number"


@pytest.mark.parametrize("entry", [None, 5, "cell", [], True])
def test_an_entry_that_is_no_object_is_left_out(entry: Any) -> None:
    assert decode({**REPORT, "cells": [*REPORT["cells"], entry]}).message == decode(REPORT).message


@pytest.mark.parametrize("cells", [None, 5, {}, "cells"])
def test_a_report_without_a_list_of_cells_reports_no_cell(cells: Any) -> None:
    message = decode({**REPORT, "cells": cells}).message
    assert isinstance(message, StateReport)
    assert message.cells == []


@pytest.mark.parametrize(
    ("result", "read"),
    [("exploded", "exploded"), (3, "3"), (None, "unreadable"), ([], "unreadable")],
)
def test_any_result_of_a_cell_but_the_right_word_is_a_failure(result: Any, read: str) -> None:
    message = decode({**RESULT, "cells": [{"cell_number": 1, "result": result}]}).message
    assert isinstance(message, CommandResult)
    assert message.cells[0].result == read


def test_a_result_with_an_unknown_status_is_read_by_its_cells() -> None:
    message = decode({**RESULT, "status": "finished"}).message
    assert isinstance(message, CommandResult)
    assert message.status == "done"


def test_a_result_with_an_unknown_status_and_no_cells_is_malformed() -> None:
    with pytest.raises(Undecodable, match="status"):
        decode({**RESULT, "status": "finished", "cells": []})


def test_the_last_will_has_no_number() -> None:
    message = decode({"v": 1, "type": "goodbye", "boot_id": "b-1", "session": 81}).message
    assert isinstance(message, Goodbye)
    assert message.session == "81"


def test_a_hello_with_unreadable_fields_is_a_hello() -> None:
    message, unreadable = decode({**HELLO, "firmware": [], "cells_total": "many", "session": {}})
    assert isinstance(message, Hello)
    assert (message.firmware, message.cells_total, message.session) == (None, None, None)
    assert len(unreadable) == 3


UNUSABLE: tuple[Any, ...] = (None, [], {}, True, -1, 1.5, "", "x" * 65)
USABLE = [("boot_id", -1), ("v", True)]
"""The digits of any whole number are an id; true is 1 to the strict model."""


@pytest.mark.parametrize(
    ("field", "value"),
    [
        (field, value)
        for field in ("v", "type", "boot_id", "seq")
        for value in UNUSABLE
        if (field, value) not in USABLE
    ],
    ids=repr,
)
def test_a_message_without_its_envelope_is_malformed(field: str, value: Any) -> None:
    with pytest.raises(Undecodable):
        decode({**REPORT, field: value})


def test_a_message_reports_a_limited_number_of_unreadable_values() -> None:
    _, unreadable = decode({**REPORT, "cells": [{}] * 10_000})
    assert len(unreadable) == 100


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=70),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner),
    max_leaves=5,
)


@settings(max_examples=500)
@given(field=st.sampled_from(sorted(REPORT["cells"][0])), value=JSON)
def test_any_value_of_a_field_of_a_cell_changes_at_most_that_cell(field: str, value: Any) -> None:
    cells = [*REPORT["cells"][:1], {**REPORT["cells"][1], field: value}, *REPORT["cells"][2:]]
    message = decode({**REPORT, "cells": cells}).message
    expected = decode(REPORT).message
    assert isinstance(message, StateReport)
    assert isinstance(expected, StateReport)
    touched = {2, value} if field == "cell_number" and isinstance(value, int) else {2}
    read = {cell.cell_number: cell for cell in message.cells}
    for cell in expected.cells:
        if cell.cell_number not in touched:
            assert read[cell.cell_number] == cell
    if field != "cell_number":
        changed, before = dict(read[2]), dict(expected.cells[1])
        assert {name for name in changed if changed[name] != before[name]} <= {field}


@settings(max_examples=500)
@given(field=st.sampled_from(["sent_at", "command_id", "alarms"]), value=JSON)
def test_any_value_of_an_optional_field_leaves_the_cells_as_they_are(
    field: str, value: Any
) -> None:
    message = decode({**REPORT, field: value}).message
    expected = decode(REPORT).message
    assert isinstance(message, StateReport)
    assert isinstance(expected, StateReport)
    assert message.cells == expected.cells
