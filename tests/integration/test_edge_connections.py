"""Edge cases E14 to E20: lost commands, clocks, reboots, polls. docs/edge-cases.md lists them."""

from collections.abc import Iterator
from dataclasses import replace

import pytest

from local.cabinet.hardware import Accumulator
from tests.integration.silence import unanswered, unheard
from tests.service import Service, running


@pytest.fixture
def service(database_url: str, monkeypatch: pytest.MonkeyPatch) -> Iterator[Service]:
    with running(database_url, monkeypatch, UNLOCK_WAIT_SECONDS="0.05") as service:
        yield service


# --- E14 to E16: lost, wrong clocks, reboots ------------------------------------------------------


def test_e14_a_command_lost_while_reconnecting_is_never_sent_by_itself(service: Service) -> None:
    hardware = service.add_cabinet(charges=[90])
    unheard(service, service.book())
    service.later(700)
    service.poll()
    assert len(service.queue.commands("unlock")) == 1
    assert hardware.cells[1].openings == 0
    service.check_invariants()


def test_e15_a_cabinet_whose_clock_is_ahead_refuses_and_the_booking_stays(
    service: Service,
) -> None:
    hardware = service.add_cabinet(charges=[90])
    hardware.clock_skew_s = 3600
    booking = service.book()
    answer = service.unlock(booking)
    assert (answer.status, answer.body["reason"]) == (502, "expired")
    assert service.booking(booking)["status"] == "active"
    service.check_invariants()


def test_e15_order_is_by_sequence_and_not_by_the_cabinets_clock(service: Service) -> None:
    hardware = service.add_cabinet(charges=[90])
    hardware.clock_skew_s = -86400
    hardware.cells[1].accumulator = Accumulator("C-1.A-1", 91)
    service.report()
    assert service.cell(1)["battery_charge"] == 91
    service.check_invariants()


def test_e16_a_reply_from_before_a_reboot_still_settles_its_command(service: Service) -> None:
    hardware = service.add_cabinet(charges=[90])
    booking = service.book()
    unanswered(service, booking)
    hardware.reboot()
    service.say("C-1", hardware.hello())
    service.deliver_waiting()
    assert service.booking(booking)["status"] == "completed"
    assert service.cell(1)["door"] == "unknown"
    service.check_invariants()


def test_e16_state_from_before_a_reboot_is_kept_and_not_applied(service: Service) -> None:
    hardware = service.add_cabinet(charges=[90])
    old = hardware.state_report()
    hardware.reboot()
    hardware.cells[1].accumulator = Accumulator("C-1.A-1", 50)
    service.say("C-1", hardware.state_report(), old)
    assert service.cell(1)["battery_charge"] == 50
    assert service.anomalies() == ["older_generation"]
    service.check_invariants()


# --- E17 to E20: at once, pace, polls, silence ----------------------------------------------------


@pytest.mark.parametrize(
    "reason", ["busy", "maintenance", "updating", "alarm", "unknown_command", "invalid"]
)
def test_e17_a_refusal_is_told_with_its_reason_and_asking_again_sends_anew(
    service: Service, reason: str
) -> None:
    hardware = service.add_cabinet(charges=[90])
    hardware.firmware = replace(hardware.firmware, refuses=reason)
    booking = service.book()
    answer = service.unlock(booking)
    assert (answer.status, answer.body["code"]) == (502, "cabinet_rejected")
    assert answer.body["reason"] == reason
    hardware.firmware = replace(hardware.firmware, refuses=None)
    assert service.unlock(booking).status == 200
    service.check_invariants()


def test_e17_two_bookings_unlock_at_one_cabinet_without_harm(service: Service) -> None:
    service.add_cabinet(charges=[95, 90])
    first, second = service.book(contractor_id="T-1"), service.book(contractor_id="T-2")
    unanswered(service, first)
    assert service.unlock(second).status == 200
    service.deliver_waiting()
    assert service.place("C-1.A-1") == {"contractor_id": "T-1"}
    assert service.place("C-1.A-2") == {"contractor_id": "T-2"}
    service.check_invariants()


def test_e18_six_cells_are_one_message(service: Service) -> None:
    service.add_cabinet(charges=[90] * 6)
    assert service.unlock(service.book(6)).body["status"] == "completed"
    assert [sorted(c["cells"]) for c in service.queue.commands("unlock")] == [[1, 2, 3, 4, 5, 6]]
    service.check_invariants()


def test_e19_the_poll_asks_all_cabinets_with_one_message_and_heals_what_was_missed(
    service: Service,
) -> None:
    for cabinet_id in ("C-1", "C-2", "C-3"):
        service.connect(cabinet_id).cells[1].accumulator = Accumulator(f"{cabinet_id}.X", 90)
    service.poll()
    assert [device for device, _ in service.queue.published] == [None]
    for cabinet_id in ("C-1", "C-2", "C-3"):
        place = {"cabinet_id": cabinet_id, "cell_number": 1}
        assert service.place(f"{cabinet_id}.X") == place
    service.check_invariants()


def test_e20_a_cabinet_that_says_nothing_for_three_minutes_is_offline(service: Service) -> None:
    service.add_cabinet(charges=[90])
    service.later(170)
    assert service.get("/v1/cabinets/C-1")["online"] is True
    service.later(20)
    assert service.get("/v1/cabinets/C-1")["online"] is False
    service.check_invariants()
