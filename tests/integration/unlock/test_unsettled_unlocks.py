"""Edge cases E01 and E02: offline cabinets, and unlocks without a reply."""

import pytest

from tests.integration.unlock.lost_messages import (
    get_command,
    unlock_not_received,
    unlock_without_reply,
    while_messages_are_lost,
)
from tests.support.service import Service


def test_e01_a_booking_at_an_offline_cabinet_is_refused_and_holds_nothing(
    service: Service,
) -> None:
    service.add_cabinet(charges=[90])
    service.advance_time(200)
    response = service.request_booking()
    assert (response.status, response.body["code"]) == (409, "cabinet_offline")
    assert service.get("/v1/bookings")["bookings"] == []
    assert service.queue.published == []
    service.check_invariants()


def test_e02_an_unanswered_unlock_reports_its_command_and_keeps_the_cell_held(
    service: Service,
) -> None:
    service.add_cabinet(charges=[90])
    booking = service.book()
    command_id = unlock_without_reply(service, booking)
    assert get_command(service, command_id)["status"] == "no_answer"
    found = service.booking(booking)
    assert found["status"] == "unlocking"
    assert [cell["state"] for cell in found["cells"]] == ["held"]
    assert service.request_booking(contractor_id="T-2").body["available"] == 0
    service.check_invariants()


def test_e02_a_retry_of_an_unanswered_unlock_requests_the_state_and_opens_nothing(
    service: Service,
) -> None:
    service.add_cabinet(charges=[90])
    booking = service.book()
    command_id = unlock_without_reply(service, booking)
    assert unlock_without_reply(service, booking) == command_id
    assert len(service.queue.commands("unlock")) == 1
    assert len(service.queue.commands("report_state")) == 1
    service.check_invariants()


def test_e02_a_booking_does_not_expire_while_its_unlock_is_unsettled(
    service: Service,
) -> None:
    service.add_cabinet(charges=[90])
    booking = service.book()
    unlock_without_reply(service, booking)
    service.advance_time(2000)
    assert service.booking(booking)["status"] == "unlocking"
    service.check_invariants()


def test_e02_a_requested_report_showing_the_accumulator_allows_a_new_command(
    service: Service,
) -> None:
    service.add_cabinet(charges=[90])
    booking = service.book()
    lost = unlock_not_received(service, booking)
    response = service.unlock(booking)
    assert (response.status, response.body["status"]) == (200, "completed")
    assert get_command(service, lost)["status"] == "not_executed"
    assert len(service.queue.commands("unlock")) == 2
    service.check_invariants()


def test_e02_a_requested_report_showing_an_empty_cell_settles_the_command_by_inference(
    service: Service,
) -> None:
    service.add_cabinet(charges=[90])
    booking = service.book()
    command_id = unlock_without_reply(service, booking)
    service.held_messages.clear()
    while_messages_are_lost(service, lambda: service.take(1))
    response = service.unlock(booking)
    assert (response.status, response.body["command_id"]) == (200, command_id)
    assert get_command(service, command_id)["inferred"]
    assert service.place("C-1.A-1") == {"contractor_id": "T-1"}
    assert len(service.queue.commands("unlock")) == 1
    service.check_invariants()


def test_e02_an_unrequested_report_does_not_prove_that_a_command_was_not_executed(
    service: Service,
) -> None:
    service.add_cabinet(charges=[90])
    booking = service.book()
    command_id = unlock_not_received(service, booking)
    service.report()
    assert get_command(service, command_id)["status"] == "no_answer"
    service.check_invariants()


def test_e02_a_report_requested_before_the_command_does_not_prove_that_it_was_not_executed(
    service: Service,
) -> None:
    hardware = service.add_cabinet(charges=[90])
    service.hold_messages = True
    service.poll()
    service.hold_messages = False
    early = next(m for _, m in service.held_messages if m["type"] == "state_report")
    service.held_messages.clear()
    command_id = unlock_not_received(service, service.book())
    service.send_from("C-1", {**hardware.state_report(), "command_id": early["command_id"]})
    assert get_command(service, command_id)["status"] == "no_answer"
    service.check_invariants()


def test_e02_a_requested_report_in_which_the_cell_is_unreadable_proves_nothing(
    service: Service,
) -> None:
    hardware = service.add_cabinet(charges=[90])
    booking = service.book()
    command_id = unlock_without_reply(service, booking)
    service.held_messages.clear()
    while_messages_are_lost(service, lambda: service.take(1))
    hardware.cells[1].senses = {"accumulator_id": 12.5, "battery_charge": 90}
    service.poll()
    assert get_command(service, command_id)["status"] == "no_answer"
    service.check_invariants()


def test_e02_an_unrequested_report_showing_an_empty_cell_proves_execution(service: Service) -> None:
    service.add_cabinet(charges=[90])
    booking = service.book()
    command_id = unlock_without_reply(service, booking)
    service.held_messages.clear()
    while_messages_are_lost(service, lambda: service.take(1))
    service.report()
    found = get_command(service, command_id)
    assert (found["status"], found["inferred"], found["late"]) == ("succeeded", True, False)
    assert service.booking(booking)["status"] == "completed"
    assert service.unlock(booking).body["late"] is False
    service.check_invariants()


def test_e02_an_accumulator_seen_elsewhere_since_the_command_proves_execution(
    service: Service,
) -> None:
    hardware = service.add_cabinet(charges=[95, 90])
    booking = service.book()
    unlock_without_reply(service, booking)
    service.held_messages.clear()
    taken = while_messages_are_lost(service, lambda: service.take(1))
    hardware.pry_open(5)
    service.put(5, taken)
    service.poll()
    assert service.booking(booking)["status"] == "completed"
    assert service.place("C-1.A-1") == {"cabinet_id": "C-1", "cell_number": 5}
    assert service.place("C-1.A-2") == {"cabinet_id": "C-1", "cell_number": 2}
    service.check_invariants()


def test_e02_a_requested_report_settles_the_command_even_after_a_newer_report(
    service: Service,
) -> None:
    hardware = service.add_cabinet(charges=[90])
    booking = service.book()
    lost = unlock_not_received(service, booking)
    service.hold_messages = True
    service.poll()
    service.hold_messages = False
    service.send_from("C-1", hardware.state_report())
    service.deliver_held_messages()
    assert get_command(service, lost)["status"] == "not_executed"
    assert service.booking(booking)["status"] == "active"
    service.check_invariants()


def test_a_command_inferred_as_not_executed_is_not_late(service: Service) -> None:
    service.add_cabinet(charges=[95])
    command_id = unlock_not_received(service, service.book())
    service.poll()
    found = get_command(service, command_id)
    assert (found["status"], found["inferred"], found["late"]) == ("not_executed", True, False)
    service.check_invariants()


@pytest.mark.parametrize(("seconds", "status"), [(20, "no_answer"), (40, "not_executed")])
def test_a_command_not_recorded_as_published_may_still_be_published_for_half_a_minute(
    service: Service, seconds: float, status: str
) -> None:
    service.add_cabinet(charges=[90])
    command_id = unlock_not_received(service, service.book())
    service.sql("UPDATE commands SET published_at = NULL WHERE command_id = %(id)s", id=command_id)
    service.advance_time(seconds)
    service.poll()
    assert get_command(service, command_id)["status"] == status
    service.check_invariants()
