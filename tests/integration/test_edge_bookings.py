"""Edge cases E51 to E57: bookings. docs/edge-cases.md lists them."""

from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from typing import Any
from uuid import UUID

from local.functions import FunctionPool
from shared import config, db
from shared.commands.unlock import Unlock
from shared.repo import bookings
from shared.services import dispatch
from tests.service import Message, Service


def wanted(count: int = 1, **more: Any) -> dict[str, Any]:
    return {
        "cabinet_id": "C-1",
        "contractor_id": "T-1",
        "kind": "issue",
        "count": count,
    } | more


def available(service: Service) -> int:
    count: int = service.get("/v1/cabinets/C-1")["accumulators"]["available"]
    return count


# --- E51: expiry ----------------------------------------------------------------------------------


def test_e51_an_expired_booking_is_free_at_once_before_anything_has_swept(
    service: Service,
) -> None:
    service.add_cabinet(charges=[90])
    first = service.book()
    service.later(1800)
    service.report()
    assert service.booking(first)["status"] == "expired"
    assert available(service) == 1
    service.book(contractor_id="T-2")
    service.check_invariants()


def test_e51_the_sweep_writes_the_expiry_and_the_history_stays(service: Service) -> None:
    service.add_cabinet(charges=[90])
    booking = service.book()
    service.later(1800)
    service.poll()
    [row] = service.sql("SELECT status, finished_at - expires_at AS late FROM bookings")
    assert (row["status"], row["late"].total_seconds()) == ("expired", 0)
    cells = service.booking(booking)["cells"]
    assert [(cell["state"], cell["reason"]) for cell in cells] == [("released", "expired")]
    service.check_invariants()


def test_e51_an_expired_booking_opens_nothing(service: Service) -> None:
    hardware = service.add_cabinet(charges=[90])
    booking = service.book()
    service.later(1800)
    answer = service.unlock(booking)
    assert (answer.status, answer.body["code"]) == (409, "booking_expired")
    assert hardware.cells[1].openings == 0
    service.check_invariants()


def test_a_booking_that_is_active_again_after_its_time_is_in_nobodys_way(service: Service) -> None:
    cabinet = service.add_cabinet(charges=[95, 90], cells=2)
    late = service.book()
    service.lose_commands = True
    command_id = service.unlock(late).body["command_id"]
    service.later(1700)
    service.report()
    other = service.book(contractor_id="T-2")
    service.later(200)
    cabinet.cells[2].fault = "lock"
    refused = {"command_id": command_id, "status": "expired", "cells": []}
    service.deliver(
        ("C-1", cabinet._message("command_result", **refused)), ("C-1", cabinet.state_report())
    )
    assert service.booking(late)["status"] == "expired"
    held = [cell for cell in service.booking(other)["cells"] if cell["state"] == "held"]
    assert [cell["cell_number"] for cell in held] == [1]
    service.check_invariants()


# --- E52: the held thing goes bad -----------------------------------------------------------------


def test_e52_a_cell_that_becomes_faulty_while_held_is_replaced(service: Service) -> None:
    hardware = service.add_cabinet(charges=[95, 90])
    booking = service.book()
    hardware.cells[1].fault = "lock"
    service.report()
    states = [(c["cell_number"], c["state"]) for c in service.booking(booking)["cells"]]
    assert states == [(1, "released"), (2, "held")]
    assert service.booking(booking)["cells"][0]["reason"] == "lock"
    service.check_invariants()


def test_e52_a_booking_whose_lost_cell_was_replaced_is_completed_and_not_partial(
    service: Service,
) -> None:
    hardware = service.add_cabinet(charges=[95, 90])
    booking = service.book()
    hardware.cells[1].fault = "lock"
    service.report()
    assert service.unlock(booking).body["status"] == "completed"
    service.check_invariants()


def test_e52_with_nothing_in_its_place_the_booking_has_failed_with_the_reason(
    service: Service,
) -> None:
    hardware = service.add_cabinet(charges=[95])
    booking = service.book()
    hardware.cells[1].fault = "lock"
    service.report()
    found = service.booking(booking)
    assert (found["status"], found["cells"][0]["reason"]) == ("failed", "lock")
    service.check_invariants()


def test_e52_an_accumulator_seen_elsewhere_ends_its_hold(service: Service) -> None:
    hardware = service.add_cabinet(charges=[95, 90])
    service.connect("C-2")
    booking = service.book()
    service.cabinets["C-2"].cells[1].accumulator = hardware.cells[1].accumulator
    service.report("C-2")
    assert service.booking(booking)["cells"][0]["reason"] == "moved"
    assert service.booking(booking)["cells"][1]["accumulator_id"] == "C-1.A-2"
    service.check_invariants()


def test_e52_a_return_cell_that_is_filled_by_another_is_replaced(service: Service) -> None:
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


# --- E53 to E55: cancelling, restarts, no flash ---------------------------------------------------


def test_e53_nothing_is_cancelled_while_its_cells_are_being_opened(service: Service) -> None:
    service.add_cabinet(charges=[90])
    booking = service.book()
    service.hold_messages = True
    service.unlock(booking)
    answer = service.call("DELETE", f"/v1/bookings/{booking['booking_id']}")
    assert (answer.status, answer.body["code"]) == (409, "booking_not_active")
    service.deliver_waiting()
    assert service.booking(booking)["status"] == "completed"
    service.check_invariants()


def test_e53_what_left_a_cancelled_bookings_cell_after_all_is_with_its_contractor(
    service: Service,
) -> None:
    hardware = service.add_cabinet(charges=[90])
    booking = service.book()
    service.lose_commands = True
    service.unlock(booking)
    service.lose_commands = False
    service.poll()
    service.delete(f"/v1/bookings/{booking['booking_id']}")
    [lost] = service.queue.commands("unlock")
    for reply in hardware.handle(lost):
        service.say("C-1", reply.make())
    service.take(1)
    assert service.booking(booking)["status"] == "cancelled"
    assert service.place("C-1.A-1") == {"contractor_id": "T-1"}
    service.check_invariants()


def test_e54_a_booking_outlives_the_functions_that_made_it(service: Service) -> None:
    service.add_cabinet(charges=[90])
    booking = service.book()
    with closing(FunctionPool()) as pool:
        restarted = Service(service.url, service.queue, pool)
        restarted.cabinets = service.cabinets
        assert restarted.unlock(booking).body["status"] == "completed"
    service.check_invariants()


def test_e54_a_cancelled_booking_does_not_come_back(service: Service) -> None:
    hardware = service.add_cabinet(charges=[90])
    booking = service.book()
    service.delete(f"/v1/bookings/{booking['booking_id']}")
    hardware.reboot()
    service.report()
    service.poll()
    assert service.booking(booking)["status"] == "cancelled"
    assert service.unlock(booking).status == 409
    assert available(service) == 1
    service.check_invariants()


def test_e55_what_is_held_is_never_available_to_others_on_its_way_out(service: Service) -> None:
    service.add_cabinet(charges=[90])
    seen = []
    arrive = service.queue.arrive

    def look(device: str | None, command: Message) -> None:
        seen.append(available(service))
        arrive(device, command)
        seen.append(available(service))

    service.queue.arrive = look
    booking = service.book()
    seen.append(available(service))
    service.unlock(booking)
    service.take(1)
    assert [*seen, available(service)] == [0, 0, 0, 0]
    service.check_invariants()


# --- E56, E57: many want few ----------------------------------------------------------------------


def test_e56_of_twenty_who_want_six_six_win_and_fourteen_are_told_so(service: Service) -> None:
    service.add_cabinet(charges=[90] * 6)
    with ThreadPoolExecutor(20) as threads:
        asked = [
            threads.submit(service.call, "POST", "/v1/bookings", wanted(contractor_id=f"T-{n}"))
            for n in range(20)
        ]
        answers = [one.result(50) for one in asked]
    statuses = sorted(answer.status for answer in answers)
    assert statuses == [201] * 6 + [409] * 14
    refused = {answer.body["code"] for answer in answers if answer.status == 409}
    assert refused == {"not_enough_accumulators"}
    service.check_invariants()


def test_e57_by_default_it_is_all_or_nothing(service: Service) -> None:
    service.add_cabinet(charges=[90, 90])
    answer = service.call("POST", "/v1/bookings", wanted(3))
    assert (answer.status, answer.body["requested"], answer.body["available"]) == (409, 3, 2)
    assert available(service) == 2
    service.check_invariants()


def test_e57_with_allow_partial_it_is_as_many_as_there_are(service: Service) -> None:
    service.add_cabinet(charges=[90, 90])
    booking = service.book(3, allow_partial=True)
    assert (booking["requested"], len(booking["cells"])) == (3, 2)
    assert service.unlock(booking).body["status"] == "completed"
    service.check_invariants()


def test_e57_partial_is_at_least_one(service: Service) -> None:
    service.add_cabinet()
    answer = service.call("POST", "/v1/bookings", wanted(3, allow_partial=True))
    assert (answer.status, answer.body["code"]) == (409, "not_enough_accumulators")
    service.check_invariants()


def test_what_is_held_for_an_unlock_under_way_is_not_booked_from_the_cell_it_was_moved_to(
    service: Service,
) -> None:
    hardware = service.add_cabinet(charges=[95])
    booking_id = UUID(service.book()["booking_id"])
    with db.transaction() as tx:  # an unlock that was written down, and no more is known of it
        row = {"cabinet_id": "C-1", "booking_id": booking_id, "requested_by": "a test"}
        command_id = dispatch.insert(tx, Unlock(cells=[1]), config.settings(), **row)
        bookings.move_on(tx, booking_id, since="active", to="unlocking", command_id=command_id)
    db.close()
    moved = hardware.cells[1].accumulator
    hardware.cells[1].accumulator, hardware.cells[2].accumulator = None, moved
    service.report()
    assert service.place("C-1.A-1") == {"cabinet_id": "C-1", "cell_number": 2}
    answer = service.call("POST", "/v1/bookings", wanted(1))
    assert (answer.status, answer.body["code"]) == (409, "not_enough_accumulators")
    service.check_invariants()
