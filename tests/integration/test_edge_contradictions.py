"""Edge cases E47 to E50: what cannot be, or is out of date. docs/edge-cases.md lists them."""

import psycopg2
import pytest

from local.cabinet.hardware import Accumulator
from tests.integration.accumulators import IN_CELL_1, carry, cell, ledger, state_report
from tests.service import Service

# --- E47, E48: what cannot be ---------------------------------------------------------------------


def test_e47_a_person_cannot_put_a_second_accumulator_into_a_cell(service: Service) -> None:
    service.add_cabinet(charges=[90])
    carry(service, "B")
    body = {"place": IN_CELL_1, "reason": "found"}
    answer = service.call("PATCH", "/v1/accumulators/B", body, key="operator")
    assert (answer.status, answer.body["code"]) == (409, "place_taken")
    assert answer.body["accumulator_id"] == "C-1.A-1"
    service.check_invariants()


@pytest.mark.parametrize(
    "change",
    [
        "contractor_id = 'T-1'",
        "scooter_id = 'S-1'",
        "cell_number = NULL",
        "cell_number = 99",
        "status = 'lost'",
        "status = 'retired'",
        "battery_charge = 101",
    ],
)
def test_e47_e48_the_database_itself_refuses_what_cannot_be(service: Service, change: str) -> None:
    service.add_cabinet(charges=[90])
    with pytest.raises(psycopg2.IntegrityError):
        service.sql(f"UPDATE accumulators SET {change} WHERE accumulator_id = 'C-1.A-1'")  # noqa: S608 - a constant of the test
    service.check_invariants()


def test_e48_what_is_somewhere_cannot_be_retired(service: Service) -> None:
    service.add_cabinet(charges=[90])
    answer = service.call("DELETE", "/v1/accumulators/C-1.A-1", key="operator")
    assert (answer.status, answer.body["code"]) == (409, "accumulator_in_use")
    service.check_invariants()


def test_e48_a_retired_one_that_shows_up_in_a_cell_is_there_and_quarantined(
    service: Service,
) -> None:
    service.add_cabinet()
    service.post("/v1/accumulators", {"accumulator_id": "A"})
    service.delete("/v1/accumulators/A")
    state_report(service, cell(1, "A", battery_charge=99))
    found = service.get("/v1/accumulators/A")
    assert (found["place"], found["status"]) == (IN_CELL_1, "quarantined")
    assert service.anomalies() == ["retired_found"]
    service.check_invariants()


# --- E49, E50: numbering, power -------------------------------------------------------------------


@pytest.mark.parametrize(("number", "reason"), [(0, "malformed"), (7, "cell_out_of_range")])
def test_e49_a_cell_that_the_cabinet_does_not_have_rejects_the_message(
    service: Service, number: int, reason: str
) -> None:
    service.add_cabinet(charges=[90])
    report = service.cabinets["C-1"].state_report()
    report["cells"][0]["battery_charge"] = 50
    service.say("C-1", {**report, "cells": [*report["cells"], cell(number, None)]})
    assert service.anomalies() == [reason]
    assert service.cell(1)["battery_charge"] == 90
    service.check_invariants()


def test_e49_a_report_that_names_a_cell_twice_is_rejected(service: Service) -> None:
    service.add_cabinet(charges=[90])
    report = service.cabinets["C-1"].state_report()
    service.say("C-1", {**report, "cells": [*report["cells"], cell(1, None)]})
    assert service.anomalies() == ["malformed"]
    assert service.place("C-1.A-1") == IN_CELL_1
    service.check_invariants()


def test_e50_a_cabinet_without_power_keeps_what_it_had_but_gives_nothing(
    service: Service,
) -> None:
    service.add_cabinet(charges=[90])
    known_at = service.get("/v1/accumulators/C-1.A-1")["charge_at"]
    service.later(86400)
    found = service.get("/v1/accumulators/C-1.A-1")
    assert (found["place"], found["battery_charge"]) == (IN_CELL_1, 90)
    assert found["charge_at"] == known_at
    wanted = {"cabinet_id": "C-1", "contractor_id": "T-1", "kind": "issue", "count": 1}
    assert service.call("POST", "/v1/bookings", wanted).body["code"] == "cabinet_offline"
    service.check_invariants()


# --- order: what is older never overwrites what is newer ------------------------------------------


def test_an_older_report_changes_nothing_after_a_newer_one(service: Service) -> None:
    hardware = service.add_cabinet(charges=[90])
    old = hardware.state_report()
    hardware.cells[1].accumulator = Accumulator("C-1.A-1", 95)
    service.report()
    service.say("C-1", old)
    assert service.cell(1)["battery_charge"] == 95
    service.check_invariants()


def test_an_older_report_does_not_undo_a_newer_event_of_one_cell(service: Service) -> None:
    hardware = service.add_cabinet(charges=[90, 80])
    hardware.cells[2].accumulator = Accumulator("C-1.A-2", 81)
    old = hardware.state_report()
    hardware.cells[1].accumulator = Accumulator("C-1.A-1", 95)
    service.say("C-1", hardware.cell_event(1), old)
    assert service.cell(1)["battery_charge"] == 95
    assert service.cell(2)["battery_charge"] == 81
    service.check_invariants()


def test_exact_duplicates_write_nothing(service: Service) -> None:
    hardware = service.add_cabinet(charges=[90])
    event, report = hardware.cell_event(1), hardware.state_report()
    service.say("C-1", event, report)
    before = ledger(service), service.anomalies()
    service.say("C-1", event, report, event, report)
    assert (ledger(service), service.anomalies()) == before
    service.check_invariants()
