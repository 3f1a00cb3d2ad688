"""Edge cases E47 to E50, and messages that arrive out of order."""

import pytest

from local.cabinet.hardware import Accumulator
from tests.support.accumulators import (
    IN_CELL_1,
    cell_state,
    count_movements,
    put_in_bag,
    report_cells,
)
from tests.support.service import Service

# --- E47, E48: impossible places ------------------------------------------------------------------


def test_e47_a_correction_cannot_put_a_second_accumulator_into_a_cell(service: Service) -> None:
    service.add_cabinet(charges=[90])
    put_in_bag(service, "B")
    body = {"place": IN_CELL_1, "reason": "found"}
    response = service.call("PATCH", "/v1/accumulators/B", body, key="operator")
    assert (response.status, response.body["code"]) == (409, "place_taken")
    assert response.body["accumulator_id"] == "C-1.A-1"
    assert service.place("B") == {"contractor_id": "T-1"}
    service.check_invariants()


def test_e48_an_accumulator_in_a_cell_cannot_be_retired(service: Service) -> None:
    service.add_cabinet(charges=[90])
    response = service.call("DELETE", "/v1/accumulators/C-1.A-1", key="operator")
    assert (response.status, response.body["code"]) == (409, "accumulator_in_use")
    service.check_invariants()


def test_e48_a_retired_accumulator_found_in_a_cell_is_quarantined(
    service: Service,
) -> None:
    service.add_cabinet()
    service.post("/v1/accumulators", {"accumulator_id": "A"})
    service.delete("/v1/accumulators/A")
    report_cells(service, cell_state(1, "A", battery_charge=99))
    found = service.get("/v1/accumulators/A")
    assert (found["place"], found["status"]) == (IN_CELL_1, "quarantined")
    assert service.anomalies() == ["retired_found"]
    service.check_invariants()


# --- E49, E50: cell numbers, power cuts -----------------------------------------------------------


@pytest.mark.parametrize(
    ("number", "reason"), [(0, "unreadable_value"), (7, "cells_total_differs")]
)
def test_e49_a_cell_that_does_not_exist_does_not_cost_the_report(
    service: Service, number: int, reason: str
) -> None:
    service.add_cabinet(charges=[90])
    report = service.cabinets["C-1"].state_report()
    report["cells"][0]["battery_charge"] = 50
    service.send_from("C-1", {**report, "cells": [*report["cells"], cell_state(number, None)]})
    assert service.anomalies() == [reason]
    assert service.cell(1)["battery_charge"] == 50
    service.check_invariants()


def test_e49_a_cell_reported_twice_with_different_values_is_unknown(service: Service) -> None:
    service.add_cabinet(charges=[90])
    report = service.cabinets["C-1"].state_report()
    service.send_from("C-1", {**report, "cells": [*report["cells"], cell_state(1, None)]})
    assert service.anomalies() == ["unreadable_value"]
    assert service.cell(1)["content"] == "unknown"
    assert service.place("C-1.A-1") == IN_CELL_1
    service.check_invariants()


def test_e50_an_offline_cabinet_keeps_its_accumulators_but_cannot_be_booked(
    service: Service,
) -> None:
    service.add_cabinet(charges=[90])
    known_at = service.get("/v1/accumulators/C-1.A-1")["charge_at"]
    service.advance_time(86400)
    found = service.get("/v1/accumulators/C-1.A-1")
    assert (found["place"], found["battery_charge"]) == (IN_CELL_1, 90)
    assert found["charge_at"] == known_at
    assert service.request_booking().body["code"] == "cabinet_offline"
    service.check_invariants()


# --- older messages never overwrite newer evidence ------------------------------------------------


def test_a_report_delivered_after_a_newer_one_changes_nothing(service: Service) -> None:
    hardware = service.add_cabinet(charges=[90])
    old = hardware.state_report()
    hardware.cells[1].accumulator = Accumulator("C-1.A-1", 95)
    service.report()
    service.send_from("C-1", old)
    assert service.cell(1)["battery_charge"] == 95
    service.check_invariants()


def test_an_older_report_does_not_undo_a_newer_event_about_one_cell(service: Service) -> None:
    hardware = service.add_cabinet(charges=[90, 80])
    hardware.cells[2].accumulator = Accumulator("C-1.A-2", 81)
    old = hardware.state_report()
    hardware.cells[1].accumulator = Accumulator("C-1.A-1", 95)
    service.send_from("C-1", hardware.cell_event(1), old)
    assert service.cell(1)["battery_charge"] == 95
    assert service.cell(2)["battery_charge"] == 81
    service.check_invariants()


def test_an_older_event_does_not_undo_a_newer_one_after_a_requested_report(
    service: Service,
) -> None:
    hardware = service.add_cabinet(charges=[90])
    old = hardware.cell_event(1)
    service.act("C-1", lambda _: hardware.pry_open(1))
    hardware.cells[1].senses["battery_charge"] = 255  # so that the report leaves the cell as it is
    service.poll()
    service.send_from("C-1", old)
    assert service.cell(1)["door"] == "open"
    service.check_invariants()


def test_redelivered_messages_write_nothing(service: Service) -> None:
    hardware = service.add_cabinet(charges=[90])
    event, report = hardware.cell_event(1), hardware.state_report()
    service.send_from("C-1", event, report)
    before = count_movements(service), service.anomalies()
    service.send_from("C-1", event, report, event, report)
    assert (count_movements(service), service.anomalies()) == before
    service.check_invariants()
