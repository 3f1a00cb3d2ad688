"""Edge cases E03 and E04: replies after the time limit."""

from dataclasses import replace

from shared.errors import QueueUnavailable
from tests.integration.unlock.lost_messages import (
    execute_late,
    get_command,
    unlock_not_received,
    unlock_without_reply,
    while_messages_are_lost,
)
from tests.support.service import Message, Service


def test_e03_a_late_success_moves_the_accumulators_exactly_once(service: Service) -> None:
    service.add_cabinet(charges=[90, 95])
    booking = service.book(2)
    command_id = unlock_without_reply(service, booking)
    late = list(service.held_messages)
    service.deliver(*late)
    service.deliver(*late)
    found = get_command(service, command_id)
    assert (found["status"], found["late"]) == ("succeeded", True)
    assert service.booking(booking)["status"] == "completed"
    for accumulator_id in ("C-1.A-1", "C-1.A-2"):
        assert service.movement_causes(accumulator_id).count("issued") == 1
    service.check_invariants()


def test_e03_a_retry_after_a_late_success_returns_its_result(service: Service) -> None:
    service.add_cabinet(charges=[90])
    booking = service.book()
    command_id = unlock_without_reply(service, booking)
    service.deliver_held_messages()
    response = service.unlock(booking)
    assert (response.status, response.body["late"]) == (200, True)
    assert response.body["command_id"] == command_id
    assert len(service.queue.commands("unlock")) == 1
    service.check_invariants()


def test_e03_a_late_success_of_an_unresolved_command_is_applied(service: Service) -> None:
    service.add_cabinet(charges=[90])
    booking = service.book()
    command_id = unlock_without_reply(service, booking)
    service.advance_time(700)
    service.lose_commands = True
    service.poll()
    service.deliver_held_messages()
    assert get_command(service, command_id)["status"] == "succeeded"
    assert service.booking(booking)["status"] == "completed"
    assert service.place("C-1.A-1") == {"contractor_id": "T-1"}
    assert service.cell(1)["health"] == "disabled"
    service.check_invariants()


def test_e03_a_late_success_of_a_command_considered_not_executed_completes_the_booking(
    service: Service,
) -> None:
    hardware = service.add_cabinet(charges=[95, 90])
    booking = service.book()
    unlock_not_received(service, booking)
    service.poll()
    assert service.booking(booking)["status"] == "active"
    execute_late(service, hardware, service.queue.commands("unlock")[0])
    assert service.booking(booking)["status"] == "completed"
    assert service.unlock(booking).status == 200
    assert len(service.queue.commands("unlock")) == 1
    assert service.place("C-1.A-2") == {"cabinet_id": "C-1", "cell_number": 2}
    service.check_invariants()


def test_e03_a_late_success_of_the_first_command_is_applied_while_the_second_is_unsettled(
    service: Service,
) -> None:
    hardware = service.add_cabinet(charges=[95, 90])
    booking = service.book()
    unlock_not_received(service, booking)
    service.poll()
    second = unlock_not_received(service, booking)
    execute_late(service, hardware, service.queue.commands("unlock")[0])
    assert service.booking(booking)["status"] == "unlocking"
    while_messages_are_lost(service, lambda: service.take(1))
    service.poll()
    assert service.booking(booking)["status"] == "completed"
    assert get_command(service, second)["status"] == "succeeded"
    assert service.movement_causes("C-1.A-1").count("issued") == 1
    service.check_invariants()


def test_e03_a_late_success_after_evidence_that_nothing_was_collected_moves_nothing(
    service: Service,
) -> None:
    hardware = service.add_cabinet(charges=[90])
    booking = service.book()
    unlock_without_reply(service, booking)
    hardware.close_door(1)
    service.report()
    service.deliver_held_messages()
    found = service.booking(booking)
    assert found["cells"][0]["reason"] == "not_collected"
    assert service.place("C-1.A-1") == {"cabinet_id": "C-1", "cell_number": 1}
    assert (service.cell(1)["door"], service.cell(1)["content"]) == ("closed", "occupied")
    assert [cell["accumulator_id"] for cell in service.book()["cells"]] == ["C-1.A-1"]
    service.check_invariants()


def test_e03_a_late_success_of_the_first_command_ends_no_hold_that_the_second_may_open(
    service: Service,
) -> None:
    hardware = service.add_cabinet(charges=[90])
    booking = service.book()
    unlock_without_reply(service, booking)
    hardware.close_door(1)
    service.poll()
    assert service.booking(booking)["status"] == "active"
    unlock_not_received(service, booking)
    service.deliver_held_messages()
    assert service.booking(booking)["cells"][0]["state"] == "held"
    execute_late(service, hardware, service.queue.commands("unlock")[1])
    assert service.booking(booking)["status"] == "completed"
    assert service.movement_causes("C-1.A-1").count("issued") == 1
    service.check_invariants()


def test_e03_evidence_delivered_before_the_reply_causes_no_anomaly(service: Service) -> None:
    hardware = service.add_cabinet(charges=[90])

    def answer_last(_device: str | None, message: Message) -> None:
        replies = [reply.make() for reply in hardware.handle(message)]
        service.take(1)
        service.report()
        service.send_from("C-1", *replies)

    service.queue.arrive = answer_last
    assert service.unlock(service.book()).body["status"] == "completed"
    assert service.movement_causes("C-1.A-1") == ["registered", "reported", "issued"]
    assert (service.anomalies(), service.cell(1)["health"]) == ([], "ok")
    service.check_invariants()


def test_e03_a_success_of_a_command_considered_not_published_is_applied(
    service: Service,
) -> None:
    hardware = service.add_cabinet(charges=[95, 90])
    booking = service.book()
    sent: list[Message] = []

    def fail_after_sending(_device: str | None, message: Message) -> None:
        sent.append(message)
        raise QueueUnavailable

    arrive, service.queue.arrive = service.queue.arrive, fail_after_sending
    response = service.unlock(booking)
    service.queue.arrive = arrive
    assert (response.status, response.body["code"]) == (503, "queue_unavailable")
    assert service.booking(booking)["status"] == "active"
    execute_late(service, hardware, sent[0])
    assert service.booking(booking)["status"] == "completed"
    service.check_invariants()


def test_a_command_recorded_as_published_is_not_withdrawn_when_the_publisher_fails(
    patient_service: Service,
) -> None:
    service = patient_service
    service.add_cabinet(charges=[95])
    booking = service.book()
    sent: list[Message] = []

    def fail_once_it_is_published(_device: str | None, message: Message) -> None:
        sent.append(message)
        service.sql("UPDATE commands SET status = 'published', published_at = now()")
        raise QueueUnavailable

    send, service.queue.arrive = service.queue.arrive, fail_once_it_is_published
    assert service.unlock(booking).status == 503
    service.queue.arrive = send

    assert get_command(service, sent[0]["command_id"])["status"] == "published"
    assert service.booking(booking)["status"] == "unlocking"  # no second command may be sent
    send("C-1", sent[0])
    assert service.booking(booking)["status"] == "completed"
    service.check_invariants()


def test_e04_a_late_failure_replaces_the_failed_cell(
    service: Service,
) -> None:
    hardware = service.add_cabinet(charges=[95, 90])
    hardware.cells[1].lock = "jammed"
    booking = service.book()
    unlock_without_reply(service, booking)
    service.deliver_held_messages()
    assert service.cell(1)["health_reason"] == "jammed"
    assert service.booking(booking)["status"] == "active"
    assert service.unlock(booking).body["cells"][0]["accumulator_id"] == "C-1.A-2"
    service.check_invariants()


def test_e04_a_late_failure_of_an_unresolved_command_leaves_the_booking_failed(
    service: Service,
) -> None:
    hardware = service.add_cabinet(charges=[95, 90])
    hardware.cells[1].lock = "jammed"
    booking = service.book()
    command_id = unlock_without_reply(service, booking)
    service.advance_time(700)
    service.lose_commands = True
    service.poll()
    service.deliver_held_messages()
    assert get_command(service, command_id)["status"] == "failed"
    assert service.booking(booking)["status"] == "failed"
    assert service.place("C-1.A-1") == {"cabinet_id": "C-1", "cell_number": 1}
    service.check_invariants()


def test_e04_a_late_rejection_makes_the_booking_active_again(service: Service) -> None:
    hardware = service.add_cabinet(charges=[95])
    hardware.firmware = replace(hardware.firmware, refuses="busy")
    booking = service.book()
    command_id = unlock_without_reply(service, booking)
    service.deliver_held_messages()
    found = get_command(service, command_id)
    assert (found["status"], found["reason"], found["late"]) == ("rejected", "busy", True)
    assert service.booking(booking)["status"] == "active"
    service.check_invariants()


def test_a_late_success_leaves_the_reported_content_of_a_cell_that_was_closed_since(
    service: Service,
) -> None:
    hardware = service.add_cabinet(charges=[95])
    unlock_without_reply(service, service.book())
    hardware.close_door(1)  # with its accumulator still inside
    service.report()

    service.deliver_held_messages()

    cell = service.cell(1)
    assert (cell["door"], cell["content"]) == ("closed", "occupied")
    assert cell["accumulator_id"] == "C-1.A-1"
    assert [one["accumulator_id"] for one in service.book()["cells"]] == ["C-1.A-1"]
    service.check_invariants()


def test_a_late_success_ends_the_booking_even_if_the_second_command_is_not_published(
    service: Service,
) -> None:
    hardware = service.add_cabinet(charges=[95, 90])
    booking = service.book()
    unlock_not_received(service, booking)
    service.poll()  # proves that the first command was not executed: the booking is active again
    arrive = service.queue.arrive

    def fail(_device: str | None, _message: Message) -> None:
        service.queue.arrive = arrive
        execute_late(service, hardware, service.queue.commands("unlock")[0])
        raise QueueUnavailable

    service.queue.arrive = fail
    assert service.unlock(booking).status == 503
    assert service.booking(booking)["status"] == "completed"
    service.unlock(booking)
    assert hardware.cells[2].openings == 0
    service.check_invariants()
