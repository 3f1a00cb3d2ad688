"""Messages are strict: what devices really send is read before."""

from typing import Any

import pytest
from pydantic import ValidationError

from shared.messages import CellState, CommandCell, Hello, StateReport


def cell(**fields: Any) -> CellState:
    return CellState.model_validate(
        {"cell_number": 1, "door": "closed", "accumulator_id": "A-1", **fields}, strict=True
    )


@pytest.mark.parametrize("reported", [None, "?", "A-1", "A.B_C:D-9", "X" * 64], ids=repr)
def test_an_accumulator_id_may_be_text_null_or_unreadable(reported: str | None) -> None:
    assert cell(accumulator_id=reported).accumulator_id == reported


@pytest.mark.parametrize("reported", [None, 0, 1, 99, 100])
def test_a_charge_may_be_a_whole_percentage_or_null(reported: int | None) -> None:
    assert cell(battery_charge=reported).battery_charge == reported


@pytest.mark.parametrize(
    "fields",
    [
        {"cell_number": 0},
        {"cell_number": 1001},
        {"cell_number": "1"},
        {"cell_number": True},
        {"door": "ajar"},
        {"door": None},
        {"accumulator_id": ""},
        {"accumulator_id": "X" * 65},
        {"accumulator_id": "A 1"},
        {"accumulator_id": "A-1\n"},
        {"accumulator_id": "\u0410-1"},
        {"accumulator_id": "a-1"},
        {"accumulator_id": "0000"},
        {"battery_charge": 101},
        {"battery_charge": 98.5},
        {"battery_charge": "98"},
        {"state_of_health": -1},
        {"charging": "yes"},
        {"temperature_c": "hot"},
        {"temperature_c": 151.0},
        {"fault": ""},
        {"fault": "x" * 65},
        {"fault": "\x00"},
    ],
    ids=str,
)
def test_a_value_outside_its_limits_is_invalid(fields: dict[str, Any]) -> None:
    with pytest.raises(ValidationError):
        cell(**fields)


def test_unknown_fields_are_ignored() -> None:
    assert not hasattr(cell(humidity=40), "humidity")


def test_the_accumulator_id_is_required() -> None:
    with pytest.raises(ValidationError, match="accumulator_id"):
        CellState.model_validate({"cell_number": 1, "door": "closed"})


def test_the_result_of_a_cell_may_be_any_short_text() -> None:
    assert CommandCell(cell_number=1, result="exploded").result == "exploded"
    for wrong in ("", "x" * 65, "\x00"):
        with pytest.raises(ValidationError):
            CommandCell(cell_number=1, result=wrong)


@pytest.mark.parametrize(
    "fields",
    [
        {"v": 2},
        {"boot_id": ""},
        {"boot_id": "x" * 65},
        {"boot_id": "b\x00"},
        {"seq": -1},
        {"seq": 2**63},
        {"seq": "1"},
        {"sent_at": "x" * 65},
    ],
    ids=str,
)
def test_the_common_fields_of_a_message_are_validated(fields: dict[str, Any]) -> None:
    hello = {"v": 1, "type": "hello", "boot_id": "b-1", "seq": 1}
    Hello.model_validate(hello, strict=True)
    with pytest.raises(ValidationError):
        Hello.model_validate(hello | fields, strict=True)


def test_a_report_has_at_most_1000_cells() -> None:
    one = {"door": "closed", "accumulator_id": None}
    cells = [{"cell_number": number, **one} for number in range(1, 1001)]
    report = {"v": 1, "type": "state_report", "boot_id": "b", "seq": 1}
    assert len(StateReport.model_validate({**report, "cells": cells}).cells) == 1000
    with pytest.raises(ValidationError):
        StateReport.model_validate({**report, "cells": [*cells, cells[0]]})
