"""Idempotency-Key: a repeated POST has one effect."""

from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest

from tests.support.service import Response, Service, running
from tests.support.waiting import wait_until

BOOKING = {"cabinet_id": "C-1", "contractor_id": "T-1", "kind": "issue", "count": 1}
SWAP = {
    "scooter_id": "S-1",
    "contractor_id": "T-1",
    "installed_accumulator_id": "A-1",
    "removed_accumulator_id": "A-2",
}
LOCK = {"kind": "lock", "cells": [1], "reason": "x"}


def post(
    service: Service, path: str, body: Any = None, *, key: str = "k-1", caller: str = "backend"
) -> Response:
    return service.call("POST", path, body, key=caller, headers={"Idempotency-Key": key})


def book(service: Service, *, key: str = "k-1", caller: str = "backend", **more: Any) -> Response:
    return post(service, "/v1/bookings", BOOKING | more, key=key, caller=caller)


def is_replayed(response: Response) -> bool:
    return response.headers.get("Idempotency-Replayed") == "true"


def bookings(service: Service) -> int:
    return len(service.get("/v1/bookings")["bookings"])


def crash_before_the_response_is_stored(service: Service) -> None:
    """Leave the rows that a function leaves if it dies before it stores the response.

    Its claim on the key has expired.
    """
    service.sql("UPDATE idempotency_keys SET status = NULL, body = NULL")
    service.sql("UPDATE idempotency_keys SET claimed_until = now() - interval '1 second'")


@pytest.fixture
def stocked(database_url: str, monkeypatch: pytest.MonkeyPatch) -> Iterator[Service]:
    """The service with three accumulators at C-1, one with T-1 and one in S-1."""
    with running(database_url, monkeypatch) as service:
        service.add_cabinet(charges=[98, 95, 90])
        service.post("/v1/accumulators", {"accumulator_id": "A-1", "contractor_id": "T-1"})
        service.post("/v1/accumulators", {"accumulator_id": "A-2", "scooter_id": "S-1"})
        yield service


# --- repeated requests ------------------------------------------------------------------------


def test_a_repeated_request_returns_the_stored_response(stocked: Service) -> None:
    first, second = book(stocked), book(stocked)
    assert (first.status, second.status) == (201, 201)
    assert first.body == second.body
    assert (is_replayed(first), is_replayed(second)) == (False, True)
    assert first.headers["X-Request-Id"] != second.headers["X-Request-Id"]
    assert bookings(stocked) == 1
    stocked.check_invariants()


def test_the_stored_response_does_not_change(stocked: Service) -> None:
    first = book(stocked)
    stocked.delete(f"/v1/bookings/{first.body['booking_id']}")
    assert book(stocked).body["status"] == "active"


def test_requests_without_a_key_are_independent(stocked: Service) -> None:
    for _ in range(2):
        assert stocked.call("POST", "/v1/bookings", BOOKING).status == 201
    assert bookings(stocked) == 2


def test_the_header_name_is_case_insensitive(stocked: Service) -> None:
    for name in ("idempotency-key", "IDEMPOTENCY-KEY"):
        response = stocked.call("POST", "/v1/bookings", BOOKING, headers={name: "k-1"})
        assert response.status == 201
    assert bookings(stocked) == 1


def test_a_refusal_is_stored_and_replayed(stocked: Service) -> None:
    first = book(stocked, count=4)
    assert first.status == 409
    stocked.add_cabinet("C-2", charges=[98] * 4)
    again = book(stocked, count=4)
    assert (again.status, again.body, is_replayed(again)) == (409, first.body, True)
    assert again.headers["Content-Type"] == "application/problem+json"


def test_an_invalid_request_does_not_use_up_the_key(stocked: Service) -> None:
    assert book(stocked, count=0).status == 400
    assert book(stocked).status == 201


def test_a_forbidden_request_does_not_use_up_the_key(stocked: Service) -> None:
    assert book(stocked, caller="read").status == 403
    assert stocked.sql("SELECT key FROM idempotency_keys") == []


# --- other requests with the same key ---------------------------------------------------------


def test_a_key_reused_with_another_body_is_422(stocked: Service) -> None:
    book(stocked)
    response = book(stocked, count=2)
    assert (response.status, response.body["code"]) == (422, "idempotency_key_reused")
    assert bookings(stocked) == 1
    stocked.check_invariants()


def test_a_key_reused_with_another_path_of_the_route_is_422(stocked: Service) -> None:
    first, second = stocked.book(1), stocked.book(1)
    assert post(stocked, f"/v1/bookings/{first['booking_id']}/unlock").status == 200
    response = post(stocked, f"/v1/bookings/{second['booking_id']}/unlock")
    assert (response.status, response.body["code"]) == (422, "idempotency_key_reused")
    assert stocked.booking(second)["status"] == "active"


def test_the_same_key_of_another_caller_is_independent(stocked: Service) -> None:
    mine, theirs = book(stocked), book(stocked, caller="operator")
    assert mine.body["booking_id"] != theirs.body["booking_id"]
    assert not is_replayed(theirs)


def test_the_same_key_on_another_route_is_independent(stocked: Service) -> None:
    assert book(stocked).status == 201
    response = post(stocked, "/v1/swaps", SWAP)
    assert (response.status, is_replayed(response)) == (200, False)


def test_a_response_is_stored_for_one_key_of_one_caller_on_one_route(stocked: Service) -> None:
    requests: list[Callable[[], Response]] = [
        lambda: book(stocked),
        lambda: book(stocked, key="k-2"),
        lambda: book(stocked, caller="operator"),
        lambda: post(stocked, "/v1/swaps", SWAP),
    ]
    first = [request() for request in requests]
    again = [request() for request in requests]
    assert [response.body for response in again] == [response.body for response in first]
    assert all(is_replayed(response) for response in again)


def test_a_repeat_of_a_running_request_is_409(stocked: Service) -> None:
    stocked.lose_commands = True
    path = f"/v1/bookings/{stocked.book(1)['booking_id']}/unlock"
    with ThreadPoolExecutor(1) as other:
        first = other.submit(post, stocked, path)
        wait_until(lambda: stocked.queue.published)
        second = post(stocked, path)
        assert (second.status, second.body["code"]) == (409, "request_in_progress")
        assert first.result().status == 504
    assert len(stocked.queue.published) == 1


def test_ten_simultaneous_requests_with_one_key_have_one_effect(stocked: Service) -> None:
    with ThreadPoolExecutor(10) as callers:
        responses = list(callers.map(lambda _: book(stocked), range(10)))
    assert {response.status for response in responses} <= {201, 409}
    assert {a.body["code"] for a in responses if a.status == 409} <= {"request_in_progress"}
    assert len({a.body["booking_id"] for a in responses if a.status == 201}) == 1
    assert bookings(stocked) == 1


def test_a_temporary_error_is_not_stored(stocked: Service) -> None:
    path = f"/v1/bookings/{stocked.book(1)['booking_id']}/unlock"
    stocked.queue.down = True
    assert post(stocked, path).status == 503
    stocked.queue.down = False
    again = post(stocked, path)
    assert (again.status, is_replayed(again)) == (200, False)


def test_an_unexpected_error_is_not_stored(stocked: Service) -> None:
    stocked.sql("ALTER TABLE booking_cells RENAME TO elsewhere")
    assert book(stocked).status == 500
    stocked.sql("ALTER TABLE elsewhere RENAME TO booking_cells")
    again = book(stocked)
    assert (again.status, is_replayed(again)) == (201, False)


def test_an_unanswered_unlock_can_be_repeated_with_its_key(stocked: Service) -> None:
    path = f"/v1/bookings/{stocked.book(1)['booking_id']}/unlock"
    stocked.hold_messages = True
    assert post(stocked, path).status == 504
    stocked.hold_messages = False
    stocked.deliver_held_messages()
    again = post(stocked, path)
    assert (again.status, again.body["late"]) == (200, True)
    assert is_replayed(post(stocked, path))


# --- crashes ----------------------------------------------------------------------------------


def make_booking(service: Service) -> Response:
    return book(service)


def make_swap(service: Service) -> Response:
    return post(service, "/v1/swaps", SWAP)


def make_command(service: Service) -> Response:
    return post(service, "/v1/cabinets/C-1/commands", LOCK, caller="operator")


@pytest.mark.parametrize(
    ("make", "name", "table"),
    [
        (make_booking, "booking_id", "bookings"),
        (make_swap, "swap_id", "movements WHERE cause = 'swapped'"),
        (make_command, "command_id", "commands"),
    ],
    ids=["booking", "swap", "command"],
)
def test_a_repeat_of_a_crashed_request_returns_what_it_had_created(
    stocked: Service, make: Callable[[Service], Response], name: str, table: str
) -> None:
    first = make(stocked)
    before = stocked.sql(f"SELECT * FROM {table}")  # noqa: S608 - a constant
    crash_before_the_response_is_stored(stocked)
    again = make(stocked)
    assert (again.status, is_replayed(again)) == (first.status, False)
    assert again.body[name] == first.body[name]
    assert stocked.sql(f"SELECT * FROM {table}") == before  # noqa: S608 - a constant
    assert len(stocked.queue.published) == (make is make_command)
    assert is_replayed(make(stocked))


def test_a_repeat_of_a_request_that_crashed_before_its_effect_is_executed(stocked: Service) -> None:
    book(stocked)
    crash_before_the_response_is_stored(stocked)
    stocked.sql("DELETE FROM booking_cells")
    stocked.sql("DELETE FROM bookings")
    assert book(stocked).status == 201
    assert bookings(stocked) == 1


def test_another_request_cannot_reuse_the_key_of_a_crashed_one(stocked: Service) -> None:
    book(stocked)
    crash_before_the_response_is_stored(stocked)
    assert book(stocked, count=2).status == 422


def test_ten_simultaneous_repeats_of_a_crashed_request_have_one_effect(stocked: Service) -> None:
    first = book(stocked)
    crash_before_the_response_is_stored(stocked)
    with ThreadPoolExecutor(10) as callers:
        responses = list(callers.map(lambda _: book(stocked), range(10)))
    found = {a.body["booking_id"] for a in responses if a.status == 201}
    assert found == {first.body["booking_id"]}
    assert bookings(stocked) == 1


# --- expiry, and valid keys -------------------------------------------------------------------


def test_a_stored_response_expires_after_a_day(stocked: Service) -> None:
    first = book(stocked)
    stocked.advance_time(24 * 3600 - 60)
    assert book(stocked).body == first.body
    stocked.advance_time(120)
    stocked.report()
    fresh = book(stocked)
    assert (fresh.status, is_replayed(fresh)) == (201, False)
    assert fresh.body["booking_id"] != first.body["booking_id"]


def test_a_key_can_be_used_for_another_request_after_a_day(stocked: Service) -> None:
    book(stocked)
    stocked.advance_time(24 * 3600 + 1)
    stocked.report()
    assert book(stocked, count=2).status == 201


@pytest.mark.parametrize(
    "key", ["", "x" * 129, "two words", "ключ".encode().decode("latin-1"), "tab\there"], ids=repr
)
def test_an_invalid_key_is_refused(stocked: Service, key: str) -> None:
    response = book(stocked, key=key)
    assert response.status == 400
    assert [fault["field"] for fault in response.body["errors"]] == ["Idempotency-Key"]
    assert bookings(stocked) == 0


@pytest.mark.parametrize("key", ["!", "~" * 128, "a:b/c'--"], ids=repr)
def test_a_key_may_contain_any_visible_ascii(stocked: Service, key: str) -> None:
    assert book(stocked, key=key).status == 201
    assert is_replayed(book(stocked, key=key))


@pytest.mark.parametrize(
    ("method", "path", "body"),
    [
        ("GET", "/v1/cabinets", None),
        ("PATCH", "/v1/cabinets/C-1", {"address": "x"}),
        ("DELETE", "/v1/accumulators/A-3", None),
    ],
    ids=["get", "patch", "delete"],
)
def test_methods_other_than_post_ignore_the_key(
    stocked: Service, method: str, path: str, body: Any
) -> None:
    stocked.post("/v1/accumulators", {"accumulator_id": "A-3"})
    for key in ("k-1", "k-1", "not a key"):
        headers = {"Idempotency-Key": key}
        response = stocked.call(method, path, body, key="operator", headers=headers)
        assert response.status in {200, 204}
    assert stocked.sql("SELECT key FROM idempotency_keys") == []
