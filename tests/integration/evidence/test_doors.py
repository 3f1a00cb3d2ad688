"""Edge cases E21 to E29: doors and locks."""

import pytest

from local.cabinet.hardware import Accumulator
from shared import db
from shared.commands.unlock import Unlock
from shared.services import dispatch
from tests.integration.api_calls import unlock_without_booking
from tests.support.accumulators import IN_CELL_1, available_and_free
from tests.support.service import Service, sender


def insert_unsettled_unlock(service: Service, cell: int) -> str:
    """Insert an unlock without a booking that has no outcome yet; return its id."""
    with db.transaction() as tx:
        command_id = dispatch.insert(tx, Unlock(cells=[cell]), sender(), cabinet_id="C-1")
    db.close()
    return str(command_id)


# --- E21, E22, E29: cells that do not open --------------------------------------------------------


def test_e21_a_jammed_cell_becomes_faulty_and_another_cell_replaces_it(
    service: Service,
) -> None:
    hardware = service.add_cabinet(charges=[95, 90])
    hardware.cells[1].lock = "jammed"
    booking = service.book()
    response = service.unlock(booking)
    assert response.body["status"] == "active"
    assert (service.cell(1)["health"], service.cell(1)["health_reason"]) == ("faulty", "jammed")
    held = [cell for cell in service.booking(booking)["cells"] if cell["state"] == "held"]
    assert [cell["accumulator_id"] for cell in held] == ["C-1.A-2"]
    service.check_invariants()


def test_e21_the_replacement_cell_completes_the_booking(service: Service) -> None:
    hardware = service.add_cabinet(charges=[95, 90])
    hardware.cells[1].lock = "jammed"
    booking = service.book()
    service.unlock(booking)
    assert service.unlock(booking).body["status"] == "completed"
    assert service.place("C-1.A-2") == {"contractor_id": "T-1"}
    service.check_invariants()


def test_e21_a_booking_whose_only_cell_jams_fails_without_a_replacement(service: Service) -> None:
    hardware = service.add_cabinet(charges=[95])
    hardware.cells[1].lock = "jammed"
    booking = service.book()
    assert service.unlock(booking).body["status"] == "failed"
    assert service.place("C-1.A-1") == IN_CELL_1
    service.check_invariants()


def test_e21_a_jammed_return_cell_is_replaced_by_another_free_cell(service: Service) -> None:
    hardware = service.add_cabinet(cells=2)
    hardware.cells[1].lock = "jammed"
    booking = service.book(kind="return")
    service.unlock(booking)
    assert service.unlock(booking).body["status"] == "returning"
    assert hardware.cells[2].door == "open"
    service.check_invariants()


def test_e22_a_lock_pulse_without_an_open_door_moves_nothing(service: Service) -> None:
    hardware = service.add_cabinet(charges=[95])
    hardware.cells[1].lock = "stuck"
    response = service.unlock(service.book())
    assert response.body["cells"][0]["result"] == "not_detected"
    assert service.place("C-1.A-1") == IN_CELL_1
    assert service.cell(1)["health_reason"] == "not_detected"
    service.check_invariants()


def test_e29_a_jammed_cell_is_not_retried_until_an_operator_sets_it_ok(
    service: Service,
) -> None:
    hardware = service.add_cabinet(charges=[95])
    hardware.cells[1].lock = "jammed"
    booking = service.book()
    service.unlock(booking)
    assert service.unlock(booking).body["status"] == "failed"
    service.report()
    assert hardware.cells[1].openings == 1
    assert available_and_free(service)[0] == 0
    service.patch("/v1/cabinets/C-1/cells/1", {"health": "ok", "reason": "mended"})
    assert available_and_free(service)[0] == 1
    service.check_invariants()


# --- E23: opened without a command ----------------------------------------------------------------


def test_e23_a_door_that_opens_without_a_command_is_an_anomaly(service: Service) -> None:
    service.add_cabinet(charges=[95])
    service.act("C-1", lambda hardware: hardware.pry_open(1))
    assert service.anomalies() == ["opened_without_command"]
    assert available_and_free(service)[0] == 0
    service.check_invariants()


def test_e23_an_accumulator_taken_from_a_pried_cell_is_nowhere_known(service: Service) -> None:
    service.add_cabinet(charges=[95])
    service.act("C-1", lambda hardware: hardware.pry_open(1))
    service.take(1)
    assert service.place("C-1.A-1") is None
    assert "vanished" in service.anomalies()
    service.check_invariants()


def test_e23_a_door_opened_by_a_command_is_no_anomaly(service: Service) -> None:
    service.add_cabinet(charges=[95])
    service.unlock(service.book())
    service.report()
    service.take(1)
    assert service.anomalies() == []
    service.check_invariants()


# --- E24, E25, E26: doors left open ---------------------------------------------------------------


def test_e24_a_cell_left_open_after_taking_completes_the_booking_but_is_not_free(
    service: Service,
) -> None:
    service.add_cabinet(charges=[95], cells=1)
    booking = service.book()
    service.unlock(booking)
    service.act("C-1", lambda hardware: hardware.remove(1))
    service.report()
    assert service.booking(booking)["status"] == "completed"
    assert available_and_free(service)[1] == 0
    service.act("C-1", lambda hardware: hardware.close_door(1))
    service.report()
    assert available_and_free(service)[1] == 1
    service.check_invariants()


def test_e25_an_issued_accumulator_in_its_open_cell_is_with_the_contractor_and_not_available(
    service: Service,
) -> None:
    service.add_cabinet(charges=[95])
    service.unlock(service.book())
    service.report()
    service.advance_time(2000)
    service.report()
    assert service.place("C-1.A-1") == {"contractor_id": "T-1"}
    assert (available_and_free(service)[0], service.cell(1)["door"]) == (0, "open")
    service.check_invariants()


def test_e25_an_issued_accumulator_left_in_its_closed_cell_returns_to_the_cabinet(
    service: Service,
) -> None:
    service.add_cabinet(charges=[95])
    service.unlock(service.book())
    service.advance_time(2000)
    service.act("C-1", lambda hardware: hardware.close_door(1))
    service.report()
    assert service.place("C-1.A-1") == IN_CELL_1
    assert service.movement_causes("C-1.A-1")[-1] == "not_collected"
    assert available_and_free(service)[0] == 1
    service.check_invariants()


def test_e25_a_late_report_of_its_old_cell_does_not_move_a_returned_accumulator(
    service: Service,
) -> None:
    service.add_cabinet(charges=[95])
    service.add_cabinet("C-2", cells=1)
    service.unlock(service.book())
    late_report = service.cabinets["C-1"].state_report()
    service.hold_messages = True
    taken = service.take(1)
    service.hold_messages = False
    service.unlock(service.book(kind="return", cabinet_id="C-2"))
    service.put(1, taken, "C-2")
    service.deliver(("C-1", late_report))
    service.deliver_held_messages()
    assert service.get("/v1/accumulators/C-1.A-1")["status"] == "in_service"
    assert service.place("C-1.A-1") == {"cabinet_id": "C-2", "cell_number": 1}
    assert service.movement_causes("C-1.A-1")[-2:] == ["issued", "returned"]
    assert service.anomalies() == []
    service.check_invariants()


def test_e26_a_return_into_a_cell_left_open_completes_the_booking_but_is_not_available(
    service: Service,
) -> None:
    service.add_cabinet(cells=1)
    service.post("/v1/accumulators", {"accumulator_id": "A", "contractor_id": "T-1"})
    booking = service.book(kind="return")
    service.unlock(booking)
    service.act("C-1", lambda hardware: hardware.insert(1, Accumulator("A", 99)))
    assert service.booking(booking)["status"] == "completed"
    assert service.place("A") == IN_CELL_1
    assert available_and_free(service) == (0, 0)
    service.check_invariants()


def test_e26_an_empty_return_cell_left_open_is_released_at_expiry_but_is_not_free(
    service: Service,
) -> None:
    service.add_cabinet(cells=1)
    booking = service.book(kind="return")
    service.unlock(booking)
    service.advance_time(2000)
    service.report()
    assert service.booking(booking)["status"] == "expired"
    assert available_and_free(service)[1] == 0
    service.check_invariants()


# --- E27, E28: sensors ----------------------------------------------------------------------------


@pytest.mark.parametrize("door", ["open", "unknown"])
def test_e27_e28_a_cell_whose_door_is_open_or_unknown_is_not_booked(
    service: Service, door: str
) -> None:
    hardware = service.add_cabinet(charges=[95], cells=2)
    for cell in hardware.cells.values():
        cell.senses["door"] = door
    service.report()
    assert available_and_free(service) == (0, 0)
    service.check_invariants()


def test_e27_an_operator_may_open_a_cell_whose_door_is_reported_open(service: Service) -> None:
    hardware = service.add_cabinet(charges=[95])
    hardware.cells[1].senses["door"] = "open"
    service.report()
    assert unlock_without_booking(service).status == 200
    assert hardware.cells[1].openings == 1
    service.check_invariants()


def test_e28_a_cell_not_reported_after_a_reboot_becomes_unknown(
    service: Service,
) -> None:
    hardware = service.add_cabinet(charges=[95])
    hardware.reboot()
    report = hardware.state_report()
    service.send_from("C-1", {**report, "cells": report["cells"][1:]})
    assert (service.cell(1)["door"], service.cell(1)["content"]) == ("unknown", "unknown")
    assert available_and_free(service)[0] == 0
    service.check_invariants()


def test_e28_a_held_cell_that_becomes_unknown_is_replaced_at_the_unlock(
    service: Service,
) -> None:
    hardware = service.add_cabinet(charges=[95, 90])
    booking = service.book()
    hardware.cells[1].senses["door"] = "unknown"
    service.report()
    assert service.unlock(booking).body["cells"][0]["accumulator_id"] == "C-1.A-2"
    service.check_invariants()


def test_an_accumulator_taken_during_another_unlock_goes_to_the_contractor_with_the_open_door(
    service: Service,
) -> None:
    hardware = service.add_cabinet()
    service.post("/v1/accumulators", {"accumulator_id": "D-1", "contractor_id": "T-1"})
    assert service.unlock(service.book(kind="return")).status == 200
    command_id = insert_unsettled_unlock(service, 1)
    service.act("C-1", lambda hardware: hardware.insert(1, Accumulator("D-1", 50)))
    service.take(1)  # T-1 has changed their mind
    reply = {"command_id": command_id, "status": "rejected", "reason": "busy", "cells": []}
    service.send_from("C-1", hardware._message("command_result", **reply))
    service.report()
    assert service.place("D-1") == {"contractor_id": "T-1"}
    assert service.cell(1)["health"] == "ok"
    service.check_invariants()


def test_an_accumulator_taken_before_another_unlock_goes_to_the_contractor_with_the_open_door(
    service: Service,
) -> None:
    hardware = service.add_cabinet()
    service.post("/v1/accumulators", {"accumulator_id": "D-1", "contractor_id": "T-1"})
    assert service.unlock(service.book(kind="return")).status == 200
    command_id = insert_unsettled_unlock(service, 1)
    service.act("C-1", lambda hardware: hardware.insert(1, Accumulator("D-1", 50)))
    service.take(1)  # T-1 has changed their mind
    cells = [{"cell_number": 1, "result": "opened", "accumulator_id": None, "battery_charge": None}]
    reply = {"command_id": command_id, "status": "done", "cells": cells}
    service.send_from("C-1", hardware._message("command_result", **reply))
    service.report()
    assert service.place("D-1") == {"contractor_id": "T-1"}
    assert service.cell(1)["health"] == "ok"
    service.check_invariants()
