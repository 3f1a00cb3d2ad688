"""Edge cases E21 to E29: doors. docs/edge-cases.md lists them."""

import pytest

from local.cabinet.hardware import Accumulator
from shared import config, db
from shared.commands.unlock import Unlock
from shared.services import dispatch
from tests.service import Answer, Service


def open_by_hand(service: Service, cell: int) -> Answer:
    """Support opens a cell without any booking."""
    body = {"kind": "unlock", "cells": [cell], "reason": "support"}
    return service.call("POST", "/v1/cabinets/C-1/commands", body, key="operator")


def available(service: Service) -> int:
    count: int = service.get("/v1/cabinets/C-1")["accumulators"]["available"]
    return count


def free(service: Service) -> int:
    count: int = service.get("/v1/cabinets/C-1")["free_cells"]
    return count


def waits_for_an_answer(service: Service, cell: int) -> str:
    """An unlock without a booking that has been written down, and no more is known of it."""
    with db.transaction() as tx:
        row = {"cabinet_id": "C-1", "requested_by": "support"}
        command_id = dispatch.insert(tx, Unlock(cells=[cell]), config.settings(), **row)
    db.close()
    return str(command_id)


# --- E21, E22, E29: it does not open --------------------------------------------------------------


def test_e21_a_jammed_cell_becomes_faulty_and_another_is_held_in_its_place(
    service: Service,
) -> None:
    hardware = service.add_cabinet(charges=[95, 90])
    hardware.cells[1].lock = "jammed"
    booking = service.book()
    answer = service.unlock(booking)
    assert answer.body["status"] == "active"
    assert (service.cell(1)["health"], service.cell(1)["health_reason"]) == ("faulty", "jammed")
    held = [cell for cell in service.booking(booking)["cells"] if cell["state"] == "held"]
    assert [cell["accumulator_id"] for cell in held] == ["C-1.A-2"]
    service.check_invariants()


def test_e21_the_cell_held_in_its_place_completes_the_booking(service: Service) -> None:
    hardware = service.add_cabinet(charges=[95, 90])
    hardware.cells[1].lock = "jammed"
    booking = service.book()
    service.unlock(booking)
    assert service.unlock(booking).body["status"] == "completed"
    assert service.place("C-1.A-2") == {"contractor_id": "T-1"}
    service.check_invariants()


def test_e21_with_nothing_to_put_in_its_place_the_booking_has_failed(service: Service) -> None:
    hardware = service.add_cabinet(charges=[95])
    hardware.cells[1].lock = "jammed"
    booking = service.book()
    assert service.unlock(booking).body["status"] == "failed"
    assert service.place("C-1.A-1") == {"cabinet_id": "C-1", "cell_number": 1}
    service.check_invariants()


def test_e21_a_jammed_return_cell_is_replaced_by_another_free_one(service: Service) -> None:
    hardware = service.add_cabinet(cells=2)
    hardware.cells[1].lock = "jammed"
    booking = service.book(kind="return")
    service.unlock(booking)
    assert service.unlock(booking).body["status"] == "returning"
    assert hardware.cells[2].door == "open"
    service.check_invariants()


def test_e22_a_pulse_without_an_open_door_moves_nothing(service: Service) -> None:
    hardware = service.add_cabinet(charges=[95])
    hardware.cells[1].lock = "stuck"
    answer = service.unlock(service.book())
    assert answer.body["cells"][0]["result"] == "not_detected"
    assert service.place("C-1.A-1") == {"cabinet_id": "C-1", "cell_number": 1}
    assert service.cell(1)["health_reason"] == "not_detected"
    service.check_invariants()


def test_e29_a_jammed_door_is_not_tried_again_until_a_person_says_that_it_works(
    service: Service,
) -> None:
    hardware = service.add_cabinet(charges=[95])
    hardware.cells[1].lock = "jammed"
    booking = service.book()
    service.unlock(booking)
    assert service.unlock(booking).body["status"] == "failed"
    service.report()
    assert hardware.cells[1].openings == 1
    assert available(service) == 0
    service.patch("/v1/cabinets/C-1/cells/1", {"health": "ok", "reason": "mended"})
    assert available(service) == 1
    service.check_invariants()


# --- E23: opened without a command ----------------------------------------------------------------


def test_e23_a_door_that_opens_without_a_command_is_an_anomaly(service: Service) -> None:
    service.add_cabinet(charges=[95])
    service.act("C-1", lambda hardware: hardware.pry_open(1))
    assert service.anomalies() == ["opened_without_command"]
    assert available(service) == 0
    service.check_invariants()


def test_e23_what_leaves_a_pried_cell_is_nowhere_known(service: Service) -> None:
    service.add_cabinet(charges=[95])
    service.act("C-1", lambda hardware: hardware.pry_open(1))
    service.take(1)
    assert service.place("C-1.A-1") is None
    assert "vanished" in service.anomalies()
    service.check_invariants()


def test_e23_a_door_opened_by_command_is_none(service: Service) -> None:
    service.add_cabinet(charges=[95])
    service.unlock(service.book())
    service.report()
    service.take(1)
    assert service.anomalies() == []
    service.check_invariants()


# --- E24, E25, E26: it does not close -------------------------------------------------------------


def test_e24_a_door_left_open_after_taking_ends_the_booking_but_frees_no_cell(
    service: Service,
) -> None:
    service.add_cabinet(charges=[95], cells=1)
    booking = service.book()
    service.unlock(booking)
    service.act("C-1", lambda hardware: hardware.remove(1))
    service.report()
    assert service.booking(booking)["status"] == "completed"
    assert free(service) == 0
    service.act("C-1", lambda hardware: hardware.close_door(1))
    service.report()
    assert free(service) == 1
    service.check_invariants()


def test_e25_what_is_still_in_its_open_cell_is_about_to_be_taken_and_not_available(
    service: Service,
) -> None:
    service.add_cabinet(charges=[95])
    service.unlock(service.book())
    service.report()
    service.later(2000)
    service.report()
    assert service.place("C-1.A-1") == {"contractor_id": "T-1"}
    assert (available(service), service.cell(1)["door"]) == (0, "open")
    service.check_invariants()


def test_e25_closed_untaken_it_is_the_cabinets_again(service: Service) -> None:
    service.add_cabinet(charges=[95])
    service.unlock(service.book())
    service.later(2000)
    service.act("C-1", lambda hardware: hardware.close_door(1))
    service.report()
    assert service.place("C-1.A-1") == {"cabinet_id": "C-1", "cell_number": 1}
    assert service.causes("C-1.A-1")[-1] == "not_collected"
    assert available(service) == 1
    service.check_invariants()


def test_e25_what_its_cabinet_says_late_does_not_bring_it_back_from_where_it_was_returned(
    service: Service,
) -> None:
    service.add_cabinet(charges=[95])
    service.add_cabinet("C-2", cells=1)
    service.unlock(service.book())
    open_still = service.cabinets["C-1"].state_report(None)
    service.hold_messages = True
    taken = service.take(1)
    service.hold_messages = False
    service.unlock(service.book(kind="return", cabinet_id="C-2"))
    service.put(1, taken, "C-2")
    service.deliver(("C-1", open_still))
    service.deliver_waiting()
    assert service.get("/v1/accumulators/C-1.A-1")["status"] == "in_service"
    assert service.place("C-1.A-1") == {"cabinet_id": "C-2", "cell_number": 1}
    assert service.causes("C-1.A-1")[-2:] == ["issued", "returned"]
    assert service.anomalies() == []
    service.check_invariants()


def test_e26_a_return_into_a_door_that_stays_open_counts_but_is_not_issued(
    service: Service,
) -> None:
    service.add_cabinet(cells=1)
    service.post("/v1/accumulators", {"accumulator_id": "A", "contractor_id": "T-1"})
    booking = service.book(kind="return")
    service.unlock(booking)
    service.act("C-1", lambda hardware: hardware.insert(1, Accumulator("A", 99)))
    assert service.booking(booking)["status"] == "completed"
    assert service.place("A") == {"cabinet_id": "C-1", "cell_number": 1}
    assert (available(service), free(service)) == (0, 0)
    service.check_invariants()


def test_e26_an_open_empty_return_cell_is_given_up_at_expiry_and_not_booked(
    service: Service,
) -> None:
    service.add_cabinet(cells=1)
    booking = service.book(kind="return")
    service.unlock(booking)
    service.later(2000)
    service.report()
    assert service.booking(booking)["status"] == "expired"
    assert free(service) == 0
    service.check_invariants()


# --- E27, E28: sensors ----------------------------------------------------------------------------


@pytest.mark.parametrize("door", ["open", "unknown"])
def test_e27_e28_a_cell_whose_door_is_not_known_to_be_closed_is_not_booked(
    service: Service, door: str
) -> None:
    hardware = service.add_cabinet(charges=[95], cells=2)
    for cell in hardware.cells.values():
        cell.senses["door"] = door
    service.report()
    assert (available(service), free(service)) == (0, 0)
    service.check_invariants()


def test_e27_support_may_open_a_cell_whose_sensor_says_open(service: Service) -> None:
    hardware = service.add_cabinet(charges=[95])
    hardware.cells[1].senses["door"] = "open"
    service.report()
    assert open_by_hand(service, 1).status == 200
    assert hardware.cells[1].openings == 1
    service.check_invariants()


def test_e28_after_a_reboot_a_cell_that_is_not_reported_is_unknown_and_not_closed(
    service: Service,
) -> None:
    hardware = service.add_cabinet(charges=[95])
    hardware.reboot()
    report = hardware.state_report()
    service.say("C-1", {**report, "cells": report["cells"][1:]})
    assert (service.cell(1)["door"], service.cell(1)["content"]) == ("unknown", "unknown")
    assert available(service) == 0
    service.check_invariants()


def test_e28_a_hold_in_a_cell_that_became_unknown_is_replaced_at_the_unlock(
    service: Service,
) -> None:
    hardware = service.add_cabinet(charges=[95, 90])
    booking = service.book()
    hardware.cells[1].senses["door"] = "unknown"
    service.report()
    assert service.unlock(booking).body["cells"][0]["accumulator_id"] == "C-1.A-2"
    service.check_invariants()


def test_what_was_taken_while_another_unlock_waits_is_with_whoever_had_the_door_open(
    service: Service,
) -> None:
    hardware = service.add_cabinet()
    service.post("/v1/accumulators", {"accumulator_id": "D-1", "contractor_id": "T-1"})
    assert service.unlock(service.book(kind="return")).status == 200
    command_id = waits_for_an_answer(service, 1)
    service.act("C-1", lambda hardware: hardware.insert(1, Accumulator("D-1", 50)))
    service.take(1)  # he has changed his mind
    answer = {"command_id": command_id, "status": "rejected", "reason": "busy", "cells": []}
    service.say("C-1", hardware._message("command_result", **answer))
    service.report()
    assert service.place("D-1") == {"contractor_id": "T-1"}
    assert service.cell(1)["health"] == "ok"
    service.check_invariants()


def test_what_was_taken_before_another_unlock_opened_the_door_is_with_whoever_had_it_open(
    service: Service,
) -> None:
    hardware = service.add_cabinet()
    service.post("/v1/accumulators", {"accumulator_id": "D-1", "contractor_id": "T-1"})
    assert service.unlock(service.book(kind="return")).status == 200
    command_id = waits_for_an_answer(service, 1)
    service.act("C-1", lambda hardware: hardware.insert(1, Accumulator("D-1", 50)))
    service.take(1)  # he has changed his mind
    cells = [{"cell_number": 1, "result": "opened", "accumulator_id": None, "battery_charge": None}]
    answer = {"command_id": command_id, "status": "done", "cells": cells}
    service.say("C-1", hardware._message("command_result", **answer))
    service.report()
    assert service.place("D-1") == {"contractor_id": "T-1"}
    assert service.cell(1)["health"] == "ok"
    service.check_invariants()
