"""Edge cases E01 to E20: commands and replies. docs/edge-cases.md lists them."""

from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from typing import Any

import pytest

from local.cabinet.hardware import Accumulator, Hardware
from shared.errors import QueueUnavailable
from tests.service import Message, Service, running
from tests.waiting import wait_until


@pytest.fixture
def service(database_url: str, monkeypatch: pytest.MonkeyPatch) -> Iterator[Service]:
    with running(database_url, monkeypatch, UNLOCK_WAIT_SECONDS="0.05") as service:
        yield service


@pytest.fixture
def patient_service(database_url: str, monkeypatch: pytest.MonkeyPatch) -> Iterator[Service]:
    with running(database_url, monkeypatch, UNLOCK_WAIT_SECONDS="10") as service:
        yield service


def unanswered(service: Service, booking: Any) -> str:
    """Unlock; the cabinet obeys, but nothing that it says arrives (it waits). The command's id."""
    service.hold_messages = True
    answer = service.unlock(booking)
    service.hold_messages = False
    assert answer.status == 504
    assert answer.body["code"] == "cabinet_no_answer"
    return str(answer.body["command_id"])


def unheard(service: Service, booking: Any) -> str:
    """Unlock; the command never reaches the cabinet. Its id."""
    service.lose_commands = True
    answer = service.unlock(booking)
    service.lose_commands = False
    assert answer.status == 504
    return str(answer.body["command_id"])


def in_silence(service: Service, action: Callable[[], Any]) -> Any:
    """Do it while everything that cabinets say is lost."""
    service.hold_messages = True
    result = action()
    service.hold_messages = False
    service.waiting.clear()
    return result


def execute_again(service: Service, hardware: Hardware, command: Message) -> None:
    """The command arrives at the cabinet once more, or at last."""
    for reply in hardware.handle(command):
        service.say(hardware.cabinet_id, reply.make())


def command(service: Service, command_id: str) -> Any:
    return service.get(f"/v1/commands/{command_id}")


# --- E01, E02: offline, no answer -----------------------------------------------------------------


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


# --- E03, E04: late replies -----------------------------------------------------------------------


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


# --- E05 to E09: doubles and strangers ------------------------------------------------------------


def test_e05_a_reply_that_comes_twice_moves_once(service: Service) -> None:
    service.add_cabinet(charges=[90])
    service.hold_messages = True
    service.unlock(service.book())
    [reply] = service.waiting
    service.deliver(reply, reply)
    assert service.causes("C-1.A-1") == ["registered", "reported", "issued"]
    service.check_invariants()


def test_e05_a_second_and_different_reply_changes_nothing(service: Service) -> None:
    service.add_cabinet(charges=[90])
    service.hold_messages = True
    booking = service.book()
    command_id = unanswered(service, booking)
    [(_, reply)] = service.waiting
    second = {**reply, "seq": reply["seq"] + 1, "status": "rejected", "reason": "busy"}
    service.deliver(("C-1", reply), ("C-1", second))
    assert command(service, command_id)["status"] == "succeeded"
    assert service.booking(booking)["status"] == "completed"
    service.check_invariants()


def test_e06_the_same_request_with_its_key_books_once(service: Service) -> None:
    service.add_cabinet(charges=[90, 95])
    wanted = {"cabinet_id": "C-1", "contractor_id": "T-1", "kind": "issue", "count": 1}
    key = {"Idempotency-Key": "one"}
    first = service.call("POST", "/v1/bookings", wanted, headers=key)
    again = service.call("POST", "/v1/bookings", wanted, headers=key)
    assert (first.status, again.status) == (201, 201)
    assert again.body == first.body
    assert len(service.get("/v1/bookings")["bookings"]) == 1
    service.check_invariants()


def test_e06_callers_at_the_same_time_get_one_command_and_one_answer(
    patient_service: Service,
) -> None:
    service = patient_service
    service.add_cabinet(charges=[90])
    booking = service.book()
    service.hold_messages = True
    with ThreadPoolExecutor(3) as threads:
        asked = [threads.submit(service.unlock, booking) for _ in range(3)]
        wait_until(lambda: service.waiting)
        service.hold_messages = False
        service.deliver_waiting()
        answers = [one.result(20) for one in asked]
    assert [answer.status for answer in answers] == [200, 200, 200]
    assert answers[0].body == answers[1].body == answers[2].body
    assert len(service.queue.commands("unlock")) == 1
    service.check_invariants()


def test_e06_an_answered_unlock_gives_its_stored_answer_and_opens_nothing_again(
    service: Service,
) -> None:
    hardware = service.add_cabinet(charges=[90])
    booking = service.book()
    first = service.unlock(booking)
    service.take(1)
    again = service.unlock(booking)
    assert (again.status, again.body) == (200, first.body)
    assert hardware.cells[1].openings == 1
    service.check_invariants()


def test_e07_the_same_key_for_another_request_is_refused(service: Service) -> None:
    service.add_cabinet(charges=[90, 95])
    wanted = {"cabinet_id": "C-1", "contractor_id": "T-1", "kind": "issue", "count": 1}
    key = {"Idempotency-Key": "one"}
    service.call("POST", "/v1/bookings", wanted, headers=key)
    answer = service.call("POST", "/v1/bookings", wanted | {"count": 2}, headers=key)
    assert (answer.status, answer.body["code"]) == (422, "idempotency_key_reused")
    service.check_invariants()


def test_e08_a_cabinet_that_opens_twice_for_one_command_is_found_out(service: Service) -> None:
    hardware = service.add_cabinet(charges=[90])
    hardware.firmware = replace(hardware.firmware, executes_once=False)
    service.unlock(service.book())
    service.take(1)
    execute_again(service, hardware, service.queue.commands("unlock")[0])
    service.report()
    assert hardware.double_openings == 1
    assert "opened_without_command" in service.anomalies()
    assert service.causes("C-1.A-1").count("issued") == 1
    service.check_invariants()


@pytest.mark.parametrize("strange", ["00000000-0000-4000-8000-000000000000", "not a uuid"])
def test_e09_a_reply_to_an_unknown_command_is_kept_and_does_nothing(
    service: Service, strange: str
) -> None:
    hardware = service.add_cabinet(charges=[90])
    opened = {"cell_number": 1, "result": "opened", "accumulator_id": "C-1.A-1"}
    reply = {**hardware.hello(), "type": "command_result", "status": "done", "cells": [opened]}
    service.say("C-1", {**reply, "command_id": strange})
    assert service.anomalies() == ["unknown_command"]
    assert service.cell(1)["door"] == "closed"
    service.check_invariants()


def test_e09_a_reply_to_another_cabinets_command_is_kept_and_does_nothing(
    service: Service,
) -> None:
    service.add_cabinet("C-1", charges=[90])
    service.add_cabinet("C-2", charges=[90])
    booking = service.book()
    command_id = unanswered(service, booking)
    [(_, reply)] = service.waiting
    service.say("C-2", {**reply, "boot_id": service.cabinets["C-2"].boot_id, "seq": 99})
    assert service.anomalies() == ["foreign_command"]
    assert command(service, command_id)["status"] == "no_answer"
    service.check_invariants()


# --- E10, E11: other cells, some cells ------------------------------------------------------------


def test_e10_the_cell_that_really_opened_is_told_and_the_asked_one_becomes_faulty(
    service: Service,
) -> None:
    hardware = service.add_cabinet(charges=[95, 90])
    hardware.firmware = replace(hardware.firmware, substitutes={1: 2})
    answer = service.unlock(service.book())
    told = {cell["cell_number"]: cell["result"] for cell in answer.body["cells"]}
    assert told == {1: "no_result", 2: "opened"}
    assert service.place("C-1.A-2") == {"contractor_id": "T-1"}
    assert service.cell(1)["health_reason"] == "no_result"
    assert service.anomalies() == ["cell_not_asked"]
    service.check_invariants()


def test_e10_what_another_cell_gave_counts_for_the_booking_and_no_second_one_is_offered(
    service: Service,
) -> None:
    hardware = service.add_cabinet(charges=[95, 90, 85])
    hardware.firmware = replace(hardware.firmware, substitutes={1: 2})
    booking = service.book()
    assert service.unlock(booking).body["status"] == "completed"
    assert service.unlock(booking).status == 200
    assert len(service.queue.commands("unlock")) == 1
    assert service.place("C-1.A-3") == {"cabinet_id": "C-1", "cell_number": 3}
    service.check_invariants()


def test_e10_what_left_an_unasked_cell_is_no_longer_held_for_another(service: Service) -> None:
    hardware = service.add_cabinet(charges=[95, 90])
    mine, other = service.book(contractor_id="T-1"), service.book(contractor_id="T-2")
    hardware.firmware = replace(hardware.firmware, substitutes={1: 2})
    service.unlock(mine)
    assert service.booking(other)["status"] == "failed"
    assert service.booking(other)["cells"][0]["reason"] == "moved"
    service.check_invariants()


def test_e10_another_accumulator_than_the_held_one_is_issued_as_the_fact_it_is(
    service: Service,
) -> None:
    hardware = service.add_cabinet(charges=[95])
    booking = service.book()
    hardware.cells[1].accumulator = Accumulator("X-1", 88)
    service.unlock(booking)
    assert service.place("X-1") == {"contractor_id": "T-1"}
    assert service.place("C-1.A-1") is None
    assert service.anomalies() == ["other_accumulator"]
    service.check_invariants()


def test_e10_a_strange_accumulator_in_an_answer_does_not_displace_newer_evidence(
    service: Service,
) -> None:
    hardware = service.add_cabinet(charges=[95])
    unanswered(service, service.book())
    [(_, reply)] = service.waiting
    service.waiting.clear()
    taken = in_silence(service, lambda: service.take(1))
    hardware.pry_open(5)
    service.put(5, taken)
    hardware.pry_open(1)
    service.put(1, Accumulator("X-1", 50))
    service.report()
    reply["cells"][0]["accumulator_id"] = "X-2"
    service.say("C-1", reply)
    service.report()
    assert service.place("X-1") == {"cabinet_id": "C-1", "cell_number": 1}
    service.check_invariants()


def test_e11_of_three_cells_two_open_and_the_third_has_its_reason(service: Service) -> None:
    hardware = service.add_cabinet(charges=[95, 94, 93])
    hardware.cells[2].lock = "jammed"
    booking = service.book(3)
    answer = service.unlock(booking)
    assert answer.body["status"] == "partially_completed"
    told = {cell["cell_number"]: cell["result"] for cell in answer.body["cells"]}
    assert told == {1: "opened", 2: "jammed", 3: "opened"}
    assert service.place("C-1.A-2") == {"cabinet_id": "C-1", "cell_number": 2}
    assert command(service, answer.body["command_id"])["status"] == "partially_succeeded"
    service.check_invariants()


def test_e11_a_cell_that_the_answer_leaves_out_has_failed(service: Service) -> None:
    hardware = service.add_cabinet(charges=[95, 94])
    hardware.firmware = replace(hardware.firmware, claims={2: None})
    answer = service.unlock(service.book(2))
    told = {cell["cell_number"]: cell["result"] for cell in answer.body["cells"]}
    assert told == {1: "opened", 2: "no_result"}
    assert service.cell(2)["health_reason"] == "no_result"
    service.check_invariants()


@pytest.mark.parametrize("word", ["locked", "occupied", "exploded"])
def test_e11_whatever_word_is_not_opened_is_a_failure(service: Service, word: str) -> None:
    hardware = service.add_cabinet(charges=[95, 94])
    hardware.firmware = replace(hardware.firmware, claims={2: word})
    booking = service.book(2)
    assert service.unlock(booking).body["status"] == "partially_completed"
    assert service.booking(booking)["cells"][1]["state"] == "failed"
    assert service.cell(2)["health_reason"] == word
    service.check_invariants()


# --- E12 to E16: broken, lost, wrong clocks, reboots ----------------------------------------------

BROKEN = [
    b"",
    b"\x00\xff\xfe",
    b"[]",
    b"null",
    b'{"v":1,"type":"command_result"',
    b'{"v":1,"type":"greeting","boot_id":"b","seq":1}',
    b'{"v":2,"type":"hello","boot_id":"b","seq":1}',
    b'{"v":1,"type":"hello","boot_id":"b","seq":"1"}',
    b'{"v":1,"type":"hello","boot_id":"","seq":1}',
    b'{"v":1,"type":"state_report","boot_id":"b","seq":1,"cells":[{}]}',
    b"[" * 100_000,
]


def test_e12_broken_messages_are_kept_as_they_came_and_change_nothing(service: Service) -> None:
    service.add_cabinet(charges=[90])
    before = service.get("/v1/cabinets/C-1")["cells"]
    service.say("C-1", *BROKEN)
    rows = service.sql("SELECT reason, payload FROM anomalies ORDER BY anomaly_id")
    assert [bytes(row["payload"]) for row in rows] == BROKEN
    assert {row["reason"] for row in rows} == {"malformed"}
    assert service.get("/v1/cabinets/C-1")["cells"] == before
    service.check_invariants()


def test_e12_a_broken_message_that_is_delivered_again_is_kept_once(service: Service) -> None:
    service.add_cabinet()
    for _ in range(2):
        service.deliver(("C-1", b"broken"), event_id="the same")
    assert service.anomalies() == ["malformed"]
    service.check_invariants()


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
