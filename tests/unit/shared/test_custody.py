"""Custody: the error for accumulators that a contractor does not have."""

from typing import Any

import pytest

from shared.errors import AccumulatorNotHeld
from shared.services import custody

COLUMNS = ("cabinet_id", "cell_number", "contractor_id", "scooter_id")


def row(**place: Any) -> dict[str, Any]:
    return dict.fromkeys(COLUMNS) | place


def refusal(rows: dict[str, dict[str, Any]], *accumulator_ids: str) -> AccumulatorNotHeld:
    with pytest.raises(AccumulatorNotHeld) as refused:
        custody.check_held(rows, accumulator_ids, "T-1")
    return refused.value


def test_nothing_is_refused_if_the_contractor_has_all() -> None:
    custody.check_held({"A-1": row(contractor_id="T-1")}, ["A-1"], "T-1")


@pytest.mark.parametrize(
    ("rows", "where"),
    [
        ({"A-1": row(cabinet_id="C-1", cell_number=3)}, "in cell 3 of C-1"),
        ({"A-1": row(contractor_id="T-2")}, "with T-2"),
        ({"A-1": row(scooter_id="S-1")}, "in scooter S-1"),
        ({"A-1": row()}, "nowhere known"),
        ({}, "not registered"),
    ],
    ids=lambda where: where if isinstance(where, str) else "",
)
def test_the_text_says_where_an_accumulator_is(rows: dict[str, Any], where: str) -> None:
    assert str(refusal(rows, "A-1")).startswith(f"T-1 does not have A-1 ({where}).")


def test_the_text_names_five_and_the_field_names_all() -> None:
    refused = refusal({}, *(f"A-{number}" for number in range(7)))
    assert "A-4 (not registered) and 2 more." in str(refused)
    assert [one["accumulator_id"] for one in refused.accumulators] == [f"A-{n}" for n in range(7)]


def test_only_the_accumulators_that_are_elsewhere_are_named() -> None:
    refused = refusal({"A-1": row(contractor_id="T-1"), "A-2": row()}, "A-1", "A-2")
    assert refused.accumulators == [{"accumulator_id": "A-2", "place": None}]
    assert (refused.accumulator_id, refused.place) == ("A-2", None)
