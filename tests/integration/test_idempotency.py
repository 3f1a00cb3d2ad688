"""Idempotency-Key: a POST that is repeated happens once."""

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest

from tests.service import Answer, Service
from tests.waiting import wait_until

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
) -> Answer:
    return service.call("POST", path, body, key=caller, headers={"Idempotency-Key": key})


def book(service: Service, *, key: str = "k-1", caller: str = "backend", **more: Any) -> Answer:
    return post(service, "/v1/bookings", BOOKING | more, key=key, caller=caller)


def replayed(answer: Answer) -> bool:
    return answer.headers.get("Idempotency-Replayed") == "true"


def bookings(service: Service) -> int:
    return len(service.get("/v1/bookings")["bookings"])


def lose_the_answer(service: Service) -> None:
    """As if the function had died after its work, before it kept the answer; a minute ago."""
    service.sql("UPDATE idempotency_keys SET status = NULL, body = NULL")
    service.sql("UPDATE idempotency_keys SET claimed_until = now() - interval '1 second'")


@pytest.fixture
def stocked(service: Service) -> Service:
    service.add_cabinet(charges=[98, 95, 90])
    first = {"accumulator_id": "A-1", "contractor_id": "T-1"}
    service.post("/v1/accumulators", first)
    service.post("/v1/accumulators", {"accumulator_id": "A-2", "scooter_id": "S-1"})
    return service


# --- the same again ---------------------------------------------------------------------------


def test_the_same_request_again_gets_the_stored_answer(stocked: Service) -> None:
    first, second = book(stocked), book(stocked)
    assert (first.status, second.status) == (201, 201)
    assert first.body == second.body
    assert (replayed(first), replayed(second)) == (False, True)
    assert first.headers["X-Request-Id"] != second.headers["X-Request-Id"]
    assert bookings(stocked) == 1


def test_the_stored_answer_stays_what_it_was(stocked: Service) -> None:
    first = book(stocked)
    stocked.delete(f"/v1/bookings/{first.body['booking_id']}")
    assert book(stocked).body["status"] == "active"


def test_without_a_key_the_same_request_is_another_one(stocked: Service) -> None:
    for _ in range(2):
        assert stocked.call("POST", "/v1/bookings", BOOKING).status == 201
    assert bookings(stocked) == 2


def test_the_header_is_read_in_any_case(stocked: Service) -> None:
    for name in ("idempotency-key", "IDEMPOTENCY-KEY"):
        answer = stocked.call("POST", "/v1/bookings", BOOKING, headers={name: "k-1"})
        assert answer.status == 201
    assert bookings(stocked) == 1


def test_a_refusal_is_an_answer_that_is_kept(stocked: Service) -> None:
    first = book(stocked, count=4)
    assert first.status == 409
    stocked.add_cabinet("C-2", charges=[98] * 4)
    again = book(stocked, count=4)
    assert (again.status, again.body, replayed(again)) == (409, first.body, True)
    assert again.headers["Content-Type"] == "application/problem+json"


def test_a_malformed_request_leaves_the_key_free(stocked: Service) -> None:
    assert book(stocked, count=0).status == 400
    assert book(stocked).status == 201


def test_who_may_not_leaves_the_key_free(stocked: Service) -> None:
    assert book(stocked, caller="read").status == 403
    assert stocked.sql("SELECT key FROM idempotency_keys") == []


# --- another request --------------------------------------------------------------------------


def test_another_body_under_the_same_key_is_a_mistake(stocked: Service) -> None:
    book(stocked)
    answer = book(stocked, count=2)
    assert (answer.status, answer.body["code"]) == (422, "idempotency_key_reused")
    assert bookings(stocked) == 1


def test_another_path_of_the_same_route_is_a_mistake(stocked: Service) -> None:
    first, second = stocked.book(1), stocked.book(1)
    assert post(stocked, f"/v1/bookings/{first['booking_id']}/unlock").status == 200
    answer = post(stocked, f"/v1/bookings/{second['booking_id']}/unlock")
    assert (answer.status, answer.body["code"]) == (422, "idempotency_key_reused")
    assert stocked.booking(second)["status"] == "active"


def test_a_key_is_the_callers_own(stocked: Service) -> None:
    mine, theirs = book(stocked), book(stocked, caller="operator")
    assert mine.body["booking_id"] != theirs.body["booking_id"]
    assert not replayed(theirs)


def test_a_key_is_the_routes_own(stocked: Service) -> None:
    assert book(stocked).status == 201
    answer = post(stocked, "/v1/swaps", SWAP)
    assert (answer.status, replayed(answer)) == (200, False)


# --- at once, and not finished ----------------------------------------------------------------


def test_a_request_that_still_runs_is_not_run_again(stocked: Service) -> None:
    stocked.lose_commands = True
    path = f"/v1/bookings/{stocked.book(1)['booking_id']}/unlock"
    with ThreadPoolExecutor(1) as other:
        first = other.submit(post, stocked, path)
        wait_until(lambda: stocked.queue.published)
        second = post(stocked, path)
        assert (second.status, second.body["code"]) == (409, "request_in_progress")
        assert first.result().status == 504
    assert len(stocked.queue.published) == 1


def test_ten_at_once_are_one(stocked: Service) -> None:
    with ThreadPoolExecutor(10) as callers:
        answers = list(callers.map(lambda _: book(stocked), range(10)))
    assert {answer.status for answer in answers} <= {201, 409}
    assert {a.body["code"] for a in answers if a.status == 409} <= {"request_in_progress"}
    assert len({a.body["booking_id"] for a in answers if a.status == 201}) == 1
    assert bookings(stocked) == 1


def test_an_answer_that_is_not_final_is_not_kept(stocked: Service) -> None:
    path = f"/v1/bookings/{stocked.book(1)['booking_id']}/unlock"
    stocked.queue.down = True
    assert post(stocked, path).status == 503
    stocked.queue.down = False
    again = post(stocked, path)
    assert (again.status, replayed(again)) == (200, False)


def test_an_unlock_without_an_answer_may_be_asked_for_again(stocked: Service) -> None:
    path = f"/v1/bookings/{stocked.book(1)['booking_id']}/unlock"
    stocked.hold_messages = True
    assert post(stocked, path).status == 504
    stocked.hold_messages = False
    stocked.deliver_waiting()
    again = post(stocked, path)
    assert (again.status, again.body["late"]) == (200, True)
    assert replayed(post(stocked, path))


# --- whoever dies -----------------------------------------------------------------------------


def make_booking(service: Service) -> Answer:
    return book(service)


def make_swap(service: Service) -> Answer:
    return post(service, "/v1/swaps", SWAP)


def make_command(service: Service) -> Answer:
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
def test_a_request_that_died_is_taken_over_and_finds_what_it_had_made(
    stocked: Service, make: Callable[[Service], Answer], name: str, table: str
) -> None:
    first = make(stocked)
    before = stocked.sql(f"SELECT * FROM {table}")  # noqa: S608 - a constant
    lose_the_answer(stocked)
    again = make(stocked)
    assert (again.status, replayed(again)) == (first.status, False)
    assert again.body[name] == first.body[name]
    assert stocked.sql(f"SELECT * FROM {table}") == before  # noqa: S608 - a constant
    assert len(stocked.queue.published) == (make is make_command)
    assert replayed(make(stocked))


def test_a_request_that_died_before_it_did_anything_is_simply_run(stocked: Service) -> None:
    book(stocked)
    lose_the_answer(stocked)
    stocked.sql("DELETE FROM booking_cells")
    stocked.sql("DELETE FROM bookings")
    assert book(stocked).status == 201
    assert bookings(stocked) == 1


def test_another_request_does_not_take_over_a_dead_ones_key(stocked: Service) -> None:
    book(stocked)
    lose_the_answer(stocked)
    assert book(stocked, count=2).status == 422


def test_ten_who_take_over_at_once_are_one(stocked: Service) -> None:
    first = book(stocked)
    lose_the_answer(stocked)
    with ThreadPoolExecutor(10) as callers:
        answers = list(callers.map(lambda _: book(stocked), range(10)))
    found = {a.body["booking_id"] for a in answers if a.status == 201}
    assert found == {first.body["booking_id"]}
    assert bookings(stocked) == 1


# --- how long, and which keys -----------------------------------------------------------------


def test_a_key_is_kept_for_a_day(stocked: Service) -> None:
    first = book(stocked)
    stocked.later(24 * 3600 - 60)
    assert book(stocked).body == first.body
    stocked.later(120)
    stocked.report()
    fresh = book(stocked)
    assert (fresh.status, replayed(fresh)) == (201, False)
    assert fresh.body["booking_id"] != first.body["booking_id"]


def test_after_a_day_a_key_is_free_for_another_request(stocked: Service) -> None:
    book(stocked)
    stocked.later(24 * 3600 + 1)
    stocked.report()
    assert book(stocked, count=2).status == 201


@pytest.mark.parametrize(
    "key", ["", "x" * 129, "two words", "ключ".encode().decode("latin-1"), "tab\there"], ids=repr
)
def test_a_key_that_cannot_be_is_refused(stocked: Service, key: str) -> None:
    answer = book(stocked, key=key)
    assert answer.status == 400
    assert [fault["field"] for fault in answer.body["errors"]] == ["Idempotency-Key"]
    assert bookings(stocked) == 0


@pytest.mark.parametrize("key", ["!", "~" * 128, "a:b/c'--"], ids=repr)
def test_any_visible_ascii_is_a_key(stocked: Service, key: str) -> None:
    assert book(stocked, key=key).status == 201
    assert replayed(book(stocked, key=key))


@pytest.mark.parametrize(
    ("method", "path", "body"),
    [
        ("GET", "/v1/cabinets", None),
        ("PATCH", "/v1/cabinets/C-1", {"address": "x"}),
        ("DELETE", "/v1/accumulators/A-3", None),
    ],
    ids=["get", "patch", "delete"],
)
def test_what_is_no_post_ignores_the_key(
    stocked: Service, method: str, path: str, body: Any
) -> None:
    stocked.post("/v1/accumulators", {"accumulator_id": "A-3"})
    for key in ("k-1", "k-1", "not a key"):
        headers = {"Idempotency-Key": key}
        answer = stocked.call(method, path, body, key="operator", headers=headers)
        assert answer.status in {200, 204}
    assert stocked.sql("SELECT key FROM idempotency_keys") == []
