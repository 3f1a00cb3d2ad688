"""Swaps with one accumulator: a scooter gets its first, or gives its last away."""

from typing import Any
from uuid import uuid4

import pytest

from shared import db
from shared.models.swaps import SwapRequest
from shared.services.swap import record
from tests.integration.accumulators.swap_requests import BAG, OTHER_BAG, SCOOTER, swap
from tests.integration.blocking import blocked
from tests.support.service import Response, Service

REMOVED: dict[str, Any] = {"installed_accumulator_id": None}
INSTALLED: dict[str, Any] = {"removed_accumulator_id": None}
NOWHERE = {"place": {"nowhere": True}, "reason": "test"}


def last_movement(service: Service, accumulator_id: str) -> Any:
    return service.get(f"/v1/accumulators/{accumulator_id}/movements?limit=1")["movements"][0]


def test_a_scooter_gives_its_accumulator_to_the_contractor(at_scooter: Service) -> None:
    response = swap(at_scooter, **REMOVED, removed_battery_charge=12)
    assert (response.status, response.body["installed"]) == (200, None)
    removed = response.body["removed"]
    assert (removed["place"], removed["battery_charge"]) == (BAG, 12)
    last = last_movement(at_scooter, "FLAT")
    assert (last["cause"], last["from"], last["discrepancy"]) == ("swapped", SCOOTER, False)
    assert last["swap_id"] == response.body["swap_id"]
    assert at_scooter.movement_causes("FULL") == ["registered"]
    at_scooter.check_invariants()


def test_an_empty_scooter_gets_its_first_accumulator(at_scooter: Service) -> None:
    assert swap(at_scooter, **REMOVED).status == 200
    response = swap(at_scooter, **INSTALLED)
    assert (response.status, response.body["removed"]) == (200, None)
    assert at_scooter.place("FULL") == SCOOTER
    assert at_scooter.place("FLAT") == BAG
    at_scooter.check_invariants()


def test_an_installed_accumulator_displaces_the_one_that_was_recorded_in_the_scooter(
    at_scooter: Service,
) -> None:
    assert swap(at_scooter, **INSTALLED).status == 200
    assert at_scooter.place("FLAT") is None
    last = last_movement(at_scooter, "FLAT")
    assert (last["cause"], last["discrepancy"]) == ("swapped", True)
    at_scooter.check_invariants()


@pytest.mark.parametrize("missing", [{}, {"removed_accumulator_id": None}], ids=str)
def test_a_swap_with_no_accumulator_is_refused(at_scooter: Service, missing: Any) -> None:
    body = {"scooter_id": "S-1", "contractor_id": "T-1"} | missing
    response = at_scooter.call("POST", "/v1/swaps", body)
    assert (response.status, response.body["code"]) == (400, "invalid_request")
    [fault] = response.body["errors"]
    assert "installed_accumulator_id, removed_accumulator_id, or both" in fault["message"]


@pytest.mark.parametrize("place", [BAG, OTHER_BAG, {"scooter_id": "S-2"}, None], ids=str)
def test_an_accumulator_that_is_not_in_the_scooter_is_not_removed_from_it(
    at_scooter: Service, place: Any
) -> None:
    change = {"place": place, "reason": "test"} if place else NOWHERE
    at_scooter.patch("/v1/accumulators/FLAT", change)
    response = swap(at_scooter, **REMOVED)
    assert (response.status, response.body["code"]) == (409, "accumulator_not_in_scooter")
    assert (response.body["accumulator_id"], response.body["place"]) == ("FLAT", place)
    assert "not in scooter S-1. If it happened nevertheless" in response.body["detail"]
    assert at_scooter.place("FLAT") == place
    at_scooter.check_invariants()


def test_a_reconciled_removal_empties_the_scooter(at_scooter: Service) -> None:
    at_scooter.post("/v1/accumulators", {"accumulator_id": "FLAT-2", "scooter_id": "S-2"})
    response = swap(at_scooter, **REMOVED, removed_accumulator_id="FLAT-2", reconcile=True)
    assert response.status == 200
    assert at_scooter.place("FLAT-2") == BAG
    assert at_scooter.place("FLAT") is None  # a scooter holds one, and that one was taken out
    assert last_movement(at_scooter, "FLAT-2")["discrepancy"]
    at_scooter.check_invariants()


@pytest.mark.parametrize("reconcile", [False, True])
def test_an_unknown_accumulator_registers_itself_when_it_is_removed(
    at_scooter: Service, *, reconcile: bool
) -> None:
    response = swap(at_scooter, **REMOVED, removed_accumulator_id="NEW", reconcile=reconcile)
    assert response.status == 200
    assert at_scooter.movement_causes("NEW") == ["registered", "swapped"]
    last = last_movement(at_scooter, "NEW")
    assert (last["from"], last["to"], last["discrepancy"]) == (SCOOTER, BAG, False)
    at_scooter.check_invariants()


def test_a_reconciled_removal_of_a_held_accumulator_replaces_it_in_the_booking(
    service: Service,
) -> None:
    service.add_cabinet(charges=[95, 90])
    booking = service.book(contractor_id="T-2")
    removed = {"removed_accumulator_id": "C-1.A-1"}
    assert swap(service, **REMOVED, **removed, reconcile=True).status == 200
    states = {c["accumulator_id"]: c["state"] for c in service.booking(booking)["cells"]}
    assert states == {"C-1.A-1": "released", "C-1.A-2": "held"}
    service.check_invariants()


# --- the same report again --------------------------------------------------------------------

ELSEWHERE = REMOVED | {"scooter_id": "S-2", "reconcile": True}  # FLAT is recorded in S-1


@pytest.mark.parametrize(
    ("report", "moved"),
    [(REMOVED, "FLAT"), (ELSEWHERE, "FLAT"), (INSTALLED | {"scooter_id": "S-9"}, "FULL")],
    ids=["removed", "removed, reconciled", "installed"],
)
def test_a_swap_with_one_accumulator_reported_twice_is_recorded_once(
    at_scooter: Service, report: dict[str, Any], moved: str
) -> None:
    first, again = swap(at_scooter, **report), swap(at_scooter, **report)
    assert (first.status, again.body) == (200, first.body)
    assert at_scooter.movement_causes(moved) == ["registered", "swapped"]


@pytest.mark.parametrize(
    "other",
    [
        {"contractor_id": "T-2"},
        {"scooter_id": "S-2"},
        {"installed_accumulator_id": "FULL"},
    ],
    ids=str,
)
def test_a_removal_by_or_at_another_is_not_the_same_swap(
    at_scooter: Service, other: dict[str, str]
) -> None:
    first = swap(at_scooter, **REMOVED)
    response = swap(at_scooter, **REMOVED | other)
    assert (response.status, response.body["code"]) == (409, "accumulator_not_in_scooter")
    assert response.body["place"] == BAG
    reconciled = swap(at_scooter, **REMOVED | other, reconcile=True)
    assert reconciled.body["swap_id"] != first.body["swap_id"]
    at_scooter.check_invariants()


def test_an_installation_is_not_the_same_swap_as_a_removal(at_scooter: Service) -> None:
    removal = swap(at_scooter, **REMOVED)
    back = swap(at_scooter, **INSTALLED, installed_accumulator_id="FLAT")
    again = swap(at_scooter, **REMOVED)
    ids = {response.body["swap_id"] for response in (removal, back, again)}
    assert len(ids) == 3
    assert at_scooter.movement_causes("FLAT") == ["registered", *["swapped"] * 3]
    at_scooter.check_invariants()


def test_half_of_a_recorded_swap_is_not_the_same_swap(at_scooter: Service) -> None:
    assert swap(at_scooter).status == 200
    assert swap(at_scooter, **INSTALLED).body["code"] == "accumulator_not_held"
    assert swap(at_scooter, **REMOVED).body["code"] == "accumulator_not_in_scooter"
    assert at_scooter.movement_causes("FULL") == ["registered", "swapped"]


MOVED_ON: dict[str, dict[str, Any]] = {
    "transferred": {
        "from_contractor_id": "T-1",
        "to_contractor_id": "T-2",
        "accumulator_ids": ["FLAT"],
    },
    "swapped": {
        "scooter_id": "S-3",
        "contractor_id": "T-1",
        "installed_accumulator_id": "FLAT",
    },
}


@pytest.mark.parametrize("cause", MOVED_ON)
def test_a_stale_removal_is_refused_when_its_accumulator_has_moved_on(
    at_scooter: Service, cause: str
) -> None:
    swap(at_scooter, **REMOVED)
    path = "/v1/swaps" if cause == "swapped" else "/v1/transfers"
    at_scooter.post(path, MOVED_ON[cause])
    place = at_scooter.place("FLAT")
    response = swap(at_scooter, **REMOVED)
    assert (response.status, response.body["code"]) == (409, "accumulator_not_in_scooter")
    assert response.body["place"] == place
    assert at_scooter.place("FLAT") == place


def test_a_stale_removal_with_its_key_is_still_the_same_swap(at_scooter: Service) -> None:
    first = swap(at_scooter, **REMOVED, key="warehouse-1")
    at_scooter.post("/v1/transfers", MOVED_ON["transferred"])
    again = swap(at_scooter, **REMOVED, key="warehouse-1")
    assert (again.status, again.body) == (200, first.body)
    assert at_scooter.place("FLAT") == OTHER_BAG


# --- at the same time -------------------------------------------------------------------------


def removal(**more: Any) -> SwapRequest:
    body = {"scooter_id": "S-1", "contractor_id": "T-1", "removed_accumulator_id": "FLAT"}
    return SwapRequest(**body | more)


@pytest.mark.parametrize("accumulator_id", ["FLAT", "NEW"])
def test_two_simultaneous_reports_of_a_removal_are_one_swap(
    at_scooter: Service, accumulator_id: str
) -> None:
    named = {"removed_accumulator_id": accumulator_id}

    def again() -> Response:
        return swap(at_scooter, **REMOVED | named)

    with blocked(at_scooter, again) as start, db.transaction() as tx:
        recorded = record(tx, uuid4(), removal(**named))
        repeated = start()
    assert repeated.result().body["swap_id"] == str(recorded.swap_id)
    assert at_scooter.movement_causes(accumulator_id) == ["registered", "swapped"]


@pytest.mark.parametrize("other", [{"contractor_id": "T-2"}, {"scooter_id": "S-2"}], ids=str)
def test_of_two_simultaneous_removals_of_an_accumulator_one_succeeds(
    at_scooter: Service, other: dict[str, str]
) -> None:
    def at_once() -> Response:
        return swap(at_scooter, **REMOVED | other)

    with blocked(at_scooter, at_once) as start, db.transaction() as tx:
        record(tx, uuid4(), removal())
        second = start()
    assert second.result().body["code"] == "accumulator_not_in_scooter"
    assert at_scooter.place("FLAT") == BAG
    at_scooter.check_invariants()
