"""Edge cases E14 to E19: lost commands, wrong clocks, reboots, rejections, polls."""

from dataclasses import replace

import pytest

from local.cabinet.hardware import Accumulator
from tests.integration.unlock.lost_messages import unlock_not_received, unlock_without_reply
from tests.support.service import Service

# --- E14 to E16: lost commands, wrong clocks, reboots ---------------------------------------------


def test_e14_a_lost_command_is_never_resent_automatically(service: Service) -> None:
    hardware = service.add_cabinet(charges=[90])
    unlock_not_received(service, service.book())
    service.advance_time(700)
    service.poll()
    assert len(service.queue.commands("unlock")) == 1
    assert hardware.cells[1].openings == 0
    service.check_invariants()


def test_e15_a_command_rejected_as_expired_leaves_the_booking_active(
    service: Service,
) -> None:
    hardware = service.add_cabinet(charges=[90])
    hardware.clock_skew_s = 3600
    booking = service.book()
    response = service.unlock(booking)
    assert (response.status, response.body["reason"]) == (502, "expired")
    assert service.booking(booking)["status"] == "active"
    service.check_invariants()


def test_e15_messages_are_ordered_by_sequence_number_and_not_by_the_cabinets_clock(
    service: Service,
) -> None:
    hardware = service.add_cabinet(charges=[90])
    hardware.clock_skew_s = -86400
    hardware.cells[1].accumulator = Accumulator("C-1.A-1", 91)
    service.report()
    assert service.cell(1)["battery_charge"] == 91
    service.check_invariants()


def test_e16_a_reply_from_before_a_reboot_settles_its_command(service: Service) -> None:
    hardware = service.add_cabinet(charges=[90])
    booking = service.book()
    unlock_without_reply(service, booking)
    hardware.reboot()
    service.send_from("C-1", hardware.hello())
    service.deliver_held_messages()
    assert service.booking(booking)["status"] == "completed"
    assert service.cell(1)["door"] == "unknown"
    service.check_invariants()


def test_e16_a_report_from_before_a_reboot_is_stored_as_an_anomaly_and_not_applied(
    service: Service,
) -> None:
    hardware = service.add_cabinet(charges=[90])
    old = hardware.state_report()
    hardware.reboot()
    hardware.cells[1].accumulator = Accumulator("C-1.A-1", 50)
    service.send_from("C-1", hardware.state_report(), old)
    assert service.cell(1)["battery_charge"] == 50
    assert service.anomalies() == ["older_generation"]
    service.check_invariants()


# --- E17 to E19: rejections, simultaneous unlocks, polls ------------------------------------------


@pytest.mark.parametrize(
    "reason", ["busy", "maintenance", "updating", "alarm", "unknown_command", "invalid"]
)
def test_e17_a_rejection_is_reported_with_its_reason_and_a_retry_sends_a_new_command(
    service: Service, reason: str
) -> None:
    hardware = service.add_cabinet(charges=[90])
    hardware.firmware = replace(hardware.firmware, refuses=reason)
    booking = service.book()
    response = service.unlock(booking)
    assert (response.status, response.body["code"]) == (502, "cabinet_rejected")
    assert response.body["reason"] == reason
    assert service.get(f"/v1/commands/{response.body['command_id']}")["status"] == "rejected"
    assert service.booking(booking)["status"] == "active"
    hardware.firmware = replace(hardware.firmware, refuses=None)
    assert service.unlock(booking).status == 200
    service.check_invariants()


def test_e17_two_bookings_can_be_unlocked_at_one_cabinet_at_the_same_time(service: Service) -> None:
    service.add_cabinet(charges=[95, 90])
    first, second = service.book(contractor_id="T-1"), service.book(contractor_id="T-2")
    unlock_without_reply(service, first)
    assert service.unlock(second).status == 200
    service.deliver_held_messages()
    assert service.place("C-1.A-1") == {"contractor_id": "T-1"}
    assert service.place("C-1.A-2") == {"contractor_id": "T-2"}
    service.check_invariants()


def test_e18_one_message_opens_six_cells(service: Service) -> None:
    service.add_cabinet(charges=[90] * 6)
    assert service.unlock(service.book(6)).body["status"] == "completed"
    assert [sorted(c["cells"]) for c in service.queue.commands("unlock")] == [[1, 2, 3, 4, 5, 6]]
    service.check_invariants()


def test_e19_one_poll_message_recovers_the_missed_state_of_all_cabinets(
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
