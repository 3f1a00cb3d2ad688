"""Edge cases E31 to E35: taken, vanished, unreadable, seen twice. docs/edge-cases.md lists them."""

import pytest

from local.cabinet.hardware import Accumulator
from tests.integration.accumulators import IN_CELL_1, cell, ledger, state_report, stock
from tests.service import Service

# --- E31, E32: taken without a booking, vanished --------------------------------------------------


def test_e31_taken_from_a_cell_that_support_opened_it_is_nowhere_known(service: Service) -> None:
    service.add_cabinet(charges=[90])
    body = {"kind": "unlock", "cells": [1], "reason": "support"}
    service.post("/v1/cabinets/C-1/commands", body)
    service.take(1)
    assert service.place("C-1.A-1") is None
    assert service.anomalies() == ["taken_without_booking"]
    assert service.cell(1)["health"] == "ok"
    service.check_invariants()


def test_e31_the_same_when_supports_opening_was_never_answered(service: Service) -> None:
    service.add_cabinet(charges=[90])
    service.hold_messages = True
    body = {"kind": "unlock", "cells": [1], "reason": "support"}
    assert service.call("POST", "/v1/cabinets/C-1/commands", body, key="operator").status == 504
    service.take(1)
    service.hold_messages = False
    service.waiting.clear()
    service.poll()
    assert service.place("C-1.A-1") is None
    assert service.anomalies() == ["taken_without_booking"]
    service.check_invariants()


def test_e31_what_else_leaves_a_booked_open_cell_is_with_its_contractor(
    service: Service,
) -> None:
    service.add_cabinet(charges=[90])
    service.unlock(service.book())
    service.act("C-1", lambda hardware: hardware.remove(1))
    service.act("C-1", lambda hardware: hardware.insert(1, Accumulator("X-1", 30)))
    assert service.place("X-1") == IN_CELL_1
    service.take(1)
    assert service.place("X-1") == {"contractor_id": "T-1"}
    assert service.anomalies() == ["unknown_accumulator", "taken_without_booking"]
    service.check_invariants()


def test_e32_gone_from_a_cell_that_never_opened_it_is_nowhere_known_and_the_cell_faulty(
    service: Service,
) -> None:
    hardware = service.add_cabinet(charges=[90])
    hardware.cells[1].accumulator = None
    service.report()
    assert service.place("C-1.A-1") is None
    assert (service.cell(1)["health"], service.cell(1)["health_reason"]) == ("faulty", "vanished")
    assert service.anomalies() == ["vanished"]
    service.check_invariants()


def test_e32_when_it_shows_again_it_is_there_and_a_person_frees_the_cell(
    service: Service,
) -> None:
    hardware = service.add_cabinet(charges=[90])
    hardware.cells[1].senses["accumulator_id"] = None
    service.report()
    hardware.cells[1].senses.clear()
    service.report()
    assert service.place("C-1.A-1") == IN_CELL_1
    assert stock(service)[0] == 0
    service.patch("/v1/cabinets/C-1/cells/1", {"health": "ok", "reason": "sensor mended"})
    assert stock(service)[0] == 1
    service.check_invariants()


# --- E33, E34: unreadable -------------------------------------------------------------------------


def test_e33_something_unreadable_is_neither_issued_nor_taken_for_empty(
    service: Service,
) -> None:
    hardware = service.add_cabinet(cells=1)
    hardware.cells[1].accumulator = Accumulator("X", 99, readable=False)
    service.report()
    assert service.cell(1)["content"] == "unidentified"
    assert stock(service) == (0, 0)
    service.check_invariants()


def test_e33_an_id_that_cannot_be_one_is_not_believed(service: Service) -> None:
    service.add_cabinet(cells=2)
    state_report(service, cell(1, "no such id!"), cell(2, "X"))
    assert service.place("X") == {"cabinet_id": "C-1", "cell_number": 2}
    assert service.anomalies() == ["cell_not_believed", "unknown_accumulator"]
    service.check_invariants()


def test_e34_while_it_cannot_be_read_it_stays_where_it_was_and_is_not_issued(
    service: Service,
) -> None:
    hardware = service.add_cabinet(charges=[90])
    hardware.cells[1].senses["accumulator_id"] = "?"
    service.report()
    assert service.place("C-1.A-1") == IN_CELL_1
    assert stock(service)[0] == 0
    service.check_invariants()


# --- E35: the same id twice -----------------------------------------------------------------------


def test_e35_one_id_in_two_cells_of_a_report_is_quarantined(service: Service) -> None:
    service.add_cabinet(charges=[90])
    state_report(service, cell(3, "C-1.A-1", battery_charge=90))
    assert service.get("/v1/accumulators/C-1.A-1")["status"] == "quarantined"
    assert service.anomalies() == ["duplicate_accumulator"]
    assert stock(service)[0] == 0
    service.check_invariants()


def test_e35_one_id_in_two_cabinets_is_quarantined_where_it_was_seen_last(
    service: Service,
) -> None:
    service.add_cabinet("C-1", charges=[90])
    service.add_cabinet("C-2")
    state_report(service, cell(1, "C-1.A-1"), cabinet_id="C-2")
    assert service.place("C-1.A-1") == {"cabinet_id": "C-2", "cell_number": 1}
    assert service.get("/v1/accumulators/C-1.A-1")["status"] == "quarantined"
    service.check_invariants()


def test_e35_what_a_command_without_an_answer_let_out_is_no_duplicate_elsewhere(
    service: Service,
) -> None:
    service.add_cabinet("C-1", charges=[90])
    service.add_cabinet("C-2", cells=1)
    issue = service.book()
    service.hold_messages = True
    assert service.unlock(issue).status == 504
    taken = service.take(1)
    service.hold_messages = False
    service.unlock(service.book(kind="return", cabinet_id="C-2"))
    service.put(1, taken, "C-2")
    service.deliver_waiting()
    assert service.place("C-1.A-1") == {"cabinet_id": "C-2", "cell_number": 1}
    assert service.get("/v1/accumulators/C-1.A-1")["status"] == "in_service"
    assert service.booking(issue)["status"] == "completed"
    assert service.anomalies() == []
    service.check_invariants()


def test_e35_it_is_one_when_its_cell_says_again_that_it_is_there(service: Service) -> None:
    service.add_cabinet("C-1", charges=[90])
    service.add_cabinet("C-2")
    service.lose_commands = True
    assert service.unlock(service.book()).status == 504
    state_report(service, cell(1, "C-1.A-1"), cabinet_id="C-2")
    assert service.anomalies() == []
    service.report("C-1")
    assert service.anomalies() == ["duplicate_accumulator"]
    assert service.get("/v1/accumulators/C-1.A-1")["status"] == "quarantined"
    service.check_invariants()


@pytest.mark.parametrize("other", ["C-1", "C-2"])
def test_e35_two_that_keep_claiming_one_id_do_not_fill_the_ledger(
    service: Service, other: str
) -> None:
    service.add_cabinet("C-1", charges=[90])
    service.add_cabinet("C-2")
    service.cabinets[other].cells[3].accumulator = Accumulator("C-1.A-1", 50)
    for cabinet_id in ("C-1", "C-2"):
        service.report(cabinet_id)
    before = ledger(service), len(service.anomalies())
    for cabinet_id in ("C-1", "C-2", "C-2", "C-1"):
        service.report(cabinet_id)
    assert (ledger(service), len(service.anomalies())) == before
    service.check_invariants()


def test_e35_two_that_have_changed_places_unseen_are_where_they_are_seen(
    service: Service,
) -> None:
    hardware = service.add_cabinet(charges=[90, 80])
    one, two = hardware.cells[1], hardware.cells[2]
    one.accumulator, two.accumulator = two.accumulator, one.accumulator
    service.report()
    assert service.place("C-1.A-1") == {"cabinet_id": "C-1", "cell_number": 2}
    assert service.place("C-1.A-2") == IN_CELL_1
    service.check_invariants()


def test_e35_three_that_have_moved_on_by_one_cell_are_where_they_are_seen(
    service: Service,
) -> None:
    hardware = service.add_cabinet(charges=[90, 91, 92])
    inside = [hardware.cells[n].accumulator for n in (1, 2, 3)]
    for number, accumulator in zip((2, 3, 1), inside, strict=True):
        hardware.cells[number].accumulator = accumulator
    service.report()
    for number, accumulator in zip((2, 3, 1), inside, strict=True):
        assert accumulator is not None
        place = service.place(accumulator.accumulator_id)
        assert place == {"cabinet_id": "C-1", "cell_number": number}
    service.check_invariants()
