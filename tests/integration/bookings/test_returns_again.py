"""Returns whose door closed too early, that are cancelled, or whose accumulator is unreadable."""

from typing import Any

import pytest

from local.cabinet.hardware import Accumulator
from tests.integration.unlock.lost_messages import (
    execute_late,
    unlock_not_received,
    unlock_without_reply,
)
from tests.support.accumulators import IN_CELL_1, put_in_bag
from tests.support.service import Message, Response, Service


def opened_return(service: Service, count: int = 1) -> Any:
    """Book a return of T-1 at C-1 and open its cells; return the booking."""
    booking = service.book(count, "return")
    assert service.unlock(booking).body["status"] == "returning"
    return booking


def close(service: Service, number: int) -> None:
    service.act("C-1", lambda cabinet: cabinet.close_door(number))


def cancel(service: Service, booking: Any) -> Response:
    return service.call("DELETE", f"/v1/bookings/{booking['booking_id']}")


def test_a_cell_that_fell_shut_empty_is_opened_again(service: Service) -> None:
    hardware = service.add_cabinet()
    put_in_bag(service, "A")
    booking = opened_return(service)
    close(service, 1)
    response = service.unlock(booking)
    assert (response.status, response.body["status"]) == (200, "returning")
    assert [cell["result"] for cell in response.body["cells"]] == ["opened"]
    assert hardware.cells[1].openings == 2
    service.put(1, Accumulator("A", 12))
    assert service.booking(booking)["status"] == "completed"
    assert service.place("A") == IN_CELL_1
    service.check_invariants()


def test_only_the_cells_that_fell_shut_are_opened_again(service: Service) -> None:
    service.add_cabinet()
    put_in_bag(service, "A")
    booking = opened_return(service, 3)
    service.put(1, Accumulator("A", 12))
    close(service, 2)
    service.unlock(booking)
    assert [command["cells"] for command in service.queue.commands("unlock")] == [[1, 2, 3], [2]]
    service.check_invariants()


def test_while_all_cells_stand_open_the_stored_response_is_returned(service: Service) -> None:
    service.add_cabinet()
    booking = opened_return(service, 2)
    assert service.unlock(booking).status == 200
    assert len(service.queue.commands("unlock")) == 1


def test_a_cell_is_not_opened_again_before_the_cabinet_has_reported_it_closed(
    service: Service,
) -> None:
    hardware = service.add_cabinet()
    booking = opened_return(service)
    hardware.close_door(1)
    hardware.poll_sensors()  # the message is lost
    assert service.unlock(booking).status == 200
    assert len(service.queue.commands("unlock")) == 1


def test_a_cell_that_stands_open_is_not_opened_again_if_the_numbering_has_restarted(
    service: Service,
) -> None:
    hardware = service.add_cabinet()
    booking = opened_return(service)
    close(service, 1)

    def reply(_device: str | None, command: Message) -> None:
        service.send_from("C-1", hardware.state_report())
        hardware.seq = 0
        service.send_from("C-1", *(answer.make() for answer in hardware.handle(command)))

    service.lose_commands = True
    service.queue.arrive = reply
    assert [service.unlock(booking).status for _ in range(2)] == [200, 200]
    assert hardware.cells[1].openings == 2
    service.check_invariants()


def test_a_second_opening_without_a_reply_is_asked_about_before_a_third(service: Service) -> None:
    hardware = service.add_cabinet()
    booking = opened_return(service)
    close(service, 1)
    service.lose_commands = True
    assert service.unlock(booking).status == 504
    assert service.unlock(booking).status == 504
    assert len(service.queue.commands("unlock")) == 2
    service.lose_commands = False
    service.report(command_id=None)
    response = service.unlock(booking)  # asks; the report proves that nothing was opened
    response = service.unlock(booking) if response.status == 504 else response
    assert response.status == 200
    assert hardware.cells[1].openings == 2
    service.check_invariants()


def test_a_return_with_closed_doors_and_nothing_inserted_can_be_cancelled(
    service: Service,
) -> None:
    service.add_cabinet()
    booking = opened_return(service)
    response = cancel(service, booking)
    assert (response.status, response.body["code"]) == (409, "booking_not_active")
    assert "cell 1" in response.body["detail"]
    close(service, 1)
    assert cancel(service, booking).body["status"] == "cancelled"
    assert service.cell(1)["booking_id"] is None
    response = service.unlock(booking)
    assert (response.status, response.body["detail"]) == (409, "The booking is cancelled.")
    service.check_invariants()


def test_a_cancelled_return_with_something_inserted_is_partially_completed(
    service: Service,
) -> None:
    service.add_cabinet()
    put_in_bag(service, "A")
    booking = opened_return(service, 2)
    service.put(1, Accumulator("A", 12))
    close(service, 2)
    assert cancel(service, booking).body["status"] == "partially_completed"
    service.check_invariants()


def test_something_unreadable_that_was_returned_is_said_and_settled_by_a_person(
    service: Service,
) -> None:
    service.add_cabinet()
    put_in_bag(service, "A")
    booking = opened_return(service)
    service.put(1, Accumulator("A", 12, readable=False))
    service.report()
    found = service.booking(booking)
    assert (found["status"], found["cells"][0]["reason"]) == ("returning", "unreadable")
    [row] = service.sql("SELECT reason, detail, count FROM anomalies")
    assert row == {"reason": "unreadable_return", "detail": "cell 1: returned by T-1", "count": 1}
    assert cancel(service, booking).status == 409
    place = {"cabinet_id": "C-1", "cell_number": 1}
    service.patch("/v1/accumulators/A", {"place": place, "reason": "read from the label"})
    found = service.booking(booking)
    assert (found["status"], found["cells"][0]["accumulator_id"]) == ("completed", "A")
    assert service.place("A") == IN_CELL_1
    service.check_invariants()


def test_what_becomes_readable_after_all_finishes_the_return(service: Service) -> None:
    hardware = service.add_cabinet()
    put_in_bag(service, "A")
    booking = opened_return(service)
    service.put(1, Accumulator("A", 12, readable=False))
    hardware.cells[1].accumulator = Accumulator("A", 12)
    service.report()
    assert service.booking(booking)["status"] == "completed"
    assert service.booking(booking)["cells"][0]["reason"] is None
    service.check_invariants()


@pytest.mark.parametrize("contractor_id", ["T-7", None])
def test_an_operator_says_for_whom_a_cell_is_opened(
    service: Service, contractor_id: str | None
) -> None:
    service.add_cabinet(charges=[90])
    body = {"kind": "unlock", "cells": [1], "reason": "on the phone"}
    if contractor_id:
        body["contractor_id"] = contractor_id
    assert service.post("/v1/cabinets/C-1/commands", body)["status"] == "succeeded"
    service.take(1)
    expected = {"contractor_id": "T-7"} if contractor_id else None
    assert service.place("C-1.A-1") == expected
    assert service.anomalies() == ([] if contractor_id else ["taken_without_booking"])
    service.check_invariants()


def test_what_a_person_puts_into_a_cell_before_the_unlock_is_answered_finishes_the_return(
    service: Service,
) -> None:
    service.add_cabinet()
    put_in_bag(service, "A")
    booking = service.book(1, "return")
    unlock_without_reply(service, booking)
    service.patch("/v1/accumulators/A", {"place": IN_CELL_1, "reason": "on the phone"})
    assert service.booking(booking)["status"] == "unlocking"
    service.deliver_held_messages()
    assert service.booking(booking)["status"] == "completed"
    service.check_invariants()


def test_a_return_opened_by_an_earlier_unlock_goes_on_when_the_last_stays_unresolved(
    service: Service,
) -> None:
    hardware = service.add_cabinet()
    put_in_bag(service, "A")
    booking = service.book(1, "return")
    unlock_not_received(service, booking)
    service.queue.arrive = lambda _device, command: service.send_from(
        "C-1", hardware.state_report(command["command_id"])
    )
    service.post("/v1/cabinets/C-1/commands", {"kind": "report_state", "reason": "a test"})
    assert service.booking(booking)["status"] == "active"
    service.queue.arrive = lambda _device, _command: None
    assert service.unlock(booking).status == 504
    execute_late(service, hardware, service.queue.commands("unlock")[0])
    service.advance_time(700)
    service.poll()
    assert service.booking(booking)["status"] == "returning"
    service.check_invariants()
    service.put(1, Accumulator("A", 12))
    assert service.booking(booking)["status"] == "completed"
    service.check_invariants()


def test_a_second_opening_that_was_not_published_leaves_the_first_as_the_stored_one(
    service: Service,
) -> None:
    hardware = service.add_cabinet()
    booking = opened_return(service)
    first = service.booking(booking)["command_id"]
    close(service, 1)
    service.queue.down = True
    assert service.unlock(booking).status == 503
    service.queue.down = False
    service.act("C-1", lambda cabinet: cabinet.pry_open(1))
    response = service.unlock(booking)
    assert (response.status, response.body["command_id"]) == (200, first)
    assert hardware.cells[1].openings == 1
    service.check_invariants()
