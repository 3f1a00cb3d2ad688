"""Any list of items: no error, a dry run that tells the truth, no change the second time."""

from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.integration.imports.import_requests import MOSCOW, contents, request_import
from tests.support.accumulators import cell_state, report_cells
from tests.support.service import Service

CABINETS = ["C-1", "C-2", "C-3", "C-4"]
ACCUMULATORS = ["A-1", "a-1", "A-2", "A-3", "A-4", "C-1.A-1"]
PEOPLE = st.sampled_from(["T-1", "T-2", None])

GARBAGE = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=2) | st.dictionaries(st.text(max_size=3), inner),
    max_leaves=4,
)


def items(required: dict[str, Any], optional: dict[str, Any]) -> st.SearchStrategy[Any]:
    """Valid items, items with one field that may be invalid, and things that are no items."""
    valid = st.fixed_dictionaries(required, optional=optional)
    names = [*required, *optional, "colour"]
    spoiled = st.builds(
        lambda item, name, value: item | {name: value}, valid, st.sampled_from(names), GARBAGE
    )
    return valid | valid | spoiled | GARBAGE


CABINET_ITEMS = items(
    {
        "cabinet_id": st.sampled_from(CABINETS),
        "coords": st.just(MOSCOW)
        | st.fixed_dictionaries({"lat": st.floats(-90, 90), "lon": st.floats(-180, 180)}),
        "cells_total": st.integers(1, 4),
    },
    {
        "device_id": st.sampled_from(["C-1", "C-2", "D-1", "D-2", None]),
        "address": st.sampled_from(["Arbat 2", "", None]),
        "protocol": st.just("native.v1"),
    },
)
ACCUMULATOR_ITEMS = items(
    {"accumulator_id": st.sampled_from(ACCUMULATORS)},
    {
        "battery_charge": st.integers(0, 100) | st.none(),
        "contractor_id": PEOPLE,
        "scooter_id": st.sampled_from(["S-1", None]),
    },
)


def clean(service: Service) -> None:
    """Leave C-1 with a known accumulator, an unknown and a moved one; C-2; A-2 retired."""
    service.sql("TRUNCATE cabinets, accumulators, movements, anomalies, allowances CASCADE")
    service.cabinets.clear()
    service.add_cabinet("C-1", charges=[90], cells=3)
    report_cells(service, cell_state(2, "A-1", battery_charge=50))
    service.connect("C-2")
    service.post("/v1/accumulators", {"accumulator_id": "A-2"})
    service.delete("/v1/accumulators/A-2")
    service.post("/v1/accumulators", {"accumulator_id": "A-3", "contractor_id": "T-1"})


def run(service: Service, body: dict[str, Any], *, dry_run: bool = False) -> Any:
    response = request_import(service, **body, dry_run=dry_run)
    assert response.status == 200, response
    answer = response.body
    assert sum(answer["counts"].values()) == len(answer["results"])
    assert len(answer["results"]) == len(body["cabinets"]) + len(body["accumulators"])
    assert all((one["result"] == "failed") == bool(one["code"]) for one in answer["results"])
    return answer


@pytest.mark.slow
@settings(
    max_examples=25,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
@given(st.lists(CABINET_ITEMS, max_size=8), st.lists(ACCUMULATOR_ITEMS, min_size=1, max_size=8))
def test_any_items_have_an_outcome_and_the_second_import_changes_nothing(
    service: Service, cabinets: list[Any], accumulators: list[Any]
) -> None:
    clean(service)
    before = contents(service)
    body = {"cabinets": cabinets, "accumulators": accumulators}
    foretold = run(service, body, dry_run=True)
    assert contents(service) == before

    results = iter(foretold["results"])
    marked = {name: [(item, next(results)) for item in body[name]] for name in body}
    valid = {
        name: [pair for pair in pairs if pair[1]["code"] != "invalid_request"]
        for name, pairs in marked.items()
    }
    if any(valid.values()):
        alone = run(service, {n: [i for i, _ in pairs] for n, pairs in valid.items()}, dry_run=True)
        expected = [result for pairs in valid.values() for _, result in pairs]
        assert [(o["result"], o["code"]) for o in alone["results"]] == [
            (o["result"], o["code"]) for o in expected
        ]

    assert run(service, body) == foretold
    after = contents(service)
    again = run(service, body)
    assert contents(service) == after
    expected = [
        one["result"] if one["result"] == "failed" else "unchanged" for one in foretold["results"]
    ]
    assert [one["result"] for one in again["results"]] == expected
    service.check_invariants()


@pytest.mark.parametrize("name", ["cabinets", "accumulators"])
def test_an_item_may_be_nested_deeply(service: Service, name: str) -> None:
    raw = f'{{"{name}": [{"[" * 190}{"]" * 190}]}}'.encode()
    response = service.call("POST", "/v1/imports", raw=raw, key="operator")
    assert response.body["counts"]["failed"] == 1
