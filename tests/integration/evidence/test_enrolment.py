"""Enrolment: for a time, a cabinet puts accumulators in service that nobody has registered."""

from datetime import UTC, datetime, timedelta, timezone
from typing import Any

import pytest

from local.cabinet.hardware import Accumulator
from tests.support.accumulators import IN_CELL_1, cell_state, report_cells
from tests.support.service import Service


def in_hours(hours: float) -> str:
    return (datetime.now(UTC) + timedelta(hours=hours)).isoformat()


def enrol(service: Service, cabinet_id: str = "C-1", *, hours: float = 1) -> Any:
    return service.patch(f"/v1/cabinets/{cabinet_id}", {"enrol_until": in_hours(hours)})


def end_enrolment(service: Service) -> None:
    """Let the time of all enrolments pass."""
    service.sql("UPDATE cabinets SET enrol_until = now()")


def status(service: Service, accumulator_id: str = "X-1") -> str:
    found: str = service.get(f"/v1/accumulators/{accumulator_id}")["status"]
    return found


# --- the setting ------------------------------------------------------------------------------


def test_a_cabinet_shows_until_when_it_enrols(service: Service) -> None:
    service.connect("C-1")
    assert service.get("/v1/cabinets/C-1")["enrol_until"] is None
    until = (datetime.now(UTC) + timedelta(hours=2)).replace(microsecond=0)
    in_moscow = until.astimezone(timezone(timedelta(hours=3)))
    changed = service.patch("/v1/cabinets/C-1", {"enrol_until": in_moscow.isoformat()})
    assert changed["enrol_until"] == until.isoformat().replace("+00:00", "Z")
    [listed] = service.get("/v1/cabinets")["cabinets"]
    assert listed["enrol_until"] == changed["enrol_until"]


def test_a_cabinet_whose_enrolment_is_over_shows_none(service: Service) -> None:
    service.connect("C-1")
    enrol(service)
    end_enrolment(service)
    assert service.get("/v1/cabinets/C-1")["enrol_until"] is None


def test_null_ends_an_enrolment_and_another_change_does_not(service: Service) -> None:
    service.connect("C-1")
    until = enrol(service)["enrol_until"]
    assert service.patch("/v1/cabinets/C-1", {"address": "Arbat 2"})["enrol_until"] == until
    assert service.patch("/v1/cabinets/C-1", {"enrol_until": None})["enrol_until"] is None


@pytest.mark.parametrize(
    "until",
    [
        in_hours(-0.01),
        in_hours(30),
        "0001-01-01T00:00:00+14:00",
        "9999-12-31T23:59:59-14:00",
        "2026-12-01T12:00:00",
        "1800000000",
        1_800_000_000,
        "tomorrow",
        "",
        True,
    ],
    ids=["past", "too far", "first", "last", "no offset", "text", "number", "word", "", "true"],
)
def test_a_time_that_is_not_within_the_next_24_hours_is_refused(
    service: Service, until: Any
) -> None:
    service.connect("C-1")
    response = service.call("PATCH", "/v1/cabinets/C-1", {"enrol_until": until}, key="operator")
    assert (response.status, response.body["code"]) == (400, "invalid_request")
    assert [fault["field"] for fault in response.body["errors"]] == ["enrol_until"]


# --- what is enrolled -------------------------------------------------------------------------


def test_an_enrolling_cabinet_puts_unknown_accumulators_in_service(service: Service) -> None:
    service.add_cabinet()
    enrol(service)
    report_cells(service, cell_state(1, "x-1", battery_charge=90))
    assert (status(service), service.place("X-1")) == ("in_service", IN_CELL_1)
    [placed, registered] = service.get("/v1/accumulators/X-1/movements")["movements"]
    assert (registered["cause"], registered["reason"]) == ("registered", "enrolled")
    assert (placed["cause"], placed["discrepancy"]) == ("reported", False)
    assert service.anomalies() == []
    assert service.book(1)["cells"][0]["accumulator_id"] == "X-1"
    service.check_invariants()


def test_after_the_enrolment_an_unknown_accumulator_is_quarantined(service: Service) -> None:
    service.add_cabinet()
    enrol(service)
    end_enrolment(service)
    report_cells(service, cell_state(1, "X-1"))
    assert status(service) == "quarantined"
    assert service.anomalies() == ["unknown_accumulator"]


def test_another_cabinet_does_not_enrol(service: Service) -> None:
    service.add_cabinet("C-1")
    service.add_cabinet("C-2")
    enrol(service, "C-1")
    report_cells(service, cell_state(1, "X-1"), cabinet_id="C-2")
    assert status(service) == "quarantined"


def test_an_accumulator_inserted_for_a_return_is_enrolled(service: Service) -> None:
    service.add_cabinet()
    enrol(service)
    service.unlock(service.book(1, "return"))
    service.put(1, Accumulator("X-1", 95))
    assert status(service) == "in_service"


def test_an_unknown_accumulator_that_a_command_result_names_is_enrolled(service: Service) -> None:
    hardware = service.add_cabinet(charges=[90])
    enrol(service)
    booking = service.book(1)
    hardware.cells[1].accumulator = Accumulator("X-1", 90)
    service.unlock(booking)
    assert status(service) == "in_service"
    assert service.anomalies() == ["other_accumulator"]


def test_the_same_id_in_two_cells_of_an_enrolling_cabinet_is_quarantined(
    service: Service,
) -> None:
    service.add_cabinet()
    enrol(service)
    report_cells(service, cell_state(1, "X-1"), cell_state(2, "X-1"))
    assert status(service) == "quarantined"
    assert service.anomalies() == ["duplicate_accumulator"]
    service.check_invariants()


def test_the_same_id_in_two_enrolling_cabinets_is_quarantined(service: Service) -> None:
    for cabinet_id in ("C-1", "C-2"):
        service.add_cabinet(cabinet_id)
        enrol(service, cabinet_id)
        report_cells(service, cell_state(1, "X-1"), cabinet_id=cabinet_id)
    assert status(service) == "quarantined"
    assert service.anomalies() == ["duplicate_accumulator"]
    service.check_invariants()


@pytest.mark.parametrize("reported_id", ["?", "0", "0000-0000", "FFFFFFFF", " ", "no id!"])
def test_what_is_no_id_is_not_enrolled(service: Service, reported_id: str) -> None:
    service.add_cabinet()
    enrol(service)
    report_cells(service, cell_state(1, reported_id))
    assert service.get("/v1/accumulators")["accumulators"] == []


# --- what is not, because it is known ---------------------------------------------------------


@pytest.mark.parametrize("known_as", ["quarantined", "missing", "retired", "unknown"])
def test_an_accumulator_that_is_known_is_not_enrolled(service: Service, known_as: str) -> None:
    service.add_cabinet()
    if known_as == "unknown":
        report_cells(service, cell_state(2, "X-1"))
    else:
        service.post("/v1/accumulators", {"accumulator_id": "X-1"})
    if known_as == "retired":
        service.delete("/v1/accumulators/X-1")
    elif known_as != "unknown":
        change = {"status": known_as, "reason": "checked"}
        service.patch("/v1/accumulators/X-1", change)
    enrol(service)
    report_cells(service, cell_state(1, "X-1"))
    assert status(service) == "quarantined"
    service.check_invariants()


def test_an_accumulator_in_another_cabinet_is_not_enrolled(service: Service) -> None:
    service.add_cabinet("C-2", charges=[90])
    service.add_cabinet("C-1")
    enrol(service, "C-1")
    report_cells(service, cell_state(1, "C-2.A-1"))
    assert status(service, "C-2.A-1") == "quarantined"
    assert service.anomalies() == ["duplicate_accumulator"]
