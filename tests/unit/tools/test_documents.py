"""JSON documents and JSON Lines."""

import json

import pytest

from tests.unit.tools.fleet_files import CABINET, bodies, checked, faults, form
from tools import ToolError
from tools.fleet.check import check

ACCUMULATOR = {"accumulator_id": "A-1", "battery_charge": 97, "contractor_id": "VAN-1"}
LINES = f"{json.dumps(CABINET)}\n\n{json.dumps(ACCUMULATOR)}\n"


def test_a_document_has_the_form_that_the_api_takes() -> None:
    content = json.dumps({"accumulators": [ACCUMULATOR], "cabinets": [CABINET]}, indent=2)
    assert bodies(content, ".json") == [CABINET, ACCUMULATOR]


@pytest.mark.parametrize("suffix", [".json", ".jsonl", ".txt", ""])
def test_json_lines_are_recognized_by_their_content(suffix: str) -> None:
    assert bodies(LINES, suffix) == [CABINET, ACCUMULATOR]


def test_a_whole_number_may_have_a_point() -> None:
    content = json.dumps({"cabinets": [CABINET | {"cells_total": 12.0}]})
    assert bodies(content) == [CABINET]


def test_what_an_export_has_besides_is_not_imported() -> None:
    line = json.dumps(CABINET | {"status": "active", "online": True, "accumulators": {}})
    found = checked(line, ".jsonl")
    assert [dict(item.body) for item in found.items] == [CABINET]
    assert found.ignored == ["status", "online", "accumulators"]


@pytest.mark.parametrize(
    ("content", "suffix", "expected"),
    [
        (
            json.dumps(
                {"cabinets": [CABINET, CABINET | {"cabinet_id": "C-2", "cells_total": "x"}]}
            ),
            ".json",
            ("cabinets[1]", "cells_total: Input should be a valid integer, not 'x'"),
        ),
        (
            json.dumps({"cabinets": [CABINET, CABINET]}),
            ".json",
            ("cabinets[1]", "cabinet_id: 'C-1' is on cabinets[0], too"),
        ),
        (
            json.dumps({"accumulators": [{"accumulator_id": "A-1", "batery_charge": 5}]}),
            ".json",
            (
                "accumulators[0]",
                "batery_charge: unknown field (did you mean battery_charge?)",
            ),
        ),
        (
            json.dumps({"accumulators": ["A-1"]}),
            ".json",
            ("accumulators[0]", "'A-1' is not an object"),
        ),
        (f"{LINES}{{oops}}\n", ".jsonl", ("line 4", "this is not valid JSON: ")),
        (
            f'{LINES}{{"accumulator_id": 5}}',
            ".jsonl",
            ("line 4", "accumulator_id: Input should be a valid string, not 5"),
        ),
        (f'{LINES}{{"x": 5}}', ".jsonl", ("line 4", "neither cabinet_id nor accumulator_id")),
    ],
)
def test_a_mistake_is_reported_with_its_place(
    content: str, suffix: str, expected: tuple[str, str]
) -> None:
    [(where, message)] = faults(content, suffix)
    assert where == expected[0]
    assert message.startswith(expected[1])


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("{", "the file is not valid JSON: "),
        ('{"cabinets": [NaN]}', "the file is not valid JSON: NaN is not a JSON number"),
        ("[1]", "the JSON must have the form"),
        ('{"fleet": []}', "the JSON must have the form"),
        ('{"cabinets": [], "accumulator": []}', "unknown field 'accumulator' (did you mean"),
        ('{"cabinets": {"cabinet_id": "C-1"}}', "cabinets must be a list of objects"),
    ],
)
def test_a_document_of_another_form_is_refused(content: str, message: str) -> None:
    with pytest.raises(ToolError) as refused:
        form(content, ".json")
    assert str(refused.value).startswith(message)


@pytest.mark.parametrize(
    ("content", "suffix"),
    [
        (json.dumps({"accumulators": [ACCUMULATOR | {"battery_charge": 500}]}), ".json"),
        (json.dumps(ACCUMULATOR | {"battery_charge": 500}), ".jsonl"),
    ],
    ids=["document", "lines"],
)
def test_failures_keep_the_form_and_can_be_mended_and_read_again(content: str, suffix: str) -> None:
    read = form(content, suffix)
    failed = read.failed(check(read.records).failures)
    assert "battery_charge: Input should be less than or equal to 100" in failed
    assert bodies(failed.replace("500", "97"), suffix) == [ACCUMULATOR]
