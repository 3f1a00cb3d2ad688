"""Edge cases E51, E52, E54 and E55: expiry and replacement of what bookings hold."""

from contextlib import closing
from uuid import UUID

from local.functions import FunctionPool
from shared import db
from shared.commands.unlock import Unlock
from shared.repo import bookings
from shared.services import dispatch
from tests.support.accumulators import available_and_free
from tests.support.service import Message, Service, sender

# --- E51: expiry ----------------------------------------------------------------------------------


def test_e51_an_expired_booking_releases_its_cells_before_the_sweep_runs(
    service: Service,
) -> None:
    service.add_cabinet(charges=[90])
    first = service.book()
    service.advance_time(1800)
    service.report()
    assert service.booking(first)["status"] == "expired"
    assert available_and_free(service)[0] == 1
    service.book(contractor_id="T-2")
    service.check_invariants()


def test_e51_the_sweep_stores_the_expiry_and_keeps_the_history(service: Service) -> None:
    service.add_cabinet(charges=[90])
    booking = service.book()
    service.advance_time(1800)
    service.poll()
    [row] = service.sql("SELECT status, finished_at - expires_at AS late FROM bookings")
    assert (row["status"], row["late"].total_seconds()) == ("expired", 0)
    cells = service.booking(booking)["cells"]
    assert [(cell["state"], cell["reason"]) for cell in cells] == [("released", "expired")]
    service.check_invariants()


def test_e51_an_expired_booking_cannot_be_unlocked(service: Service) -> None:
    hardware = service.add_cabinet(charges=[90])
    booking = service.book()
    service.advance_time(1800)
    response = service.unlock(booking)
    assert (response.status, response.body["code"]) == (409, "booking_expired")
    assert hardware.cells[1].openings == 0
    assert service.queue.published == []
    service.check_invariants()


def test_a_booking_that_expires_when_its_unlock_is_rejected_holds_nothing(service: Service) -> None:
    cabinet = service.add_cabinet(charges=[95, 90], cells=2)
    late = service.book()
    service.lose_commands = True
    command_id = service.unlock(late).body["command_id"]
    service.advance_time(1700)
    service.report()
    other = service.book(contractor_id="T-2")
    service.advance_time(200)
    cabinet.cells[2].fault = "lock"
    refused = {"command_id": command_id, "status": "expired", "cells": []}
    service.deliver(
        ("C-1", cabinet._message("command_result", **refused)), ("C-1", cabinet.state_report())
    )
    assert service.booking(late)["status"] == "expired"
    held = [cell for cell in service.booking(other)["cells"] if cell["state"] == "held"]
    assert [cell["cell_number"] for cell in held] == [1]
    service.check_invariants()


# --- E52: a held cell becomes unusable ------------------------------------------------------------


def test_e52_a_cell_that_becomes_faulty_while_held_is_replaced(service: Service) -> None:
    hardware = service.add_cabinet(charges=[95, 90])
    booking = service.book()
    hardware.cells[1].fault = "lock"
    service.report()
    states = [(c["cell_number"], c["state"]) for c in service.booking(booking)["cells"]]
    assert states == [(1, "released"), (2, "held")]
    assert service.booking(booking)["cells"][0]["reason"] == "lock"
    service.check_invariants()


def test_e52_a_booking_with_a_replaced_cell_is_completed(
    service: Service,
) -> None:
    hardware = service.add_cabinet(charges=[95, 90])
    booking = service.book()
    hardware.cells[1].fault = "lock"
    service.report()
    assert service.unlock(booking).body["status"] == "completed"
    service.check_invariants()


def test_e52_a_booking_whose_faulty_cell_cannot_be_replaced_fails_with_the_reason(
    service: Service,
) -> None:
    hardware = service.add_cabinet(charges=[95])
    booking = service.book()
    hardware.cells[1].fault = "lock"
    service.report()
    found = service.booking(booking)
    assert (found["status"], found["cells"][0]["reason"]) == ("failed", "lock")
    service.check_invariants()


def test_e52_a_held_accumulator_seen_elsewhere_is_replaced(service: Service) -> None:
    hardware = service.add_cabinet(charges=[95, 90])
    service.connect("C-2")
    booking = service.book()
    service.cabinets["C-2"].cells[1].accumulator = hardware.cells[1].accumulator
    service.report("C-2")
    assert service.booking(booking)["cells"][0]["reason"] == "moved"
    assert service.booking(booking)["cells"][1]["accumulator_id"] == "C-1.A-2"
    service.check_invariants()


def test_e52_a_held_return_cell_that_is_filled_is_replaced(service: Service) -> None:
    hardware = service.add_cabinet(charges=[95], cells=3)
    booking = service.book(kind="return")
    hardware.cells[2].accumulator, hardware.cells[1].accumulator = (
        hardware.cells[1].accumulator,
        None,
    )
    service.report()
    states = {c["cell_number"]: c["state"] for c in service.booking(booking)["cells"]}
    assert (states[2], "held" in states.values()) == ("released", True)
    service.check_invariants()


def test_a_cell_opened_for_a_booking_is_not_held_for_it_again(service: Service) -> None:
    service.add_cabinet(charges=[90])
    booking = service.book()
    service.unlock(booking)
    service.act("C-1", lambda hardware: hardware.close_door(1))  # nothing was taken out
    assert available_and_free(service)[0] == 1
    with db.transaction() as tx:
        assert bookings.hold(tx, UUID(booking["booking_id"]), 1) == []
    db.close()


# --- E54, E55: restarts, availability -------------------------------------------------------------


def test_e54_a_booking_survives_a_restart_of_the_functions(service: Service) -> None:
    service.add_cabinet(charges=[90])
    booking = service.book()
    with closing(FunctionPool()) as pool:
        restarted = Service(service.url, service.queue, pool)
        restarted.cabinets = service.cabinets
        assert restarted.unlock(booking).body["status"] == "completed"
    service.check_invariants()


def test_e54_a_cancelled_booking_stays_cancelled_after_a_reboot(service: Service) -> None:
    hardware = service.add_cabinet(charges=[90])
    booking = service.book()
    service.delete(f"/v1/bookings/{booking['booking_id']}")
    hardware.reboot()
    service.report()
    service.poll()
    assert service.booking(booking)["status"] == "cancelled"
    assert service.unlock(booking).status == 409
    assert available_and_free(service)[0] == 1
    service.check_invariants()


def test_e55_an_accumulator_is_never_available_between_booking_and_issue(service: Service) -> None:
    service.add_cabinet(charges=[90])
    counts = []
    arrive = service.queue.arrive

    def count_at_arrival(device: str | None, command: Message) -> None:
        counts.append(available_and_free(service)[0])
        arrive(device, command)
        counts.append(available_and_free(service)[0])

    service.queue.arrive = count_at_arrival
    booking = service.book()
    counts.append(available_and_free(service)[0])
    service.unlock(booking)
    service.take(1)
    assert [*counts, available_and_free(service)[0]] == [0, 0, 0, 0]
    service.check_invariants()


def test_an_accumulator_held_by_an_unsettled_unlock_cannot_be_booked_from_another_cell(
    service: Service,
) -> None:
    hardware = service.add_cabinet(charges=[95])
    booking_id = UUID(service.book()["booking_id"])
    with db.transaction() as tx:  # an unlock without an outcome
        row = {"cabinet_id": "C-1", "booking_id": booking_id}
        command_id = dispatch.insert(tx, Unlock(cells=[1]), sender(), **row)
        bookings.advance(tx, booking_id, "unlock_requested", command_id=command_id)
    db.close()
    moved = hardware.cells[1].accumulator
    hardware.cells[1].accumulator, hardware.cells[2].accumulator = None, moved
    service.report()
    assert service.place("C-1.A-1") == {"cabinet_id": "C-1", "cell_number": 2}
    response = service.request_booking()
    assert (response.status, response.body["code"]) == (409, "not_enough_accumulators")
    service.check_invariants()
