"""Edge cases E05 to E08: what comes twice. docs/edge-cases.md lists them."""

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace

import pytest

from tests.integration.silence import command, execute_again, unanswered
from tests.service import Service, running
from tests.waiting import wait_until


@pytest.fixture
def service(database_url: str, monkeypatch: pytest.MonkeyPatch) -> Iterator[Service]:
    with running(database_url, monkeypatch, UNLOCK_WAIT_SECONDS="0.05") as service:
        yield service


@pytest.fixture
def patient_service(database_url: str, monkeypatch: pytest.MonkeyPatch) -> Iterator[Service]:
    with running(database_url, monkeypatch, UNLOCK_WAIT_SECONDS="10") as service:
        yield service


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
