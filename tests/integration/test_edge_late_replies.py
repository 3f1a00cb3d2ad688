"""Edge cases E03 and E04: replies after the time-out. docs/edge-cases.md lists them."""

from collections.abc import Iterator
from dataclasses import replace

import pytest

from shared.errors import QueueUnavailable
from tests.integration.silence import command, execute_again, in_silence, unanswered, unheard
from tests.service import Message, Service, running


@pytest.fixture
def service(database_url: str, monkeypatch: pytest.MonkeyPatch) -> Iterator[Service]:
    with running(database_url, monkeypatch, UNLOCK_WAIT_SECONDS="0.05") as service:
        yield service


def test_e03_a_late_success_moves_the_accumulators_exactly_once(service: Service) -> None:
    service.add_cabinet(charges=[90, 95])
    booking = service.book(2)
    command_id = unanswered(service, booking)
    late = list(service.waiting)
    service.deliver(*late)
    service.deliver(*late)
    found = command(service, command_id)
    assert (found["status"], found["late"]) == ("succeeded", True)
    assert service.booking(booking)["status"] == "completed"
    for accumulator_id in ("C-1.A-1", "C-1.A-2"):
        assert service.causes(accumulator_id).count("issued") == 1
    service.check_invariants()


def test_e03_asking_again_after_a_late_success_gives_its_answer(service: Service) -> None:
    service.add_cabinet(charges=[90])
    booking = service.book()
    command_id = unanswered(service, booking)
    service.deliver_waiting()
    answer = service.unlock(booking)
    assert (answer.status, answer.body["late"]) == (200, True)
    assert answer.body["command_id"] == command_id
    assert len(service.queue.commands("unlock")) == 1
    service.check_invariants()


def test_e03_a_late_success_of_an_unresolved_command_is_applied(service: Service) -> None:
    service.add_cabinet(charges=[90])
    booking = service.book()
    command_id = unanswered(service, booking)
    service.later(700)
    service.lose_commands = True
    service.poll()
    service.deliver_waiting()
    assert command(service, command_id)["status"] == "succeeded"
    assert service.booking(booking)["status"] == "completed"
    assert service.place("C-1.A-1") == {"contractor_id": "T-1"}
    assert service.cell(1)["health"] == "disabled"
    service.check_invariants()


def test_e03_a_late_success_of_a_command_thought_not_executed_completes_the_booking(
    service: Service,
) -> None:
    hardware = service.add_cabinet(charges=[95, 90])
    booking = service.book()
    unheard(service, booking)
    service.poll()
    assert service.booking(booking)["status"] == "active"
    execute_again(service, hardware, service.queue.commands("unlock")[0])
    assert service.booking(booking)["status"] == "completed"
    assert service.unlock(booking).status == 200
    assert len(service.queue.commands("unlock")) == 1
    assert service.place("C-1.A-2") == {"cabinet_id": "C-1", "cell_number": 2}
    service.check_invariants()


def test_e03_a_late_success_of_the_first_attempt_counts_while_the_second_is_on_its_way(
    service: Service,
) -> None:
    hardware = service.add_cabinet(charges=[95, 90])
    booking = service.book()
    unheard(service, booking)
    service.poll()
    second = unheard(service, booking)
    execute_again(service, hardware, service.queue.commands("unlock")[0])
    assert service.booking(booking)["status"] == "unlocking"
    in_silence(service, lambda: service.take(1))
    service.poll()
    assert service.booking(booking)["status"] == "completed"
    assert command(service, second)["status"] == "succeeded"
    assert service.causes("C-1.A-1").count("issued") == 1
    service.check_invariants()


def test_e03_a_late_success_after_evidence_that_it_was_taken_back_moves_nothing(
    service: Service,
) -> None:
    hardware = service.add_cabinet(charges=[90])
    booking = service.book()
    unanswered(service, booking)
    hardware.close_door(1)
    service.report()
    service.deliver_waiting()
    found = service.booking(booking)
    assert found["cells"][0]["reason"] == "not_collected"
    assert service.place("C-1.A-1") == {"cabinet_id": "C-1", "cell_number": 1}
    service.check_invariants()


def test_e03_evidence_that_overtakes_the_reply_waits_for_it(service: Service) -> None:
    hardware = service.add_cabinet(charges=[90])

    def answer_last(_device: str | None, message: Message) -> None:
        replies = [reply.make() for reply in hardware.handle(message)]
        service.take(1)
        service.report()
        service.say("C-1", *replies)

    service.queue.arrive = answer_last
    assert service.unlock(service.book()).body["status"] == "completed"
    assert service.causes("C-1.A-1") == ["registered", "reported", "issued"]
    assert (service.anomalies(), service.cell(1)["health"]) == ([], "ok")
    service.check_invariants()


def test_e03_a_success_of_a_command_that_was_thought_unpublished_is_applied(
    service: Service,
) -> None:
    hardware = service.add_cabinet(charges=[95, 90])
    booking = service.book()
    sent: list[Message] = []

    def fail_after_sending(_device: str | None, message: Message) -> None:
        sent.append(message)
        raise QueueUnavailable

    arrive, service.queue.arrive = service.queue.arrive, fail_after_sending
    answer = service.unlock(booking)
    service.queue.arrive = arrive
    assert (answer.status, answer.body["code"]) == (503, "queue_unavailable")
    assert service.booking(booking)["status"] == "active"
    execute_again(service, hardware, sent[0])
    assert service.booking(booking)["status"] == "completed"
    service.check_invariants()


def test_e04_a_late_failure_gives_another_accumulator_for_the_failed_cell(
    service: Service,
) -> None:
    hardware = service.add_cabinet(charges=[95, 90])
    hardware.cells[1].lock = "jammed"
    booking = service.book()
    unanswered(service, booking)
    service.deliver_waiting()
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
    command_id = unanswered(service, booking)
    service.later(700)
    service.lose_commands = True
    service.poll()
    service.deliver_waiting()
    assert command(service, command_id)["status"] == "failed"
    assert service.booking(booking)["status"] == "failed"
    assert service.place("C-1.A-1") == {"cabinet_id": "C-1", "cell_number": 1}
    service.check_invariants()


def test_e04_a_late_rejection_makes_the_booking_active_again(service: Service) -> None:
    hardware = service.add_cabinet(charges=[95])
    hardware.firmware = replace(hardware.firmware, refuses="busy")
    booking = service.book()
    command_id = unanswered(service, booking)
    service.deliver_waiting()
    found = command(service, command_id)
    assert (found["status"], found["reason"], found["late"]) == ("rejected", "busy", True)
    assert service.booking(booking)["status"] == "active"
    service.check_invariants()
