"""Unlocks and commands without waiting: 202 with the command, and its outcome later."""

from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest

from shared.errors import QueueUnavailable
from shared.services import dispatch
from tests.integration.unlock.lost_messages import get_command
from tests.integration.unlock.waiting_callers import SECONDS
from tests.support.service import Message, Response, Service, change_settings

ASYNC = {"Prefer": "respond-async"}
WAIT_S = 2 * SECONDS
"""The wait of `patient_service`."""


def unlock(
    service: Service, booking: Any, prefer: str = "respond-async", **headers: str
) -> Response:
    path = f"/v1/bookings/{booking['booking_id']}/unlock"
    return service.call("POST", path, headers={"Prefer": prefer, **headers})


def report_state(service: Service, **headers: str) -> Response:
    body = {"kind": "report_state", "reason": "a test"}
    path = "/v1/cabinets/C-1/commands"
    return service.call("POST", path, body, key="operator", headers={**ASYNC, **headers})


def silent_booking(service: Service) -> Any:
    """Return a booking at a cabinet whose messages are held back."""
    service.add_cabinet(charges=[95, 90])
    booking = service.book()
    service.hold_messages = True
    return booking


# --- 202 --------------------------------------------------------------------------------------


@pytest.mark.parametrize("prefer", ["respond-async", "wait=0", "respond-async, wait=0"])
def test_an_unlock_that_is_not_waited_for_is_202_with_its_published_command(
    patient_service: Service, prefer: str
) -> None:
    service = patient_service
    booking = silent_booking(service)
    response = unlock(service, booking, prefer)
    assert response.status == 202
    command_id = response.body["command_id"]
    assert response.headers["Location"] == f"/v1/commands/{command_id}"
    assert response.headers["Preference-Applied"] == prefer
    assert (response.body["status"], response.body["booking_id"]) == (
        "published",
        booking["booking_id"],
    )
    assert [sent["command_id"] for sent in service.queue.commands("unlock")] == [command_id]
    assert response.body == service.get(response.headers["Location"])
    service.check_invariants()


def test_the_outcome_is_read_from_the_command_and_the_booking(patient_service: Service) -> None:
    service = patient_service
    booking = silent_booking(service)
    command_id = unlock(service, booking).body["command_id"]
    service.deliver_held_messages()
    found = get_command(service, command_id)
    assert (found["status"], found["late"]) == ("succeeded", False)
    assert service.booking(booking)["status"] == "completed"
    assert service.place("C-1.A-1") == {"contractor_id": "T-1"}
    service.check_invariants()


def test_an_outcome_that_is_known_already_is_200(patient_service: Service) -> None:
    service = patient_service
    service.add_cabinet(charges=[95])
    booking = service.book()
    first = unlock(service, booking)
    assert (first.status, first.body["status"]) == (200, "completed")
    assert "Location" not in first.headers
    assert unlock(service, booking).body == first.body


def test_asking_again_in_flight_is_202_of_the_same_command_without_a_second_publication(
    patient_service: Service,
) -> None:
    service = patient_service
    booking = silent_booking(service)
    first = unlock(service, booking)
    with ThreadPoolExecutor(4) as callers:
        again = [callers.submit(unlock, service, booking) for _ in range(8)]
    assert {one.result().status for one in again} == {202}
    assert {one.result().body["command_id"] for one in again} == {first.body["command_id"]}
    assert len(service.queue.commands("unlock")) == 1
    service.check_invariants()


def test_a_caller_that_waits_joins_a_command_that_nobody_waits_for(service: Service) -> None:
    booking = silent_booking(service)
    command_id = unlock(service, booking).body["command_id"]
    response = service.unlock(booking)
    assert (response.status, response.body["command_id"]) == (504, command_id)
    assert len(service.queue.commands("unlock")) == 1


def test_wait_ends_before_the_deadline_with_202(patient_service: Service) -> None:
    service = patient_service
    booking = silent_booking(service)
    response = unlock(service, booking, "wait=1")
    assert (response.status, response.body["status"]) == (202, "published")
    assert response.headers["Preference-Applied"] == "wait=1"


def test_wait_does_not_lengthen_the_time_limit(service: Service) -> None:
    booking = silent_booking(service)
    response = unlock(service, booking, "respond-async, wait=3600")
    assert (response.status, response.body["code"]) == (504, "cabinet_no_answer")


def test_an_unknown_preference_is_ignored(service: Service) -> None:
    booking = silent_booking(service)
    response = unlock(service, booking, "return=minimal, wait=soon")
    assert response.status == 504
    assert "Preference-Applied" not in response.headers


@pytest.mark.parametrize("kind", ["report_state", "lock"])
def test_any_command_can_be_sent_without_waiting(patient_service: Service, kind: str) -> None:
    service = patient_service
    service.add_cabinet()
    service.hold_messages = True
    body = {"kind": kind, "reason": "a test", **({"cells": [1]} if kind == "lock" else {})}
    path = "/v1/cabinets/C-1/commands"
    response = service.call("POST", path, body, key="operator", headers=ASYNC)
    assert (response.status, response.body["status"]) == (202, "published")
    service.deliver_held_messages()
    assert service.get(response.headers["Location"])["status"] == "succeeded"


# --- refusals ---------------------------------------------------------------------------------


def test_nothing_sent_is_503_and_the_booking_is_active_again(service: Service) -> None:
    service.add_cabinet(charges=[95])
    booking = service.book()
    service.queue.down = True
    response = unlock(service, booking)
    assert (response.status, response.body["code"]) == (503, "queue_unavailable")
    assert service.booking(booking)["status"] == "active"
    service.queue.down = False
    assert unlock(service, booking).status == 200
    service.check_invariants()


def test_a_cancelled_booking_is_refused(service: Service) -> None:
    service.add_cabinet(charges=[95])
    booking = service.book()
    service.delete(f"/v1/bookings/{booking['booking_id']}")
    response = unlock(service, booking)
    assert (response.status, response.body["code"]) == (409, "booking_not_active")


# --- the deadline passes ----------------------------------------------------------------------


def unanswered(service: Service) -> tuple[Any, str]:
    """Return a booking and its unlock, which nobody waited for until its deadline passed."""
    booking = silent_booking(service)
    command_id = unlock(service, booking).body["command_id"]
    service.advance_time(WAIT_S + 1)
    return booking, command_id


def test_a_command_without_a_reply_shows_no_answer_as_soon_as_its_deadline_passes(
    patient_service: Service,
) -> None:
    service = patient_service
    booking, command_id = unanswered(service)
    assert get_command(service, command_id)["status"] == "no_answer"
    assert service.booking(booking)["status"] == "unlocking"
    assert service.poll()["given_up"] == 1
    assert get_command(service, command_id)["status"] == "no_answer"
    service.check_invariants()


@pytest.mark.parametrize("swept", [True, False])
def test_a_late_success_is_applied_once_and_is_late(
    patient_service: Service, *, swept: bool
) -> None:
    service = patient_service
    booking, command_id = unanswered(service)
    held, service.held_messages = service.held_messages, []
    if swept:
        service.lose_commands = True
        service.poll()
        service.lose_commands = False
    service.hold_messages = False
    service.deliver(*held)
    service.deliver(*held)
    found = get_command(service, command_id)
    assert (found["status"], found["late"], found["inferred"]) == ("succeeded", True, False)
    assert service.booking(booking)["status"] == "completed"
    assert service.movement_causes("C-1.A-1")[-1] == "issued"
    response = unlock(service, booking)
    assert (response.status, response.body["late"]) == (200, True)
    service.check_invariants()


def test_asking_again_after_the_deadline_requests_the_state_once_and_opens_nothing(
    patient_service: Service,
) -> None:
    service = patient_service
    booking, command_id = unanswered(service)
    again = [unlock(service, booking) for _ in range(3)]
    assert [(one.status, one.body["status"]) for one in again] == [(202, "no_answer")] * 3
    assert {one.body["command_id"] for one in again} == {command_id}
    assert len(service.queue.commands("unlock")) == 1
    assert len(service.queue.commands("report_state")) == 1
    service.advance_time(WAIT_S + 1)
    unlock(service, booking)
    assert len(service.queue.commands("report_state")) == 2
    service.check_invariants()


def test_a_requested_report_proves_that_nothing_was_opened_and_the_next_unlock_is_new(
    patient_service: Service,
) -> None:
    service = patient_service
    service.add_cabinet(charges=[95])
    booking = service.book()
    service.lose_commands = True
    command_id = unlock(service, booking).body["command_id"]
    service.lose_commands = False
    service.advance_time(WAIT_S + 1)
    response = unlock(service, booking)
    assert (response.status, response.body["status"]) == (200, "completed")
    assert get_command(service, command_id)["status"] == "not_executed"
    assert len(service.queue.commands("unlock")) == 2
    service.check_invariants()


def test_the_wait_covers_the_report_and_the_new_command(patient_service: Service) -> None:
    service = patient_service
    service.add_cabinet(charges=[95])
    booking = service.book()
    arrive = service.queue.arrive
    service.queue.arrive = lambda device, sent: (
        None if sent["kind"] == "unlock" else arrive(device, sent)
    )
    lost = unlock(service, booking).body["command_id"]
    service.advance_time(WAIT_S + 1)
    response = unlock(service, booking, "wait=1")
    assert (response.status, response.body["status"]) == (202, "published")
    assert response.body["command_id"] != lost
    assert get_command(service, lost)["status"] == "not_executed"
    assert len(service.queue.commands("unlock")) == 2


def test_without_evidence_it_becomes_unresolved_after_the_reconcile_window(
    patient_service: Service,
) -> None:
    service = patient_service
    booking, command_id = unanswered(service)
    service.lose_commands = True
    service.poll()
    service.advance_time(601)
    assert service.poll()["unresolved"] == 1
    assert get_command(service, command_id)["status"] == "unresolved"
    assert service.booking(booking)["status"] == "failed"
    service.check_invariants()


def test_a_function_that_dies_before_it_publishes_leaves_a_command_that_times_out(
    patient_service: Service, monkeypatch: pytest.MonkeyPatch
) -> None:
    service = patient_service
    booking = silent_booking(service)

    def die(*_: object) -> None:
        raise SystemExit

    with monkeypatch.context() as patch:
        patch.setattr(dispatch, "publish", die)
        assert unlock(service, booking).status == 502
    [command] = service.get("/v1/commands")["commands"]
    assert (command["status"], command["published_at"]) == ("pending", None)
    service.advance_time(WAIT_S + 1)
    response = unlock(service, booking)
    assert (response.status, response.body["status"]) == (202, "no_answer")
    assert service.queue.commands("unlock") == []
    service.check_invariants()


# --- idempotency keys -------------------------------------------------------------------------


def test_a_key_replays_the_202_with_its_location(patient_service: Service) -> None:
    service = patient_service
    booking = silent_booking(service)
    key = {"Idempotency-Key": "k-1"}
    first = unlock(service, booking, **key)
    service.deliver_held_messages()
    again = unlock(service, booking, **key)
    assert (again.status, again.body) == (202, first.body)
    assert again.headers["Idempotency-Replayed"] == "true"
    assert again.headers["Location"] == first.headers["Location"]
    assert again.headers["Preference-Applied"] == "respond-async"
    assert service.get(again.headers["Location"])["status"] == "succeeded"


def test_a_key_sends_one_command_without_a_booking(patient_service: Service) -> None:
    service = patient_service
    service.add_cabinet()
    service.hold_messages = True
    key = {"Idempotency-Key": "k-1"}
    ids = {report_state(service, **key).body["command_id"] for _ in range(3)}
    assert len(ids) == len(service.queue.commands("report_state")) == 1


def test_after_a_504_the_same_key_may_ask_without_waiting(
    service: Service, monkeypatch: pytest.MonkeyPatch
) -> None:
    booking = silent_booking(service)
    key = {"Idempotency-Key": "k-1"}
    waited = unlock(service, booking, "handling=strict", **key)
    assert waited.status == 504
    change_settings(monkeypatch, UNLOCK_WAIT_SECONDS=str(WAIT_S), COMMAND_TTL_SECONDS=str(WAIT_S))
    response = unlock(service, booking, **key)
    assert (response.status, response.body["command_id"]) == (202, waited.body["command_id"])


def test_a_503_is_not_stored(patient_service: Service) -> None:
    service = patient_service
    service.add_cabinet(charges=[95])
    booking = service.book()
    sent: list[Message] = []

    def fail_once(_device: str | None, message: Message) -> None:
        if not sent:
            sent.append(message)
            raise QueueUnavailable

    service.queue.arrive = fail_once
    key = {"Idempotency-Key": "k-1"}
    assert unlock(service, booking, **key).status == 503
    assert unlock(service, booking, **key).status == 202
