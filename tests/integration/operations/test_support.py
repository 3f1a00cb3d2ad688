"""Edge cases E77 to E80: operators open cells and correct records."""

from dataclasses import replace

from local.cabinet.hardware import Accumulator
from tests.integration.api_calls import unlock_without_booking
from tests.support.accumulators import IN_CELL_1
from tests.support.service import Service


def test_e77_an_unlock_without_a_booking_requires_the_operator_scope(service: Service) -> None:
    hardware = service.add_cabinet(charges=[95])
    assert unlock_without_booking(service, key="backend").status == 403
    assert hardware.cells[1].openings == 0
    service.check_invariants()


def test_e77_an_unlock_without_a_booking_requires_a_reason(service: Service) -> None:
    service.add_cabinet(charges=[95])
    response = service.call(
        "POST", "/v1/cabinets/C-1/commands", {"kind": "unlock", "cells": [1]}, key="operator"
    )
    assert response.status == 400
    assert service.queue.published == []
    service.check_invariants()


def test_e77_an_unlock_without_a_booking_stores_its_reason_and_moves_no_accumulator(
    service: Service,
) -> None:
    service.add_cabinet(charges=[95])
    command_id = unlock_without_booking(service, reason="door stuck").body["command_id"]
    assert service.get(f"/v1/commands/{command_id}")["reason"] == "door stuck"
    assert service.place("C-1.A-1") == IN_CELL_1
    service.act("C-1", lambda hardware: hardware.close_door(1))
    service.report()
    assert service.place("C-1.A-1") == IN_CELL_1
    assert service.movement_causes("C-1.A-1") == ["registered", "reported"]
    service.check_invariants()


def test_e78_an_operator_opens_the_cell_and_corrects_the_place_of_a_swallowed_accumulator(
    service: Service,
) -> None:
    service.add_cabinet()
    service.post("/v1/accumulators", {"accumulator_id": "A", "contractor_id": "T-1"})
    service.unlock(service.book(kind="return"))
    service.put(1, Accumulator("A", 90))
    unlock_without_booking(service)
    service.take(1)
    body = {"place": {"contractor_id": "T-1"}, "reason": "given back"}
    service.patch("/v1/accumulators/A", body)
    assert service.place("A") == {"contractor_id": "T-1"}
    assert service.movement_causes("A") == ["registered", "returned", "reported", "corrected"]
    service.check_invariants()


def test_e79_the_ledger_keeps_the_issue_and_the_correction_with_its_reason(
    service: Service,
) -> None:
    service.add_cabinet(charges=[95])
    booking = service.book()
    service.unlock(booking)
    service.take(1)
    service.patch("/v1/cabinets/C-1/cells/1", {"health": "disabled", "reason": "dispute"})
    body = {"place": {"nowhere": True}, "reason": "the cell was empty"}
    service.patch("/v1/accumulators/C-1.A-1", body)
    [corrected, issued, *_] = service.get("/v1/accumulators/C-1.A-1/movements")["movements"]
    assert (issued["cause"], issued["booking_id"]) == ("issued", booking["booking_id"])
    assert (corrected["cause"], corrected["reason"]) == ("corrected", "the cell was empty")
    service.check_invariants()


def test_e80_evidence_about_a_disabled_cell_is_applied_and_the_cell_stays_disabled(
    service: Service,
) -> None:
    hardware = service.add_cabinet(charges=[95, 90])
    service.patch("/v1/cabinets/C-1/cells/2", {"health": "disabled", "reason": "smells"})
    hardware.firmware = replace(hardware.firmware, substitutes={1: 2})
    service.unlock(service.book())
    service.take(2)
    assert service.place("C-1.A-2") == {"contractor_id": "T-1"}
    cell = service.cell(2)
    assert (cell["health"], cell["health_reason"]) == ("disabled", "smells")
    assert cell["content"] == "empty"
    service.check_invariants()
