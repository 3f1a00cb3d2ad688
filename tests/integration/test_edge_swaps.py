"""Edge cases E58 to E67: swaps and what contractors carry. docs/edge-cases.md lists them."""

from concurrent.futures import ThreadPoolExecutor
from typing import Any
from uuid import uuid4

import pytest

from local.cabinet.hardware import Accumulator
from shared import db
from shared.errors import QueueUnavailable
from shared.models.swaps import SwapRequest
from shared.services.swap import record
from tests.service import Answer, Message, Service
from tests.waiting import wait_until

BAG, OTHER_BAG, SCOOTER = {"contractor_id": "T-1"}, {"contractor_id": "T-2"}, {"scooter_id": "S-1"}


@pytest.fixture
def at_scooter(service: Service) -> Service:
    """T-1 has the full accumulator in the bag and stands at S-1, which has the flat one."""
    full = {"accumulator_id": "FULL", "battery_charge": 97, **BAG}
    service.post("/v1/accumulators", full)
    service.post("/v1/accumulators", {"accumulator_id": "FLAT", **SCOOTER})
    return service


def swap(service: Service, *, key: str | None = None, **more: Any) -> Answer:
    body = {
        "scooter_id": "S-1",
        "contractor_id": "T-1",
        "installed_accumulator_id": "FULL",
        "removed_accumulator_id": "FLAT",
    }
    headers = {"Idempotency-Key": key} if key else {}
    return service.call("POST", "/v1/swaps", body | more, headers=headers)


def places(service: Service, *accumulator_ids: str) -> list[Any]:
    return [service.place(accumulator_id) for accumulator_id in accumulator_ids]


def test_e58_a_scooter_that_another_has_swapped_already_is_refused_and_told(
    at_scooter: Service,
) -> None:
    service = at_scooter
    service.post("/v1/accumulators", {"accumulator_id": "FULL-2", **OTHER_BAG})
    first = swap(service, contractor_id="T-2", installed_accumulator_id="FULL-2")
    assert first.status == 200
    answer = swap(service)
    assert (answer.status, answer.body["code"]) == (409, "accumulator_not_in_scooter")
    assert answer.body["place"] == OTHER_BAG
    assert places(service, "FULL", "FULL-2", "FLAT") == [BAG, SCOOTER, OTHER_BAG]
    service.check_invariants()


def test_e59_another_flat_one_than_recorded_is_refused(at_scooter: Service) -> None:
    service = at_scooter
    service.post("/v1/accumulators", {"accumulator_id": "FLAT-2", "scooter_id": "S-2"})
    answer = swap(service, removed_accumulator_id="FLAT-2")
    assert (answer.status, answer.body["code"]) == (409, "accumulator_not_in_scooter")
    assert answer.body["place"] == {"scooter_id": "S-2"}
    assert places(service, "FULL", "FLAT", "FLAT-2") == [BAG, SCOOTER, {"scooter_id": "S-2"}]
    service.check_invariants()


def test_e59_with_reconcile_the_record_follows_the_fact_and_says_so(at_scooter: Service) -> None:
    service = at_scooter
    service.post("/v1/accumulators", {"accumulator_id": "FLAT-2", "scooter_id": "S-2"})
    answer = swap(service, removed_accumulator_id="FLAT-2", reconcile=True)
    assert answer.status == 200
    assert places(service, "FULL", "FLAT", "FLAT-2") == [SCOOTER, None, BAG]
    for accumulator_id, odd in {"FULL": False, "FLAT": True, "FLAT-2": True}.items():
        [last, *_] = service.get(f"/v1/accumulators/{accumulator_id}/movements")["movements"]
        assert (last["cause"], last["discrepancy"]) == ("swapped", odd)
    service.check_invariants()


def test_e59_with_reconcile_one_recorded_in_a_cell_and_held_loses_its_hold(
    service: Service,
) -> None:
    service.add_cabinet(charges=[95, 90])
    booking = service.book(contractor_id="T-2")
    answer = swap(
        service,
        installed_accumulator_id="C-1.A-1",
        removed_accumulator_id=None,
        reconcile=True,
    )
    assert answer.status == 200
    held = [c["accumulator_id"] for c in service.booking(booking)["cells"] if c["state"] == "held"]
    assert held == ["C-1.A-2"]
    assert service.place("C-1.A-1") == SCOOTER
    service.check_invariants()


@pytest.mark.parametrize("change", [{"battery_charge": 5}, {"status": "quarantined"}])
def test_e60_what_was_installed_is_recorded_as_a_fact_whatever_its_state(
    at_scooter: Service, change: dict[str, Any]
) -> None:
    service = at_scooter
    service.patch("/v1/accumulators/FULL", {**change, "reason": "test"})
    assert swap(service).status == 200
    assert places(service, "FULL", "FLAT") == [SCOOTER, BAG]
    service.check_invariants()


def test_e60_a_quarantined_or_flat_accumulator_is_never_issued_in_the_first_place(
    service: Service,
) -> None:
    service.add_cabinet(charges=[95, 20])
    change = {"status": "quarantined", "reason": "swollen"}
    service.patch("/v1/accumulators/C-1.A-1", change)
    wanted = {"cabinet_id": "C-1", "contractor_id": "T-1", "kind": "issue", "count": 1}
    assert service.call("POST", "/v1/bookings", wanted).body["available"] == 0
    service.check_invariants()


def test_e61_a_swap_replayed_after_the_network_is_back_is_the_same_swap(
    at_scooter: Service,
) -> None:
    first, again = (swap(at_scooter, key="swap-1") for _ in range(2))
    assert again.body == first.body
    assert again.headers["Idempotency-Replayed"] == "true"
    assert at_scooter.causes("FULL") == ["registered", "swapped"]
    at_scooter.check_invariants()


def test_e62_when_the_phone_dies_the_booking_ends_by_itself_and_the_bag_stays(
    service: Service,
) -> None:
    service.add_cabinet(charges=[95, 90])
    service.unlock(service.book())
    service.take(1)
    idle = service.book()
    service.later(1800)
    service.poll()
    assert service.booking(idle)["status"] == "expired"
    assert service.place("C-1.A-1") == BAG
    service.check_invariants()


def test_e63_a_swap_posted_twice_is_one_swap(at_scooter: Service) -> None:
    assert swap(at_scooter).body == swap(at_scooter).body
    assert at_scooter.causes("FLAT") == ["registered", "swapped"]
    at_scooter.check_invariants()


def test_e63_the_same_accumulator_installed_again_later_is_another_swap(
    at_scooter: Service,
) -> None:
    service = at_scooter
    first = swap(service)
    back = {"installed_accumulator_id": "FLAT", "removed_accumulator_id": "FULL"}
    assert swap(service, **back).status == 200
    third = swap(service)
    assert third.body["swap_id"] != first.body["swap_id"]
    assert places(service, "FULL", "FLAT") == [SCOOTER, BAG]
    service.check_invariants()


def test_e64_a_swap_that_fails_half_way_has_moved_neither(at_scooter: Service) -> None:
    service = at_scooter
    service.sql(
        """CREATE FUNCTION fail() RETURNS trigger LANGUAGE plpgsql
           AS $$ BEGIN RAISE EXCEPTION 'half way'; END $$"""
    )
    service.sql(
        """CREATE TRIGGER half_way AFTER INSERT ON movements FOR EACH ROW
           WHEN (NEW.accumulator_id = 'FLAT') EXECUTE FUNCTION fail()"""
    )
    assert swap(service).status == 500
    assert places(service, "FULL", "FLAT") == [BAG, SCOOTER]
    service.sql("DROP TRIGGER half_way ON movements")
    assert swap(service).status == 200
    service.check_invariants()


@pytest.mark.parametrize("holder", [OTHER_BAG, {"scooter_id": "S-9"}, None])
def test_e65_what_the_contractor_does_not_hold_is_refused_with_who_does(
    at_scooter: Service, holder: dict[str, str] | None
) -> None:
    service = at_scooter
    body: dict[str, Any] = {"place": holder or {"nowhere": True}, "reason": "test"}
    service.patch("/v1/accumulators/FULL", body)
    answer = swap(service)
    assert (answer.status, answer.body["code"]) == (409, "accumulator_not_held")
    assert answer.body["place"] == holder
    assert places(service, "FULL", "FLAT") == [holder, SCOOTER]
    service.check_invariants()


def test_e66_an_accumulator_called_missing_is_quarantined_when_it_is_found(
    service: Service,
) -> None:
    hardware = service.add_cabinet()
    service.post("/v1/accumulators", {"accumulator_id": "A", **BAG})
    lost: dict[str, Any] = {
        "status": "missing",
        "place": {"nowhere": True},
        "reason": "not seen for days",
    }
    service.patch("/v1/accumulators/A", lost)
    missing = service.get("/v1/accumulators?status=missing")["accumulators"]
    assert [one["accumulator_id"] for one in missing] == ["A"]
    hardware.cells[1].accumulator = Accumulator("A", 50)
    service.report()
    assert service.get("/v1/accumulators/A")["status"] == "quarantined"
    assert service.place("A") == {"cabinet_id": "C-1", "cell_number": 1}
    assert service.anomalies() == ["missing_found"]
    service.check_invariants()


def test_e67_what_is_still_in_a_bag_at_the_end_of_a_shift_can_be_asked_for(
    at_scooter: Service,
) -> None:
    service = at_scooter
    swap(service, removed_battery_charge=7)
    [owed] = service.get("/v1/accumulators?contractor_id=T-1")["accumulators"]
    assert (owed["accumulator_id"], owed["battery_charge"]) == ("FLAT", 7)
    assert service.get("/v1/stats")["contractors"] == {"T-1": 1}
    service.check_invariants()


def test_two_swaps_at_one_scooter_follow_one_another(service: Service) -> None:
    for accumulator_id, place in {
        "A-1": {"contractor_id": "T-1"},
        "A-2": {"contractor_id": "T-2"},
        "A-3": {"scooter_id": "S-1"},
    }.items():
        service.post("/v1/accumulators", {"accumulator_id": accumulator_id, **place})
    first = SwapRequest(
        scooter_id="S-1",
        contractor_id="T-1",
        installed_accumulator_id="A-1",
        removed_accumulator_id="A-3",
    )
    second = {"scooter_id": "S-1", "contractor_id": "T-2", "installed_accumulator_id": "A-2"}
    with ThreadPoolExecutor(1) as other:
        with db.transaction() as tx:
            record(tx, uuid4(), first)
            waiting = other.submit(service.call, "POST", "/v1/swaps", second)
            wait_until(
                lambda: service.sql("SELECT pid FROM pg_locks WHERE NOT granted LIMIT 1"),
            )
        assert waiting.result().status == 200
    db.close()
    assert service.place("A-3") == {"contractor_id": "T-1"}
    assert service.place("A-2") == {"scooter_id": "S-1"}
    assert service.place("A-1") is None
    service.check_invariants()


def test_a_swap_that_overtakes_what_the_cabinet_said_before_it_stands(service: Service) -> None:
    hardware = service.add_cabinet(charges=[90])
    assert service.unlock(service.book()).status == 200
    service.hold_messages = True
    service.report()  # still in the open cell
    service.take(1)
    assert (
        swap(service, installed_accumulator_id="C-1.A-1", removed_accumulator_id=None).status == 200
    )
    service.deliver_waiting()
    assert hardware.cells[1].accumulator is None
    assert places(service, "C-1.A-1") == [SCOOTER]
    assert service.causes("C-1.A-1")[-2:] == ["issued", "swapped"]
    assert service.anomalies() == []
    service.check_invariants()


def test_what_is_seen_in_its_closed_cell_is_there_whatever_a_swap_said(service: Service) -> None:
    hardware = service.add_cabinet(charges=[90])
    assert service.unlock(service.book()).status == 200
    assert (
        swap(service, installed_accumulator_id="C-1.A-1", removed_accumulator_id=None).status == 200
    )
    hardware.close_door(1)
    service.report()
    assert places(service, "C-1.A-1") == [{"cabinet_id": "C-1", "cell_number": 1}]
    assert service.causes("C-1.A-1")[-2:] == ["swapped", "reported"]
    service.check_invariants()


def test_a_swap_of_what_is_held_still_gives_the_booking_another_in_its_place(
    service: Service,
) -> None:
    service.add_cabinet(charges=[95, 90])
    service.post("/v1/accumulators", {"accumulator_id": "A-9", "contractor_id": "T-2"})
    service.book(contractor_id="T-2")
    service.later(1000)
    service.report()
    booking = service.book()
    held = {"scooter_id": "S-1", "contractor_id": "T-1", "installed_accumulator_id": "C-1.A-2"}

    def refuse_after_a_swap(_device_id: str | None, _command: Message) -> None:
        service.post("/v1/swaps", held | {"reconcile": True})
        raise QueueUnavailable

    service.queue.arrive = refuse_after_a_swap
    assert service.unlock(booking).body["code"] == "queue_unavailable"
    service.later(801)
    later = {"scooter_id": "S-1", "contractor_id": "T-2", "installed_accumulator_id": "A-9"}
    service.post("/v1/swaps", later | {"removed_accumulator_id": "C-1.A-2"})
    cells = [cell for cell in service.booking(booking)["cells"] if cell["state"] == "held"]
    assert [cell["cell_number"] for cell in cells] == [1]
    service.check_invariants()
