"""Edge cases E36 to E40: returns."""

from typing import Any

import pytest

from local.cabinet.hardware import Accumulator
from tests.support.accumulators import IN_CELL_1, available_and_free, put_in_bag
from tests.support.service import Message, Service, running


def opened_return(service: Service, count: int = 1) -> Any:
    """Book a return of T-1 at C-1 and open its cells; return the booking."""
    booking = service.book(count, "return")
    assert service.unlock(booking).body["status"] == "returning"
    return booking


def test_e36_a_return_is_recorded_with_the_contractor_it_came_from(service: Service) -> None:
    service.add_cabinet()
    put_in_bag(service, "A")
    booking = opened_return(service)
    service.put(1, Accumulator("A", 12))
    found = service.booking(booking)
    assert (found["status"], found["cells"][0]["accumulator_id"]) == ("completed", "A")
    [last, *_] = service.get("/v1/accumulators/A/movements")["movements"]
    assert (last["cause"], last["from"]["contractor_id"]) == ("returned", "T-1")
    assert (last["booking_id"], last["discrepancy"]) == (booking["booking_id"], False)
    service.check_invariants()


def test_e36_an_unknown_accumulator_is_registered_as_quarantined_with_a_discrepancy(
    service: Service,
) -> None:
    service.add_cabinet()
    booking = opened_return(service)
    service.put(1, Accumulator("X-1", 95))
    assert service.get("/v1/accumulators/X-1")["status"] == "quarantined"
    assert available_and_free(service)[0] == 0
    assert service.booking(booking)["status"] == "completed"
    assert service.get("/v1/accumulators/X-1/movements")["movements"][0]["discrepancy"]
    service.check_invariants()


def test_e37_another_contractors_accumulator_is_accepted_with_a_discrepancy(
    service: Service,
) -> None:
    service.add_cabinet()
    put_in_bag(service, "A", contractor_id="T-2")
    booking = opened_return(service)
    service.put(1, Accumulator("A", 12))
    assert service.place("A") == IN_CELL_1
    [last, *_] = service.get("/v1/accumulators/A/movements")["movements"]
    assert (last["from"]["contractor_id"], last["discrepancy"]) == ("T-2", True)
    assert last["booking_id"] == booking["booking_id"]
    service.check_invariants()


def test_e38_a_return_into_another_cell_completes_the_booking_and_releases_its_cell(
    service: Service,
) -> None:
    hardware = service.add_cabinet()
    put_in_bag(service, "A")
    booking = opened_return(service)
    hardware.pry_open(5)
    service.put(5, Accumulator("A", 12))
    service.act("C-1", lambda hardware: hardware.close_door(1))
    found = service.booking(booking)
    assert (found["status"], found["cells"][0]["reason"]) == ("completed", "in cell 5")
    assert service.cell(1)["booking_id"] is None
    service.check_invariants()


def test_e39_a_return_into_another_cabinet_moves_the_accumulator_and_the_booking_expires(
    service: Service,
) -> None:
    service.add_cabinet("C-1")
    service.add_cabinet("C-2")
    put_in_bag(service, "A")
    booking = opened_return(service)
    service.cabinets["C-2"].pry_open(3)
    service.put(3, Accumulator("A", 12), "C-2")
    assert service.place("A") == {"cabinet_id": "C-2", "cell_number": 3}
    service.advance_time(1800)
    assert service.booking(booking)["status"] == "expired"
    service.check_invariants()


def test_e40_an_accumulator_that_did_not_fit_stays_with_the_contractor(service: Service) -> None:
    service.add_cabinet(cells=1)
    put_in_bag(service, "A", "B")
    opened_return(service)
    service.put(1, Accumulator("A", 12))
    held = service.get("/v1/accumulators?contractor_id=T-1")["accumulators"]
    assert [one["accumulator_id"] for one in held] == ["B"]
    service.check_invariants()


def test_e40_a_return_with_fewer_accumulators_than_booked_is_partially_completed_at_expiry(
    service: Service,
) -> None:
    service.add_cabinet()
    put_in_bag(service, "A")
    booking = opened_return(service, 2)
    service.put(1, Accumulator("A", 12))
    assert service.booking(booking)["status"] == "returning"
    service.advance_time(1800)
    assert service.booking(booking)["status"] == "partially_completed"
    service.poll()
    assert service.sql("SELECT status FROM bookings") == [{"status": "partially_completed"}]
    service.check_invariants()


@pytest.mark.parametrize("evidence", ["before the reply", "instead of a reply"])
def test_e40_an_inserted_accumulator_completes_a_return_whose_unlock_is_unsettled(
    database_url: str, monkeypatch: pytest.MonkeyPatch, evidence: str
) -> None:
    # However slow this machine is, the accumulator is inserted before the deadline.
    longer = {"UNLOCK_WAIT_SECONDS": "60", "COMMAND_TTL_SECONDS": "60"}
    with running(database_url, monkeypatch, **longer) as service:
        hardware = service.add_cabinet()
        put_in_bag(service, "A")
        booking = service.book(kind="return")
        replies: list[Message] = []

        def insert_at_once(_device: str | None, command: Message) -> None:
            replies.extend(reply.make() for reply in hardware.handle(command))
            service.put(1, Accumulator("A", 12))

        arrive, service.queue.arrive = service.queue.arrive, insert_at_once
        assert service.unlock(booking, prefer="respond-async").status == 202
        service.queue.arrive = arrive
        service.advance_time(61)
        if evidence == "before the reply":
            service.send_from("C-1", *replies)
        else:
            service.poll()
        assert service.booking(booking)["status"] == "completed"
        assert service.movement_causes("A") == ["registered", "returned"]
        service.check_invariants()
