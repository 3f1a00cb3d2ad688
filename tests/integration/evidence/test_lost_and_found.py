"""Edge cases E31 to E35: accumulators taken, vanished, unreadable, or reported twice."""

from datetime import UTC, datetime

import pytest

from local.cabinet.hardware import Accumulator
from tests.integration.api_calls import unlock_without_booking
from tests.support.accumulators import (
    IN_CELL_1,
    available_and_free,
    cell_state,
    count_movements,
    report_cells,
)
from tests.support.service import Service

# --- E31, E32: taken without a booking, vanished --------------------------------------------------


def test_e31_an_accumulator_taken_from_a_cell_opened_by_an_operator_is_nowhere_known(
    service: Service,
) -> None:
    service.add_cabinet(charges=[90])
    assert unlock_without_booking(service).status == 200
    service.take(1)
    assert service.place("C-1.A-1") is None
    assert service.anomalies() == ["taken_without_booking"]
    assert service.cell(1)["health"] == "ok"
    service.check_invariants()


def test_e31_an_accumulator_taken_after_an_unanswered_operator_unlock_is_nowhere_known(
    service: Service,
) -> None:
    service.add_cabinet(charges=[90])
    service.hold_messages = True
    assert unlock_without_booking(service).status == 504
    service.take(1)
    service.hold_messages = False
    service.held_messages.clear()
    service.poll()
    assert service.place("C-1.A-1") is None
    assert service.anomalies() == ["taken_without_booking"]
    service.check_invariants()


def test_e31_another_accumulator_taken_from_a_booked_open_cell_is_with_its_contractor(
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


def test_e32_an_accumulator_gone_from_a_closed_cell_is_reported_as_vanished_and_the_cell_as_faulty(
    service: Service,
) -> None:
    hardware = service.add_cabinet(charges=[90])
    hardware.cells[1].accumulator = None
    service.report()
    assert service.place("C-1.A-1") is None
    assert (service.cell(1)["health"], service.cell(1)["health_reason"]) == ("faulty", "vanished")
    assert service.anomalies() == ["vanished"]
    service.check_invariants()


def test_e32_a_vanished_accumulator_seen_again_is_in_its_cell_until_an_operator_sets_it_ok(
    service: Service,
) -> None:
    hardware = service.add_cabinet(charges=[90])
    hardware.cells[1].senses["accumulator_id"] = None
    service.report()
    hardware.cells[1].senses.clear()
    service.report()
    assert service.place("C-1.A-1") == IN_CELL_1
    assert available_and_free(service)[0] == 0
    service.patch("/v1/cabinets/C-1/cells/1", {"health": "ok", "reason": "sensor mended"})
    assert available_and_free(service)[0] == 1
    service.check_invariants()


# --- E33, E34: unreadable -------------------------------------------------------------------------


def test_e33_a_cell_with_an_unreadable_accumulator_is_neither_issuable_nor_free(
    service: Service,
) -> None:
    hardware = service.add_cabinet(cells=1)
    hardware.cells[1].accumulator = Accumulator("X", 99, readable=False)
    service.report()
    assert service.cell(1)["content"] == "unidentified"
    assert available_and_free(service) == (0, 0)
    service.check_invariants()


def test_e33_a_text_that_is_no_accumulator_id_is_an_unreadable_accumulator(
    service: Service,
) -> None:
    service.add_cabinet(cells=2)
    report_cells(service, cell_state(1, "no such id!"), cell_state(2, "X"))
    assert service.place("X") == {"cabinet_id": "C-1", "cell_number": 2}
    assert service.cell(1)["content"] == "unidentified"
    assert sorted(service.anomalies()) == ["unknown_accumulator", "unreadable_value"]
    service.check_invariants()


def test_e34_an_accumulator_that_becomes_unreadable_keeps_its_place_and_is_not_issued(
    service: Service,
) -> None:
    hardware = service.add_cabinet(charges=[90])
    hardware.cells[1].senses["accumulator_id"] = "?"
    service.report()
    assert service.place("C-1.A-1") == IN_CELL_1
    assert available_and_free(service)[0] == 0
    service.check_invariants()


# --- E35: the same id twice -----------------------------------------------------------------------


def test_e35_an_accumulator_reported_in_two_cells_is_quarantined(service: Service) -> None:
    service.add_cabinet(charges=[90])
    report_cells(service, cell_state(3, "C-1.A-1", battery_charge=90))
    assert service.get("/v1/accumulators/C-1.A-1")["status"] == "quarantined"
    assert service.anomalies() == ["duplicate_accumulator"]
    assert available_and_free(service)[0] == 0
    service.check_invariants()


def test_e35_an_accumulator_reported_by_two_cabinets_is_quarantined_where_it_was_seen_last(
    service: Service,
) -> None:
    service.add_cabinet("C-1", charges=[90])
    service.add_cabinet("C-2")
    report_cells(service, cell_state(1, "C-1.A-1"), cabinet_id="C-2")
    assert service.place("C-1.A-1") == {"cabinet_id": "C-2", "cell_number": 1}
    assert service.get("/v1/accumulators/C-1.A-1")["status"] == "quarantined"
    service.check_invariants()


def test_e35_a_message_that_another_cabinets_message_overtook_moves_no_accumulator_back(
    service: Service,
) -> None:
    service.add_cabinet("C-1", charges=[90])
    service.add_cabinet("C-2", charges=[80])
    before, delayed = datetime.now(UTC), service.cabinets["C-1"].state_report()
    service.hold_messages = True
    assert service.unlock(service.book()).status == 504
    service.hold_messages = False
    report_cells(service, cell_state(2, "C-1.A-1"), cabinet_id="C-2")
    in_second = {"cabinet_id": "C-2", "cell_number": 2}
    assert service.place("C-1.A-1") == in_second
    service.deliver(("C-1", delayed), received_at=before)
    assert service.place("C-1.A-1") == in_second
    assert service.cell(1)["content"] == "unknown"
    service.act("C-1", lambda hardware: hardware.close_door(1))  # it is still there
    assert service.place("C-1.A-1") == IN_CELL_1
    service.check_invariants()


def test_e35_an_accumulator_released_by_an_unanswered_unlock_is_no_duplicate_elsewhere(
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
    service.deliver_held_messages()
    assert service.place("C-1.A-1") == {"cabinet_id": "C-2", "cell_number": 1}
    assert service.get("/v1/accumulators/C-1.A-1")["status"] == "in_service"
    assert service.booking(issue)["status"] == "completed"
    assert service.anomalies() == []
    service.check_invariants()


def test_e35_an_accumulator_seen_elsewhere_is_a_duplicate_once_its_old_cell_reports_it_again(
    service: Service,
) -> None:
    service.add_cabinet("C-1", charges=[90])
    service.add_cabinet("C-2")
    service.lose_commands = True
    assert service.unlock(service.book()).status == 504
    report_cells(service, cell_state(1, "C-1.A-1"), cabinet_id="C-2")
    assert service.anomalies() == []
    service.report("C-1")
    assert service.anomalies() == ["duplicate_accumulator"]
    assert service.get("/v1/accumulators/C-1.A-1")["status"] == "quarantined"
    service.check_invariants()


@pytest.mark.parametrize("other", ["C-1", "C-2"])
def test_e35_two_cells_that_keep_reporting_one_accumulator_do_not_fill_the_ledger(
    service: Service, other: str
) -> None:
    service.add_cabinet("C-1", charges=[90])
    service.add_cabinet("C-2")
    service.cabinets[other].cells[3].accumulator = Accumulator("C-1.A-1", 50)
    for cabinet_id in ("C-1", "C-2"):
        service.report(cabinet_id)
    before = count_movements(service), len(service.anomalies())
    for cabinet_id in ("C-1", "C-2", "C-2", "C-1"):
        service.report(cabinet_id)
    assert (count_movements(service), len(service.anomalies())) == before
    service.check_invariants()


def test_e35_two_accumulators_that_changed_places_are_moved_without_an_anomaly(
    service: Service,
) -> None:
    hardware = service.add_cabinet(charges=[90, 80])
    one, two = hardware.cells[1], hardware.cells[2]
    one.accumulator, two.accumulator = two.accumulator, one.accumulator
    service.report()
    assert service.place("C-1.A-1") == {"cabinet_id": "C-1", "cell_number": 2}
    assert service.place("C-1.A-2") == IN_CELL_1
    service.check_invariants()


def test_e35_three_accumulators_that_rotated_their_cells_are_moved(
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
