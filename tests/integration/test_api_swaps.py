"""Swaps over HTTP."""

from typing import Any

import pytest

from tests.service import Answer, Service


def swap(service: Service, **more: Any) -> Answer:
    body = {
        "scooter_id": "S-1",
        "contractor_id": "T-1",
        "installed_accumulator_id": "A-1",
        "removed_accumulator_id": "A-2",
    }
    return service.call("POST", "/v1/swaps", body | more)


@pytest.fixture
def scooter(service: Service) -> Service:
    """T-1 holds A-1, scooter S-1 has A-2."""
    first = {"accumulator_id": "A-1", "contractor_id": "T-1", "battery_charge": 97}
    service.post("/v1/accumulators", first)
    service.post("/v1/accumulators", {"accumulator_id": "A-2", "scooter_id": "S-1"})
    return service


def test_a_swap_exchanges_the_two(scooter: Service) -> None:
    answer = swap(scooter, removed_battery_charge=12)
    assert answer.status == 200
    assert answer.body["installed"]["place"] == {"scooter_id": "S-1"}
    assert answer.body["removed"]["place"] == {"contractor_id": "T-1"}
    assert answer.body["removed"]["battery_charge"] == 12
    assert (answer.body["scooter_id"], answer.body["contractor_id"]) == ("S-1", "T-1")
    assert scooter.causes("A-1") == scooter.causes("A-2") == ["registered", "swapped"]
    scooter.check_invariants()


def test_both_movements_name_the_swap(scooter: Service) -> None:
    swap_id = swap(scooter).body["swap_id"]
    for accumulator_id in ("A-1", "A-2"):
        last = scooter.get(f"/v1/accumulators/{accumulator_id}/movements")["movements"][0]
        assert (last["swap_id"], last["discrepancy"]) == (swap_id, False)


def test_the_same_report_twice_is_one_swap(scooter: Service) -> None:
    assert swap(scooter).body == swap(scooter).body
    assert scooter.causes("A-1") == ["registered", "swapped"]


def test_a_scooter_may_have_been_empty(scooter: Service) -> None:
    answer = swap(scooter, scooter_id="S-9", removed_accumulator_id=None)
    assert (answer.status, answer.body["removed"]) == (200, None)
    assert scooter.place("A-1") == {"scooter_id": "S-9"}


def test_a_flat_accumulator_that_nobody_knew_registers_itself(scooter: Service) -> None:
    answer = swap(scooter, scooter_id="S-9", removed_accumulator_id="X-1", removed_battery_charge=5)
    assert answer.body["removed"]["place"] == {"contractor_id": "T-1"}
    assert answer.body["removed"]["battery_charge"] == 5
    assert scooter.causes("X-1") == ["registered", "swapped"]
    scooter.check_invariants()


@pytest.mark.parametrize(
    ("installed", "place"),
    [("A-2", {"scooter_id": "S-1"}), ("A-9", None)],
    ids=["elsewhere", "unknown"],
)
def test_what_the_contractor_does_not_hold_is_refused_and_said_where_it_is(
    scooter: Service, installed: str, place: Any
) -> None:
    answer = swap(scooter, installed_accumulator_id=installed, removed_accumulator_id=None)
    assert (answer.status, answer.body["code"]) == (409, "accumulator_not_held")
    assert (answer.body["accumulator_id"], answer.body["place"]) == (installed, place)
    assert scooter.causes("A-1") == ["registered"]


def test_what_is_not_in_the_scooter_is_refused_and_said_where_it_is(scooter: Service) -> None:
    answer = swap(scooter, scooter_id="S-2")
    assert (answer.status, answer.body["code"]) == (409, "accumulator_not_in_scooter")
    assert answer.body["accumulator_id"] == "A-2"
    assert answer.body["place"] == {"scooter_id": "S-1"}
    assert scooter.place("A-1") == {"contractor_id": "T-1"}


def test_another_contractors_swap_is_refused(scooter: Service) -> None:
    answer = swap(scooter, contractor_id="T-2")
    assert (answer.status, answer.body["code"]) == (409, "accumulator_not_held")
    assert answer.body["place"] == {"contractor_id": "T-1"}


def test_a_reconciled_swap_is_a_fact_with_discrepancies(scooter: Service) -> None:
    answer = swap(scooter, contractor_id="T-2", scooter_id="S-2", reconcile=True)
    assert answer.status == 200
    assert scooter.place("A-1") == {"scooter_id": "S-2"}
    assert scooter.place("A-2") == {"contractor_id": "T-2"}
    for accumulator_id in ("A-1", "A-2"):
        last = scooter.get(f"/v1/accumulators/{accumulator_id}/movements")["movements"][0]
        assert last["discrepancy"]
    scooter.check_invariants()


def test_a_reconciled_swap_takes_a_held_accumulator_out_of_its_cabinet(service: Service) -> None:
    service.add_cabinet(charges=[98, 95])
    booking = service.book(1, contractor_id="T-2")
    answer = swap(
        service,
        installed_accumulator_id="C-1.A-1",
        removed_accumulator_id=None,
        reconcile=True,
    )
    assert answer.status == 200
    held = {c["accumulator_id"]: c["state"] for c in service.booking(booking)["cells"]}
    assert held == {"C-1.A-1": "released", "C-1.A-2": "held"}
    service.check_invariants()


@pytest.mark.parametrize(
    "more",
    [
        {"removed_accumulator_id": "A-1"},
        {"removed_accumulator_id": None, "removed_battery_charge": 5},
        {"removed_battery_charge": 101},
        {"reconcile": "yes"},
        {"scooter_id": ""},
    ],
    ids=str,
)
def test_a_swap_that_cannot_be_is_refused(scooter: Service, more: dict[str, Any]) -> None:
    answer = swap(scooter, **more)
    assert (answer.status, answer.body["code"]) == (400, "invalid_request")
    assert scooter.causes("A-1") == ["registered"]


@pytest.mark.parametrize("retired", ["A-1", "A-2"])
def test_what_was_retired_and_turns_up_in_a_swap_is_quarantined(
    scooter: Service, retired: str
) -> None:
    gone = {"place": {"nowhere": True}, "reason": "scrapped"}
    scooter.patch(f"/v1/accumulators/{retired}", gone)
    scooter.delete(f"/v1/accumulators/{retired}")
    assert swap(scooter).status == 409
    answer = swap(scooter, reconcile=True)
    assert answer.status == 200
    assert scooter.get(f"/v1/accumulators/{retired}")["status"] == "quarantined"
    scooter.check_invariants()
