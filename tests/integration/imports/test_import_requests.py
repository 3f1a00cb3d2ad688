"""POST /v1/imports: what a request may hold, and how each of its items is answered."""

from typing import Any

import pytest

from tests.integration.imports.import_requests import (
    accumulator,
    cabinet,
    contents,
    import_items,
    outcomes,
    request_import,
)
from tests.support.service import Service


def test_the_results_are_in_the_order_of_the_request_cabinets_first(service: Service) -> None:
    answer = import_items(service, cabinet("C-2"), cabinet("C-1"), accumulator("a-7"))
    assert [(one["kind"], one["id"], one["result"]) for one in answer["results"]] == [
        ("cabinet", "C-2", "created"),
        ("cabinet", "C-1", "created"),
        ("accumulator", "a-7", "created"),
    ]
    assert answer["counts"] == {"created": 3, "updated": 0, "unchanged": 0, "failed": 0}


@pytest.mark.parametrize("dry_run", [False, True])
def test_an_invalid_item_names_its_fields_and_stops_no_other(
    service: Service, *, dry_run: bool
) -> None:
    broken = cabinet("C-1", coords={"lat": 95, "lon": 0}, cells_total="12", color="red")
    answer = import_items(service, broken, cabinet("C-2"), accumulator(), dry_run=dry_run)
    failed, *others = answer["results"]
    assert (failed["id"], failed["result"], failed["code"]) == ("C-1", "failed", "invalid_request")
    fields = [fault["field"] for fault in failed["errors"]]
    assert fields == ["coords.lat", "cells_total", "color"]
    assert failed["detail"].startswith("coords.lat: Input should be less than or equal to 90")
    assert [one["result"] for one in others] == ["created", "created"]
    assert answer["counts"] == {"created": 2, "updated": 0, "unchanged": 0, "failed": 1}


@pytest.mark.parametrize(
    ("item", "id_"),
    [(None, None), (7, None), ([], None), ({}, None), ({"cabinet_id": 7}, None),
     ({"cabinet_id": "no such id!"}, "no such id!")],
    ids=str,
)  # fmt: skip
def test_an_item_that_is_no_cabinet_fails_with_the_id_that_it_has(
    service: Service, item: Any, id_: str | None
) -> None:
    body = request_import(service, cabinets=[item, cabinet("C-2")]).body
    assert [(one["id"], one["result"]) for one in body["results"]] == [
        (id_, "failed"),
        ("C-2", "created"),
    ]


def test_the_second_item_with_an_id_fails_and_names_the_first(service: Service) -> None:
    answer = import_items(service, accumulator("A-1"), accumulator("A-2"), accumulator("a-1"))
    assert [one["code"] for one in answer["results"]] == [None, None, "duplicate_item"]
    assert answer["results"][2]["detail"].startswith("accumulators[0] of this import")


def test_an_invalid_item_does_not_count_as_the_first_with_its_id(service: Service) -> None:
    items = (accumulator("A-1", battery_charge=101), accumulator("A-1"))
    assert outcomes(service, *items) == ["invalid_request", "created"]


@pytest.mark.parametrize(
    "body",
    [
        {},
        {"cabinets": [], "accumulators": []},
        {"accumulators": [accumulator(f"A-{n}") for n in range(1001)]},
        {"cabinets": [cabinet()], "accumulators": [accumulator(f"A-{n}") for n in range(1000)]},
        {"cabinets": cabinet()},
        {"cabinets": None},
        {"cabinets": [cabinet()], "dry_run": 1},
        {"cabinets": [cabinet()], "rows": []},
    ],
    ids=["none", "empty", "1001", "1001 in all", "no list", "null", "no boolean", "another field"],
)
def test_a_request_that_is_no_import_is_refused(service: Service, body: dict[str, Any]) -> None:
    response = request_import(service, **body)
    assert (response.status, response.body["code"]) == (400, "invalid_request")
    assert service.sql("SELECT count(*) AS n FROM accumulators") == [{"n": 0}]


def test_a_thousand_items_are_imported_at_once(service: Service) -> None:
    items = [cabinet(f"C-{n}") for n in range(300)] + [accumulator(f"A-{n}") for n in range(700)]
    assert import_items(service, *items)["counts"]["created"] == 1000
    assert import_items(service, *items)["counts"]["unchanged"] == 1000


@pytest.mark.parametrize(
    "item",
    [{"cabinet_id": "x" * 2400}, {f"unknown_{n:050}": 0 for n in range(25)}],
    ids=["long ids", "unknown fields"],
)
def test_the_results_of_a_thousand_bad_items_are_not_too_large_for_a_response(
    service: Service, item: dict[str, Any]
) -> None:
    response = service.call("POST", "/v1/imports", {"cabinets": [item] * 1000}, key="operator")
    assert (response.status, response.body["counts"]["failed"]) == (200, 1000)


def test_a_dry_run_has_the_same_results_and_changes_nothing(service: Service) -> None:
    service.add_cabinet("C-1", charges=[90])
    before = contents(service)
    items = [
        cabinet("C-1", cells_total=8),
        cabinet("C-2"),
        cabinet("C-3", device_id="C-1"),
        accumulator("A-1", contractor_id="T-1"),
        accumulator("C-1.A-1"),
    ]
    foretold = import_items(service, *items, dry_run=True)
    assert contents(service) == before
    assert foretold == import_items(service, *items)


def test_an_import_needs_the_scope_operator(service: Service) -> None:
    response = service.call("POST", "/v1/imports", {"cabinets": [cabinet()]}, key="backend")
    assert (response.status, response.body["code"]) == (403, "forbidden")


def test_an_import_repeated_with_its_idempotency_key_has_the_stored_response(
    service: Service,
) -> None:
    body, headers = {"accumulators": [accumulator()]}, {"Idempotency-Key": "file-1"}
    first, second = (
        service.call("POST", "/v1/imports", body, key="operator", headers=headers) for _ in range(2)
    )
    assert second.headers["Idempotency-Replayed"] == "true"
    assert second.body == first.body
    assert second.body["counts"]["created"] == 1


def test_an_import_is_logged_with_its_counts_and_its_caller(
    service: Service, capsys: pytest.CaptureFixture[str]
) -> None:
    import_items(service, accumulator())
    [line] = [line for line in capsys.readouterr().out.splitlines() if '"import"' in line]
    assert '"caller": "operator"' in line
    assert '"created": 1' in line
