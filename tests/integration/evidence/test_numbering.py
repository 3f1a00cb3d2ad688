"""Numbering that restarts, wraps or stands still within a boot: a poll late, never frozen."""

from typing import Any

import pytest

from local.cabinet.hardware import Accumulator
from tests.support.accumulators import IN_CELL_1
from tests.support.service import Message, Service


def ask(service: Service) -> str:
    """Send a report_state that the cabinet does not receive; return the command's id."""
    service.lose_commands = True
    body = {"kind": "report_state", "reason": "a test"}
    service.call("POST", "/v1/cabinets/C-1/commands", body, key="operator")
    service.lose_commands = False
    command_id: str = service.queue.commands("report_state")[-1]["command_id"]
    return command_id


def report(service: Service, seq: int, charge: int, command_id: str | None = None) -> Message:
    """Return a report of the current boot with this number."""
    hardware = service.cabinets["C-1"]
    hardware.cells[1].accumulator = Accumulator("C-1.A-1", charge)
    return {**hardware.state_report(command_id), "seq": seq}


@pytest.fixture
def numbered(service: Service) -> Service:
    """A cabinet whose newest applied report has the number 60,000."""
    service.add_cabinet(charges=[90])
    service.send_from("C-1", report(service, 60_000, 91))
    return service


@pytest.mark.parametrize("seq", [0, 17, 59_999, 60_000])
def test_an_answer_to_a_later_question_is_newer_whatever_its_number(
    numbered: Service, seq: int
) -> None:
    numbered.send_from("C-1", report(numbered, seq, 50, ask(numbered)))
    assert numbered.cell(1)["battery_charge"] == 50
    assert numbered.anomalies() == ["numbering_restarted"]
    numbered.check_invariants()


def test_numbering_that_stands_still_is_noted_once_and_never_freezes_the_cabinet(
    numbered: Service,
) -> None:
    for charge in (50, 51, 52):
        numbered.send_from("C-1", report(numbered, 60_000, charge, ask(numbered)))
        assert numbered.cell(1)["battery_charge"] == charge
    assert numbered.anomalies() == ["numbering_restarted"]
    [row] = numbered.sql("SELECT count FROM anomalies")
    assert row["count"] == 3


def test_after_a_wrap_messages_are_numbered_on(numbered: Service) -> None:
    numbered.send_from("C-1", report(numbered, 0, 50, ask(numbered)))
    numbered.send_from("C-1", report(numbered, 1, 49))
    assert numbered.cell(1)["battery_charge"] == 49
    numbered.check_invariants()


@pytest.mark.parametrize("seq", [59_000, 60_000, 60_001])
def test_a_delayed_message_from_before_the_restart_changes_nothing(
    numbered: Service, seq: int
) -> None:
    delayed = report(numbered, seq, 92)
    numbered.send_from("C-1", report(numbered, 0, 50, ask(numbered)))
    numbered.send_from("C-1", delayed)
    assert numbered.cell(1)["battery_charge"] == 50
    assert numbered.anomalies() == ["numbering_restarted", "older_generation"]
    numbered.check_invariants()


def test_after_a_restart_of_a_short_count_only_answers_are_believed(service: Service) -> None:
    service.add_cabinet(charges=[90])
    service.send_from("C-1", report(service, 900, 91))
    service.send_from("C-1", report(service, 3, 50, ask(service)))
    service.send_from("C-1", report(service, 4, 49))
    assert service.cell(1)["battery_charge"] == 50  # 4 may be from before the restart
    service.send_from("C-1", report(service, 5, 48, ask(service)))
    assert service.cell(1)["battery_charge"] == 48


def test_an_answer_to_an_earlier_question_proves_nothing(numbered: Service) -> None:
    asked = ask(numbered)
    numbered.send_from("C-1", report(numbered, 60_001, 70))
    numbered.send_from("C-1", report(numbered, 59_000, 50, asked))
    assert numbered.cell(1)["battery_charge"] == 70
    assert numbered.anomalies() == []


def test_a_redelivered_answer_changes_nothing(numbered: Service) -> None:
    answer = report(numbered, 0, 50, ask(numbered))
    numbered.send_from("C-1", answer)
    numbered.send_from("C-1", report(numbered, 1, 49))
    numbered.send_from("C-1", answer, answer)
    assert numbered.cell(1)["battery_charge"] == 49
    assert set(numbered.anomalies()) == {"numbering_restarted"}


def test_an_answer_to_another_cabinets_command_proves_nothing(numbered: Service) -> None:
    numbered.add_cabinet("C-2")
    numbered.lose_commands = True
    body = {"kind": "report_state", "reason": "a test"}
    numbered.call("POST", "/v1/cabinets/C-2/commands", body, key="operator")
    foreign = numbered.queue.commands("report_state")[-1]["command_id"]
    numbered.send_from("C-1", report(numbered, 0, 50, foreign))
    assert numbered.cell(1)["battery_charge"] == 91


def test_the_result_of_an_unlock_is_newer_whatever_its_number(numbered: Service) -> None:
    hardware = numbered.cabinets["C-1"]
    booking = numbered.book()
    numbered.hold_messages = True
    numbered.unlock(booking)
    numbered.hold_messages = False
    results: list[Any] = [(c, {**m, "seq": 5}) for c, m in numbered.held_messages]
    numbered.held_messages.clear()
    numbered.deliver(results[0])
    assert numbered.booking(booking)["status"] == "completed"
    assert numbered.cell(1)["door"] == "open"
    hardware.seq = 10
    numbered.take(1)
    numbered.check_invariants()


def test_no_report_but_its_own_content_proves_that_an_unlock_was_not_executed(
    numbered: Service,
) -> None:
    """A late report from before the unlock must not speak for a newer one with a broken number."""
    hardware = numbered.cabinets["C-1"]
    before = report(numbered, 60_500, 91)
    booking = numbered.book()
    numbered.hold_messages = True
    numbered.unlock(booking)
    numbered.held_messages.clear()
    numbered.hold_messages = False
    hardware.remove(1)
    hardware.close_door(1)
    hardware.poll_sensors()
    asked = ask(numbered)
    numbered.send_from("C-1", before)
    numbered.send_from("C-1", {**hardware.state_report(asked), "seq": 5})
    assert numbered.booking(booking)["status"] != "active"
    assert numbered.place("C-1.A-1") in (IN_CELL_1, {"contractor_id": "T-1"})
    numbered.check_invariants()
