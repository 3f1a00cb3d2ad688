"""`GET /v1/movements`: the ledger of all accumulators, oldest or newest first."""

from typing import Any
from urllib.parse import quote

import pytest

from tests.integration.api_calls import all_pages
from tests.support.service import Service


@pytest.fixture
def ledger(service: Service) -> Service:
    """Three movements, A-1 registered with T-1, B-1 registered in S-1, A-1 moved to C-1."""
    service.connect("C-1")
    for body in (
        {"accumulator_id": "A-1", "contractor_id": "T-1"},
        {"accumulator_id": "B-1", "scooter_id": "S-1"},
    ):
        service.post("/v1/accumulators", body)
    place = {"cabinet_id": "C-1", "cell_number": 1}
    service.patch("/v1/accumulators/A-1", {"place": place, "reason": "seen"})
    return service


def listed(service: Service, **query: Any) -> list[tuple[str, str]]:
    """Return accumulator and cause of each movement."""
    parameters = "&".join(f"{name}={quote(str(value))}" for name, value in query.items())
    page = service.get(f"/v1/movements?{parameters}")
    return [(m["accumulator_id"], m["cause"]) for m in page["movements"]]


ALL = [("A-1", "registered"), ("B-1", "registered"), ("A-1", "corrected")]


def test_movements_of_all_accumulators_are_listed_oldest_first(ledger: Service) -> None:
    assert listed(ledger) == ALL


@pytest.mark.parametrize("limit", [1, 2, 3, 1000])
def test_pages_contain_every_movement_once(ledger: Service, limit: int) -> None:
    ledger.sql("UPDATE movements SET at = '2026-11-01T10:00:00Z'")  # the time alone is no order
    found = all_pages(ledger, "/v1/movements", "movements", limit=limit)
    assert [(m["accumulator_id"], m["cause"]) for m in found] == ALL


@pytest.mark.parametrize("limit", [1, 2, 3, 1000])
@pytest.mark.parametrize(("query", "expected"), [({}, ALL), ({"contractor_id": "T-1"}, ALL[::2])])
def test_pages_can_begin_with_the_newest(
    ledger: Service, limit: int, query: dict[str, str], expected: list[tuple[str, str]]
) -> None:
    ledger.sql("UPDATE movements SET at = '2026-11-01T10:00:00Z'")
    query = {**query, "newest_first": "true"}
    found = all_pages(ledger, "/v1/movements", "movements", limit=limit, **query)
    assert [(m["accumulator_id"], m["cause"]) for m in found] == expected[::-1]


@pytest.mark.parametrize(
    ("query", "expected"),
    [
        ({"accumulator_id": "a-1"}, [ALL[0], ALL[2]]),
        ({"contractor_id": "T-1"}, [ALL[0], ALL[2]]),  # to the contractor, and away again
        ({"cabinet_id": "C-1"}, [ALL[2]]),
        ({"scooter_id": "S-1"}, [ALL[1]]),
        ({"scooter_id": "T-1"}, []),
        ({"cabinet_id": "C-1", "accumulator_id": "B-1"}, []),
        ({"cabinet_id": "C-1", "contractor_id": "T-1"}, [ALL[2]]),
    ],
    ids=["accumulator", "contractor", "cabinet", "scooter", "no scooter", "none", "two places"],
)
def test_movements_are_filtered(
    ledger: Service, query: dict[str, str], expected: list[tuple[str, str]]
) -> None:
    assert listed(ledger, **query) == expected


def test_a_movement_within_a_cabinet_is_listed_once(ledger: Service) -> None:
    place = {"cabinet_id": "C-1", "cell_number": 2}
    ledger.patch("/v1/accumulators/A-1", {"place": place, "reason": "the next cell"})
    assert listed(ledger, cabinet_id="C-1") == [ALL[2], ALL[2]]


@pytest.mark.parametrize("limit", [1, 2, 3, 200])
def test_pages_of_a_place_contain_what_came_and_what_left_by_time(
    service: Service, limit: int
) -> None:
    service.post("/v1/accumulators", {"accumulator_id": "A-1", "scooter_id": "S-1"})
    for place in ("S-2", "S-1", "S-2", "S-1"):
        body = {"place": {"scooter_id": place}, "reason": "x"}
        service.patch("/v1/accumulators/A-1", body)
    service.post("/v1/accumulators", {"accumulator_id": "A-2", "scooter_id": "S-3"})
    found = all_pages(service, "/v1/movements", "movements", limit=limit, scooter_id="S-1")
    assert [movement["movement_id"] for movement in found] == [1, 2, 3, 4, 5]


def test_a_period_contains_its_beginning_and_not_its_end(ledger: Service) -> None:
    for number, time in enumerate(("09:00", "10:00", "11:00")):
        ledger.sql(
            "UPDATE movements SET at = %(at)s WHERE (accumulator_id, cause) = (%(id)s, %(cause)s)",
            at=f"2026-11-01T{time}:00Z",
            id=ALL[number][0],
            cause=ALL[number][1],
        )
    period = {"since": "2026-11-01T13:00:00+03:00", "until": "2026-11-01T11:00:00Z"}
    assert listed(ledger, **period) == [ALL[1]]


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("since", "yesterday"),
        ("until", "2026-11-01T10:00:00"),  # without an offset
        ("limit", "1001"),
        ("cursor", "bm8"),
        ("cursor", "WyIyMDI2LTExLTAxVDEwOjAwIiwgMV0"),  # ["2026-11-01T10:00", 1]
    ],
)
def test_a_wrong_query_is_refused_by_name(ledger: Service, name: str, value: str) -> None:
    response = ledger.call("GET", f"/v1/movements?{name}={value}", key="read")
    assert response.status == 400
    assert [error["field"] for error in response.body["errors"]] == [name]


def nodes(plan: dict[str, Any]) -> list[dict[str, Any]]:
    return [plan, *(found for child in plan.get("Plans", []) for found in nodes(child))]


def test_a_period_is_read_by_its_index(ledger: Service) -> None:
    ledger.sql(
        "INSERT INTO movements (accumulator_id, at, cause)"
        " SELECT 'A-1', now() - n * interval '1 minute', 'reported'"
        " FROM generate_series(1, 20000) n"
    )
    ledger.sql("ANALYZE movements")
    [plan] = ledger.sql(
        "EXPLAIN (FORMAT json) SELECT * FROM movements WHERE at >= now() - interval '1 hour'"
        " AND (at, movement_id) > ('-infinity'::timestamptz, 0) ORDER BY at, movement_id LIMIT 201"
    )
    [part] = [
        node
        for node in nodes(plan["QUERY PLAN"][0]["Plan"])
        if node.get("Relation Name") == "movements_first"  # the others are empty
    ]
    assert part["Node Type"] == "Index Scan"
    assert part["Index Name"] == "first_movements_at_movement_id_idx"
