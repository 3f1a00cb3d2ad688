"""What cabinets may say of a cell, and what is not believed."""

from typing import Any

import pytest
from pydantic import ValidationError

from shared.messages import CellState, CommandCell, Hello, StateReport, Unusable


def cell(**fields: Any) -> CellState:
    return CellState.model_validate(
        {"cell_number": 1, "door": "closed", "accumulator_id": "A-1", **fields}, strict=True
    )


@pytest.mark.parametrize("said", [None, "?", "A-1", "a.b_c:d-9", "x" * 64], ids=repr)
def test_an_id_is_a_text_nothing_or_unreadable(said: str | None) -> None:
    state = cell(accumulator_id=said)
    assert state.accumulator_id == said
    assert state.doubt() is None


@pytest.mark.parametrize("said", ["", "x" * 65, "A 1", "A\n1", "A-1\n", "\u0410-1", "??"], ids=repr)
def test_a_text_that_is_no_id_makes_the_cell_not_believed(said: str) -> None:
    state = cell(accumulator_id=said)
    assert isinstance(vars(state)["accumulator_id"], Unusable)
    assert state.doubt() == f"cell 1: accumulator_id is {said!r}"


@pytest.mark.parametrize("said", [None, 0, 1, 99, 100])
def test_a_charge_is_whole_percent_or_unknown(said: int | None) -> None:
    state = cell(battery_charge=said)
    assert state.battery_charge == said
    assert state.doubt() is None


@pytest.mark.parametrize("said", [-1, 101, 255, 10**30, 98.5, "98", True, [], {}], ids=repr)
def test_anything_else_makes_the_cell_not_believed(said: Any) -> None:
    state = cell(battery_charge=said)
    assert isinstance(state.battery_charge, Unusable)
    assert (state.doubt() or "").startswith("cell 1: battery_charge is ")


@pytest.mark.parametrize("said", [-1, 101, "96"], ids=repr)
def test_a_strange_state_of_health_is_no_reason_for_doubt(said: Any) -> None:
    assert cell(state_of_health=said).doubt() is None


def test_a_doubt_is_short_whatever_was_said() -> None:
    assert len(cell(battery_charge="9" * 10_000).doubt() or "") < 200


@pytest.mark.parametrize(
    "fields",
    [
        {"cell_number": 0},
        {"cell_number": 1001},
        {"cell_number": "1"},
        {"cell_number": True},
        {"door": "ajar"},
        {"door": None},
        {"charging": "yes"},
        {"temperature_c": "hot"},
        {"fault": ""},
        {"fault": "x" * 65},
        {"fault": "\x00"},
    ],
    ids=str,
)
def test_other_fields_must_be_as_documented(fields: dict[str, Any]) -> None:
    with pytest.raises(ValidationError):
        cell(**fields)


def test_fields_that_are_not_known_are_ignored() -> None:
    assert not hasattr(cell(humidity=40), "humidity")


def test_an_accumulator_must_be_spoken_of() -> None:
    with pytest.raises(ValidationError, match="accumulator_id"):
        CellState.model_validate({"cell_number": 1, "door": "closed"})


def test_a_commands_cell_may_have_any_short_result() -> None:
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
def test_what_every_message_has_is_checked(fields: dict[str, Any]) -> None:
    hello = {"v": 1, "type": "hello", "boot_id": "b-1", "seq": 1}
    Hello.model_validate(hello, strict=True)
    with pytest.raises(ValidationError):
        Hello.model_validate(hello | fields, strict=True)


def test_a_report_has_no_more_cells_than_a_cabinet_may_have() -> None:
    one = {"cell_number": 1, "door": "closed", "accumulator_id": None}
    report = {"v": 1, "type": "state_report", "boot_id": "b", "seq": 1}
    assert len(StateReport.model_validate({**report, "cells": [one] * 1000}).cells) == 1000
    with pytest.raises(ValidationError):
        StateReport.model_validate({**report, "cells": [one] * 1001})
