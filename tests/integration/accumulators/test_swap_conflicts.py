"""Edge cases E58 to E67: swaps that contradict the records, and what contractors carry."""

from typing import Any
from uuid import uuid4

import pytest

from local.cabinet.hardware import Accumulator
from shared import db
from shared.errors import QueueUnavailable
from shared.models.swaps import SwapRequest
from shared.services.swap import record
from tests.integration.accumulators.swap_requests import BAG, OTHER_BAG, SCOOTER, swap
from tests.integration.blocking import blocked
from tests.support.service import Message, Service


def places(service: Service, *accumulator_ids: str) -> list[Any]:
    return [service.place(accumulator_id) for accumulator_id in accumulator_ids]


def test_e58_a_swap_at_a_scooter_already_swapped_by_another_contractor_is_refused(
    at_scooter: Service,
) -> None:
    service = at_scooter
    service.post("/v1/accumulators", {"accumulator_id": "FULL-2", **OTHER_BAG})
    first = swap(service, contractor_id="T-2", installed_accumulator_id="FULL-2")
    assert first.status == 200
    response = swap(service)
    assert (response.status, response.body["code"]) == (409, "accumulator_not_in_scooter")
    assert response.body["place"] == OTHER_BAG
    assert places(service, "FULL", "FULL-2", "FLAT") == [BAG, SCOOTER, OTHER_BAG]
    service.check_invariants()


def test_e59_a_swap_removing_an_accumulator_recorded_elsewhere_is_refused(
    at_scooter: Service,
) -> None:
    service = at_scooter
    service.post("/v1/accumulators", {"accumulator_id": "FLAT-2", "scooter_id": "S-2"})
    response = swap(service, removed_accumulator_id="FLAT-2")
    assert (response.status, response.body["code"]) == (409, "accumulator_not_in_scooter")
    assert response.body["accumulator_id"] == "FLAT-2"
    assert response.body["place"] == {"scooter_id": "S-2"}
    assert places(service, "FULL", "FLAT", "FLAT-2") == [BAG, SCOOTER, {"scooter_id": "S-2"}]
    service.check_invariants()


def test_e59_a_reconciled_swap_corrects_the_records_with_discrepancies(at_scooter: Service) -> None:
    service = at_scooter
    service.post("/v1/accumulators", {"accumulator_id": "FLAT-2", "scooter_id": "S-2"})
    response = swap(service, removed_accumulator_id="FLAT-2", reconcile=True)
    assert response.status == 200
    assert places(service, "FULL", "FLAT", "FLAT-2") == [SCOOTER, None, BAG]
    for accumulator_id, has_discrepancy in {"FULL": False, "FLAT": True, "FLAT-2": True}.items():
        [last, *_] = service.get(f"/v1/accumulators/{accumulator_id}/movements")["movements"]
        assert (last["cause"], last["discrepancy"]) == ("swapped", has_discrepancy)
    service.check_invariants()


def test_e59_a_reconciled_swap_of_a_held_accumulator_replaces_it_in_the_booking(
    service: Service,
) -> None:
    service.add_cabinet(charges=[95, 90])
    booking = service.book(contractor_id="T-2")
    response = swap(
        service,
        installed_accumulator_id="C-1.A-1",
        removed_accumulator_id=None,
        reconcile=True,
    )
    assert response.status == 200
    states = {c["accumulator_id"]: c["state"] for c in service.booking(booking)["cells"]}
    assert states == {"C-1.A-1": "released", "C-1.A-2": "held"}
    assert service.place("C-1.A-1") == SCOOTER
    service.check_invariants()


@pytest.mark.parametrize("change", [{"battery_charge": 5}, {"status": "quarantined"}])
def test_e60_a_swap_installing_a_flat_or_quarantined_accumulator_is_recorded(
    at_scooter: Service, change: dict[str, Any]
) -> None:
    service = at_scooter
    service.patch("/v1/accumulators/FULL", {**change, "reason": "test"})
    assert swap(service).status == 200
    assert places(service, "FULL", "FLAT") == [SCOOTER, BAG]
    service.check_invariants()


def test_e60_a_quarantined_or_flat_accumulator_is_never_issued(
    service: Service,
) -> None:
    service.add_cabinet(charges=[95, 20])
    change = {"status": "quarantined", "reason": "swollen"}
    service.patch("/v1/accumulators/C-1.A-1", change)
    assert service.request_booking().body["available"] == 0
    service.check_invariants()


def test_e61_a_swap_repeated_with_its_idempotency_key_is_the_same_swap(
    at_scooter: Service,
) -> None:
    first, again = (swap(at_scooter, key="swap-1") for _ in range(2))
    assert again.body == first.body
    assert again.headers["Idempotency-Replayed"] == "true"
    assert at_scooter.movement_causes("FULL") == ["registered", "swapped"]
    at_scooter.check_invariants()


def test_e62_an_abandoned_booking_expires_and_issued_accumulators_stay_with_the_contractor(
    service: Service,
) -> None:
    service.add_cabinet(charges=[95, 90])
    service.unlock(service.book())
    service.take(1)
    idle = service.book()
    service.advance_time(1800)
    service.poll()
    assert service.booking(idle)["status"] == "expired"
    assert service.place("C-1.A-1") == BAG
    service.check_invariants()


def test_e63_a_swap_reported_twice_is_recorded_once(at_scooter: Service) -> None:
    assert swap(at_scooter).body == swap(at_scooter).body
    assert at_scooter.movement_causes("FULL") == ["registered", "swapped"]
    assert at_scooter.movement_causes("FLAT") == ["registered", "swapped"]
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


def test_e64_a_swap_that_fails_halfway_is_rolled_back(at_scooter: Service) -> None:
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
def test_e65_a_swap_of_an_accumulator_held_elsewhere_is_refused_with_its_place(
    at_scooter: Service, holder: dict[str, str] | None
) -> None:
    service = at_scooter
    body: dict[str, Any] = {"place": holder or {"nowhere": True}, "reason": "test"}
    service.patch("/v1/accumulators/FULL", body)
    response = swap(service)
    assert (response.status, response.body["code"]) == (409, "accumulator_not_held")
    assert response.body["place"] == holder
    assert places(service, "FULL", "FLAT") == [holder, SCOOTER]
    service.check_invariants()


def test_e66_a_missing_accumulator_found_in_a_cell_is_quarantined(
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


def test_e67_the_accumulators_still_held_by_a_contractor_can_be_listed(
    at_scooter: Service,
) -> None:
    service = at_scooter
    swap(service, removed_battery_charge=7)
    [owed] = service.get("/v1/accumulators?contractor_id=T-1")["accumulators"]
    assert (owed["accumulator_id"], owed["battery_charge"]) == ("FLAT", 7)
    assert service.get("/v1/stats")["contractors"] == {"T-1": 1}
    service.check_invariants()


def test_simultaneous_swaps_at_one_scooter_are_serialized(service: Service) -> None:
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
    with (
        blocked(service, lambda: service.post("/v1/swaps", second)) as start,
        db.transaction() as tx,
    ):
        record(tx, uuid4(), first)
        start()
    assert service.place("A-3") == {"contractor_id": "T-1"}
    assert service.place("A-2") == {"scooter_id": "S-1"}
    assert service.place("A-1") is None
    service.check_invariants()


def test_a_swap_is_not_undone_by_older_messages_of_the_cabinet(service: Service) -> None:
    hardware = service.add_cabinet(charges=[90])
    assert service.unlock(service.book()).status == 200
    service.hold_messages = True
    service.report()  # still in the open cell
    service.take(1)
    done = swap(service, installed_accumulator_id="C-1.A-1", removed_accumulator_id=None)
    assert done.status == 200
    service.deliver_held_messages()
    assert hardware.cells[1].accumulator is None
    assert places(service, "C-1.A-1") == [SCOOTER]
    assert service.movement_causes("C-1.A-1")[-2:] == ["issued", "swapped"]
    assert service.anomalies() == []
    service.check_invariants()


def test_an_accumulator_seen_in_its_closed_cell_after_a_swap_is_in_the_cell(
    service: Service,
) -> None:
    hardware = service.add_cabinet(charges=[90])
    assert service.unlock(service.book()).status == 200
    done = swap(service, installed_accumulator_id="C-1.A-1", removed_accumulator_id=None)
    assert done.status == 200
    hardware.close_door(1)
    service.report()
    assert places(service, "C-1.A-1") == [{"cabinet_id": "C-1", "cell_number": 1}]
    assert service.movement_causes("C-1.A-1")[-2:] == ["swapped", "reported"]
    service.check_invariants()


def test_a_swap_of_a_held_accumulator_replaces_it_after_another_booking_expired(
    service: Service,
) -> None:
    service.add_cabinet(charges=[95, 90])
    service.post("/v1/accumulators", {"accumulator_id": "A-9", "contractor_id": "T-2"})
    service.book(contractor_id="T-2")
    service.advance_time(1000)
    service.report()
    booking = service.book()
    held = {"scooter_id": "S-1", "contractor_id": "T-1", "installed_accumulator_id": "C-1.A-2"}

    def refuse_after_a_swap(_device_id: str | None, _command: Message) -> None:
        service.post("/v1/swaps", held | {"reconcile": True})
        raise QueueUnavailable

    service.queue.arrive = refuse_after_a_swap
    assert service.unlock(booking).body["code"] == "queue_unavailable"
    service.advance_time(801)
    later = {"scooter_id": "S-1", "contractor_id": "T-2", "installed_accumulator_id": "A-9"}
    service.post("/v1/swaps", later | {"removed_accumulator_id": "C-1.A-2"})
    cells = [cell for cell in service.booking(booking)["cells"] if cell["state"] == "held"]
    assert [cell["cell_number"] for cell in cells] == [1]
    service.check_invariants()
