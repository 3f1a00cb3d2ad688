"""Transfers between contractors over HTTP."""

from typing import Any

import pytest

from tests.integration.transfers.transfer_requests import (
    GIVER,
    OTHER,
    TAKER,
    last_movement,
    movements,
    transfer,
)
from tests.support.service import Service


def test_a_transfer_moves_every_accumulator_to_the_other_contractor(carrying: Service) -> None:
    response = transfer(carrying, "A-2", "A-1")
    assert response.status == 200
    assert [a["accumulator_id"] for a in response.body["accumulators"]] == ["A-2", "A-1"]
    assert [a["place"] for a in response.body["accumulators"]] == [TAKER, TAKER]
    for accumulator_id in ("A-1", "A-2"):
        last = last_movement(carrying, accumulator_id)
        assert (last["cause"], last["from"], last["to"]) == ("transferred", GIVER, TAKER)
        assert last["transfer_id"] == response.body["transfer_id"]
        assert (last["discrepancy"], last["reason"], last["swap_id"]) == (False, None, None)
    assert carrying.get("/v1/stats")["contractors"] == {"T-2": 2}
    carrying.check_invariants()


def test_a_transfer_names_every_accumulator_that_the_first_contractor_does_not_have(
    carrying: Service,
) -> None:
    carrying.post("/v1/accumulators", {"accumulator_id": "B-1", **OTHER})
    carrying.post("/v1/accumulators", {"accumulator_id": "B-2", "scooter_id": "S-1"})
    response = transfer(carrying, "A-1", "B-1", "B-2", "B-3")
    assert (response.status, response.body["code"]) == (409, "accumulator_not_held")
    assert response.body["accumulators"] == [
        {"accumulator_id": "B-1", "place": OTHER},
        {"accumulator_id": "B-2", "place": {"scooter_id": "S-1"}},
        {"accumulator_id": "B-3", "place": None},
    ]
    assert (response.body["accumulator_id"], response.body["place"]) == ("B-1", OTHER)
    assert carrying.place("A-1") == GIVER
    assert movements(carrying, "A-1") == 1
    carrying.check_invariants()


def test_a_refused_transfer_registers_nothing(carrying: Service) -> None:
    assert transfer(carrying, "A-1", "NEW").status == 409
    assert carrying.call("GET", "/v1/accumulators/NEW").status == 404


@pytest.mark.parametrize(
    "more",
    [
        {"to_contractor_id": "T-1"},
        {"accumulator_ids": []},
        {"accumulator_ids": ["A-1", "A-1"]},
        {"accumulator_ids": ["A-1", "a-1"]},
        {"accumulator_ids": [f"A-{number}" for number in range(51)]},
        {"accumulator_ids": ["A 1"]},
        {"reconcile": "yes"},
        {"from_contractor_id": None},
    ],
    ids=str,
)
def test_an_invalid_transfer_is_refused(carrying: Service, more: dict[str, Any]) -> None:
    response = transfer(carrying, "A-1", **more)
    assert (response.status, response.body["code"]) == (400, "invalid_request")
    assert carrying.place("A-1") == GIVER


def test_the_error_names_the_accumulator_that_is_given_twice(carrying: Service) -> None:
    response = transfer(carrying, "A-1", "a-1", "A-2")
    [fault] = response.body["errors"]
    assert "accumulator_ids names twice: A-1" in fault["message"]


def test_fifty_accumulators_are_transferred_at_once(service: Service) -> None:
    ids = [f"A-{number}" for number in range(50)]
    for accumulator_id in ids:
        service.post("/v1/accumulators", {"accumulator_id": accumulator_id, **GIVER})
    assert transfer(service, *ids).status == 200
    assert service.get("/v1/stats")["contractors"] == {"T-2": 50}
    service.check_invariants()


# --- reconcile --------------------------------------------------------------------------------


@pytest.mark.parametrize("place", [OTHER, TAKER, {"scooter_id": "S-1"}, {}], ids=str)
def test_a_reconciled_transfer_is_recorded_wherever_the_accumulator_was(
    carrying: Service, place: dict[str, str]
) -> None:
    carrying.post("/v1/accumulators", {"accumulator_id": "B-1", **place})
    assert transfer(carrying, "A-1", "B-1", reconcile=True).status == 200
    last = last_movement(carrying, "B-1")
    assert (last["cause"], last["from"], last["to"]) == ("transferred", place or None, TAKER)
    assert (last["discrepancy"], last["reason"]) == (True, "handed over by T-1")
    assert not last_movement(carrying, "A-1")["discrepancy"]
    carrying.check_invariants()


def test_a_reconciled_transfer_takes_an_accumulator_from_a_cell(service: Service) -> None:
    service.add_cabinet(charges=[95, 90])
    booking = service.book(contractor_id="T-3")
    assert transfer(service, "C-1.A-1", reconcile=True).status == 200
    assert service.place("C-1.A-1") == TAKER
    states = {c["accumulator_id"]: c["state"] for c in service.booking(booking)["cells"]}
    assert states == {"C-1.A-1": "released", "C-1.A-2": "held"}
    service.check_invariants()


def test_holds_on_several_accumulators_of_a_transfer_are_replaced(service: Service) -> None:
    service.add_cabinet(charges=[99, 98, 97, 96])
    booking = service.book(2)
    assert transfer(service, "C-1.A-1", "C-1.A-2", reconcile=True).status == 200
    states = {c["accumulator_id"]: c["state"] for c in service.booking(booking)["cells"]}
    assert states == dict.fromkeys(("C-1.A-1", "C-1.A-2"), "released") | dict.fromkeys(
        ("C-1.A-3", "C-1.A-4"), "held"
    )
    service.check_invariants()


def test_an_unknown_accumulator_registers_itself_in_a_reconciled_transfer(
    carrying: Service,
) -> None:
    assert transfer(carrying, "A-1", "NEW", reconcile=True).status == 200
    assert carrying.place("NEW") == TAKER
    assert carrying.movement_causes("NEW") == ["registered", "transferred"]
    assert last_movement(carrying, "NEW")["discrepancy"]
    carrying.check_invariants()


def test_a_retired_accumulator_in_a_reconciled_transfer_is_quarantined(carrying: Service) -> None:
    carrying.patch("/v1/accumulators/A-1", {"place": {"nowhere": True}, "reason": "scrapped"})
    carrying.delete("/v1/accumulators/A-1")
    assert transfer(carrying, "A-1").status == 409
    assert transfer(carrying, "A-1", reconcile=True).status == 200
    assert carrying.get("/v1/accumulators/A-1")["status"] == "quarantined"
    carrying.check_invariants()


# --- the same report again --------------------------------------------------------------------


@pytest.mark.parametrize("again", [["A-1", "A-2"], ["A-2", "A-1"]], ids=str)
def test_a_transfer_reported_again_is_recorded_once(carrying: Service, again: list[str]) -> None:
    recorded, repeated = transfer(carrying, "A-1", "A-2"), transfer(carrying, *again)
    assert (recorded.status, repeated.status) == (200, 200)
    assert repeated.body["transfer_id"] == recorded.body["transfer_id"]
    assert repeated.body["at"] == recorded.body["at"]
    assert movements(carrying, "A-1") == movements(carrying, "A-2") == 2


@pytest.mark.parametrize("reconcile", [False, True])
def test_a_reconciled_transfer_reported_again_is_recorded_once(
    carrying: Service, *, reconcile: bool
) -> None:
    ids = ("A-1", "NEW")
    recorded = transfer(carrying, *ids, reconcile=True)
    repeated = transfer(carrying, *ids, reconcile=reconcile)
    assert recorded.body == repeated.body
    assert movements(carrying, "NEW") == 2


@pytest.mark.parametrize(
    ("ids", "more"),
    [
        (["A-1"], {}),
        (["A-1", "A-2", "A-3"], {}),
        (["A-1", "A-2"], {"from_contractor_id": "T-3"}),
        (["A-1", "A-2"], {"to_contractor_id": "T-3"}),
    ],
    ids=str,
)
def test_a_transfer_of_others_or_between_others_is_another_transfer(
    carrying: Service, ids: list[str], more: dict[str, Any]
) -> None:
    first = transfer(carrying, "A-1", "A-2")
    response = transfer(carrying, *ids, **more)
    assert (response.status, response.body["code"]) == (409, "accumulator_not_held")
    assert response.body["accumulators"][0] == {"accumulator_id": "A-1", "place": TAKER}
    reconciled = transfer(carrying, *ids, **more, reconcile=True)
    assert reconciled.body["transfer_id"] != first.body["transfer_id"]
    carrying.check_invariants()


def test_a_report_after_an_accumulator_has_moved_on_is_another_transfer(carrying: Service) -> None:
    transfer(carrying, "A-1", "A-2")
    swap = {"scooter_id": "S-1", "contractor_id": "T-2", "installed_accumulator_id": "A-2"}
    carrying.post("/v1/swaps", swap)
    response = transfer(carrying, "A-1", "A-2")
    assert (response.status, response.body["code"]) == (409, "accumulator_not_held")
    assert [one["place"] for one in response.body["accumulators"]] == [TAKER, {"scooter_id": "S-1"}]


def test_accumulators_that_go_back_and_forth_are_transferred_each_time(carrying: Service) -> None:
    back = {"from_contractor_id": "T-2", "to_contractor_id": "T-1"}
    taken = [
        transfer(carrying, "A-1"),
        transfer(carrying, "A-1", **back),
        transfer(carrying, "A-1"),
    ]
    assert [response.status for response in taken] == [200, 200, 200]
    assert len({response.body["transfer_id"] for response in taken}) == 3
    assert movements(carrying, "A-1") == 4


def test_a_transfer_repeated_with_its_key_gets_the_stored_response(carrying: Service) -> None:
    first, again = (transfer(carrying, "A-1", key="handover-1") for _ in range(2))
    assert (first.body, again.headers["Idempotency-Replayed"]) == (again.body, "true")
    assert movements(carrying, "A-1") == 2
