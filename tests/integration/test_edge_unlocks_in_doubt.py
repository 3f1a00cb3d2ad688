"""Edge cases E01 and E02: offline, and no answer. docs/edge-cases.md lists them."""

from collections.abc import Iterator

import pytest

from tests.integration.silence import command, in_silence, unanswered, unheard
from tests.service import Service, running


@pytest.fixture
def service(database_url: str, monkeypatch: pytest.MonkeyPatch) -> Iterator[Service]:
    with running(database_url, monkeypatch, UNLOCK_WAIT_SECONDS="0.05") as service:
        yield service


def test_e01_an_offline_cabinet_is_refused_before_anything_is_held_or_sent(
    service: Service,
) -> None:
    service.add_cabinet(charges=[90])
    service.later(200)
    wanted = {"cabinet_id": "C-1", "contractor_id": "T-1", "kind": "issue", "count": 1}
    answer = service.call("POST", "/v1/bookings", wanted)
    assert (answer.status, answer.body["code"]) == (409, "cabinet_offline")
    assert service.get("/v1/bookings")["bookings"] == []
    assert service.queue.published == []
    service.check_invariants()


def test_e02_without_an_answer_the_caller_learns_the_command_and_the_cell_stays_held(
    service: Service,
) -> None:
    service.add_cabinet(charges=[90])
    booking = service.book()
    command_id = unanswered(service, booking)
    assert command(service, command_id)["status"] == "no_answer"
    assert service.booking(booking)["status"] == "unlocking"
    other = {"cabinet_id": "C-1", "contractor_id": "T-2", "kind": "issue", "count": 1}
    assert service.call("POST", "/v1/bookings", other).body["available"] == 0
    service.check_invariants()


def test_e02_asking_again_in_silence_asks_for_the_state_and_opens_nothing(
    service: Service,
) -> None:
    service.add_cabinet(charges=[90])
    booking = service.book()
    command_id = unanswered(service, booking)
    assert unanswered(service, booking) == command_id
    assert len(service.queue.commands("unlock")) == 1
    assert len(service.queue.commands("report_state")) == 1
    service.check_invariants()


def test_e02_an_expired_booking_stays_held_while_its_command_has_no_answer(
    service: Service,
) -> None:
    service.add_cabinet(charges=[90])
    booking = service.book()
    unanswered(service, booking)
    service.later(2000)
    assert service.booking(booking)["status"] == "unlocking"
    service.check_invariants()


def test_e02_asked_state_that_shows_it_untouched_lets_a_new_command_go(service: Service) -> None:
    service.add_cabinet(charges=[90])
    booking = service.book()
    lost = unheard(service, booking)
    answer = service.unlock(booking)
    assert (answer.status, answer.body["status"]) == (200, "completed")
    assert command(service, lost)["status"] == "not_executed"
    assert len(service.queue.commands("unlock")) == 2
    service.check_invariants()


def test_e02_asked_state_that_shows_it_gone_settles_the_command_by_inference(
    service: Service,
) -> None:
    service.add_cabinet(charges=[90])
    booking = service.book()
    command_id = unanswered(service, booking)
    service.waiting.clear()
    in_silence(service, lambda: service.take(1))
    answer = service.unlock(booking)
    assert (answer.status, answer.body["command_id"]) == (200, command_id)
    assert command(service, command_id)["inferred"]
    assert service.place("C-1.A-1") == {"contractor_id": "T-1"}
    assert len(service.queue.commands("unlock")) == 1
    service.check_invariants()


def test_e02_a_report_that_nobody_asked_for_proves_no_non_execution(service: Service) -> None:
    service.add_cabinet(charges=[90])
    booking = service.book()
    command_id = unheard(service, booking)
    service.report()
    assert command(service, command_id)["status"] == "no_answer"
    service.check_invariants()


def test_e02_a_report_asked_for_before_the_command_proves_no_non_execution(
    service: Service,
) -> None:
    hardware = service.add_cabinet(charges=[90])
    service.hold_messages = True
    service.poll()
    service.hold_messages = False
    early = next(m for _, m in service.waiting if m["type"] == "state_report")
    service.waiting.clear()
    command_id = unheard(service, service.book())
    service.say("C-1", {**hardware.state_report(), "command_id": early["command_id"]})
    assert command(service, command_id)["status"] == "no_answer"
    service.check_invariants()


def test_e02_an_asked_report_that_leaves_the_cell_in_doubt_proves_nothing(
    service: Service,
) -> None:
    hardware = service.add_cabinet(charges=[90])
    booking = service.book()
    command_id = unanswered(service, booking)
    service.waiting.clear()
    in_silence(service, lambda: service.take(1))
    hardware.cells[1].senses = {"accumulator_id": "C-1.A-1", "battery_charge": 255}
    service.poll()
    assert command(service, command_id)["status"] == "no_answer"
    service.check_invariants()


def test_e02_an_accumulator_that_is_gone_proves_execution_also_unasked(service: Service) -> None:
    service.add_cabinet(charges=[90])
    booking = service.book()
    command_id = unanswered(service, booking)
    service.waiting.clear()
    in_silence(service, lambda: service.take(1))
    service.report()
    assert command(service, command_id)["status"] == "succeeded"
    assert service.booking(booking)["status"] == "completed"
    service.check_invariants()


def test_e02_what_was_taken_and_seen_elsewhere_since_proves_execution(service: Service) -> None:
    hardware = service.add_cabinet(charges=[95, 90])
    booking = service.book()
    unanswered(service, booking)
    service.waiting.clear()
    taken = in_silence(service, lambda: service.take(1))
    hardware.pry_open(5)
    service.put(5, taken)
    service.poll()
    assert service.booking(booking)["status"] == "completed"
    assert service.place("C-1.A-1") == {"cabinet_id": "C-1", "cell_number": 5}
    assert service.place("C-1.A-2") == {"cabinet_id": "C-1", "cell_number": 2}
    service.check_invariants()


def test_e02_an_asked_report_counts_even_if_a_newer_one_overtakes_it(service: Service) -> None:
    hardware = service.add_cabinet(charges=[90])
    booking = service.book()
    lost = unheard(service, booking)
    service.hold_messages = True
    service.poll()
    service.hold_messages = False
    service.say("C-1", hardware.state_report())
    service.deliver_waiting()
    assert command(service, lost)["status"] == "not_executed"
    assert service.booking(booking)["status"] == "active"
    service.check_invariants()


def test_e02_after_the_window_without_evidence_an_operator_decides(service: Service) -> None:
    service.add_cabinet(charges=[90])
    booking = service.book()
    command_id = unanswered(service, booking)
    service.later(700)
    in_silence(service, service.poll)
    assert command(service, command_id)["status"] == "unresolved"
    assert service.booking(booking)["status"] == "failed"
    cell = service.cell(1)
    assert (cell["health"], cell["health_reason"]) == ("disabled", "unresolved")
    service.check_invariants()
