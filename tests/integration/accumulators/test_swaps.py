"""Swaps over HTTP."""

from typing import Any

import pytest

from tests.integration.accumulators.swap_requests import swap
from tests.support.service import Service


def test_a_swap_exchanges_the_two_accumulators(at_scooter: Service) -> None:
    response = swap(at_scooter, removed_battery_charge=12)
    assert response.status == 200
    assert response.body["installed"]["place"] == {"scooter_id": "S-1"}
    assert response.body["removed"]["place"] == {"contractor_id": "T-1"}
    assert response.body["removed"]["battery_charge"] == 12
    assert (response.body["scooter_id"], response.body["contractor_id"]) == ("S-1", "T-1")
    assert (
        at_scooter.movement_causes("FULL")
        == at_scooter.movement_causes("FLAT")
        == ["registered", "swapped"]
    )
    at_scooter.check_invariants()


def test_both_movements_name_the_swap(at_scooter: Service) -> None:
    swap_id = swap(at_scooter).body["swap_id"]
    for accumulator_id in ("FULL", "FLAT"):
        last = at_scooter.get(f"/v1/accumulators/{accumulator_id}/movements")["movements"][0]
        assert (last["swap_id"], last["discrepancy"]) == (swap_id, False)


def test_a_swap_may_remove_nothing(at_scooter: Service) -> None:
    response = swap(at_scooter, scooter_id="S-9", removed_accumulator_id=None)
    assert (response.status, response.body["removed"]) == (200, None)
    assert at_scooter.place("FULL") == {"scooter_id": "S-9"}


@pytest.mark.parametrize(
    ("installed", "place"),
    [("FLAT", {"scooter_id": "S-1"}), ("A-9", None)],
    ids=["elsewhere", "unknown"],
)
def test_a_swap_of_an_unknown_or_already_installed_accumulator_is_refused_with_its_place(
    at_scooter: Service, installed: str, place: Any
) -> None:
    response = swap(at_scooter, installed_accumulator_id=installed, removed_accumulator_id=None)
    assert (response.status, response.body["code"]) == (409, "accumulator_not_held")
    refused = {"accumulator_id": installed, "place": place}
    assert response.body["accumulators"] == [refused]
    assert refused.items() <= response.body.items()
    assert at_scooter.movement_causes("FULL") == ["registered"]


def test_a_reconciled_swap_by_another_contractor_is_recorded_with_discrepancies(
    at_scooter: Service,
) -> None:
    response = swap(at_scooter, contractor_id="T-2", scooter_id="S-2", reconcile=True)
    assert response.status == 200
    assert at_scooter.place("FULL") == {"scooter_id": "S-2"}
    assert at_scooter.place("FLAT") == {"contractor_id": "T-2"}
    for accumulator_id in ("FULL", "FLAT"):
        last = at_scooter.get(f"/v1/accumulators/{accumulator_id}/movements")["movements"][0]
        assert last["discrepancy"]
    at_scooter.check_invariants()


@pytest.mark.parametrize(
    "more",
    [
        {"removed_accumulator_id": "FULL"},
        {"removed_accumulator_id": None, "removed_battery_charge": 5},
        {"removed_battery_charge": 101},
        {"reconcile": "yes"},
        {"scooter_id": ""},
    ],
    ids=str,
)
def test_an_invalid_swap_is_refused(at_scooter: Service, more: dict[str, Any]) -> None:
    response = swap(at_scooter, **more)
    assert (response.status, response.body["code"]) == (400, "invalid_request")
    assert at_scooter.movement_causes("FULL") == ["registered"]


@pytest.mark.parametrize("retired", ["FULL", "FLAT"])
def test_a_retired_accumulator_in_a_reconciled_swap_is_quarantined(
    at_scooter: Service, retired: str
) -> None:
    gone = {"place": {"nowhere": True}, "reason": "scrapped"}
    at_scooter.patch(f"/v1/accumulators/{retired}", gone)
    at_scooter.delete(f"/v1/accumulators/{retired}")
    assert swap(at_scooter).status == 409
    response = swap(at_scooter, reconcile=True)
    assert response.status == 200
    assert at_scooter.get(f"/v1/accumulators/{retired}")["status"] == "quarantined"
    at_scooter.check_invariants()


NOTHING_REMOVED = {"scooter_id": "S-9", "removed_accumulator_id": None}
RECONCILED = {"contractor_id": "T-2", "reconcile": True}  # FULL is recorded with T-1


@pytest.mark.parametrize(
    ("first", "again"),
    [
        (NOTHING_REMOVED, NOTHING_REMOVED),
        (NOTHING_REMOVED | RECONCILED, NOTHING_REMOVED | RECONCILED),
        (RECONCILED, RECONCILED | {"reconcile": False}),
    ],
)
def test_a_swap_reported_again_by_its_contractor_is_recorded_once(
    at_scooter: Service, first: dict[str, Any], again: dict[str, Any]
) -> None:
    recorded, repeated = swap(at_scooter, **first), swap(at_scooter, **again)
    assert (recorded.status, repeated.status) == (200, 200)
    assert recorded.body == repeated.body
    assert at_scooter.movement_causes("FULL") == ["registered", "swapped"]
    at_scooter.check_invariants()


def test_a_swap_reported_again_by_another_contractor_is_refused(at_scooter: Service) -> None:
    assert swap(at_scooter, **NOTHING_REMOVED).status == 200
    response = swap(at_scooter, **NOTHING_REMOVED, contractor_id="T-2")
    assert (response.status, response.body["code"]) == (409, "accumulator_not_held")
