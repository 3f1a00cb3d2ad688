"""The local function pool invokes handlers as Cloud Functions does."""

import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from typing import Any
from uuid import UUID

import pytest

from local.functions import (
    Context,
    FunctionFailed,
    FunctionPool,
    FunctionThrottled,
    FunctionTimedOut,
    Handler,
)
from local.quota import Quota
from tests.support.waiting import wait_until

Pools = Callable[..., FunctionPool]


@pytest.fixture
def make_pool() -> Iterator[Pools]:
    pools: list[FunctionPool] = []

    def make(token: dict[str, Any] | None = None, **handlers: Handler) -> FunctionPool:
        pools.append(FunctionPool(handlers, token=token))
        return pools[-1]

    yield make
    for pool in pools:
        pool.close()


def thread_id(event: Any, context: Context) -> int:
    return threading.get_ident()


def instances(name: str) -> list[threading.Thread]:
    return [t for t in threading.enumerate() if t.name == f"function {name}"]


def test_a_result_is_returned(make_pool: Pools) -> None:
    pool = make_pool(double=lambda event, _: {"twice": event["n"] * 2})
    assert pool.invoke("double", {"n": 4}, timeout=30) == {"twice": 8}


def test_event_and_result_pass_through_json(make_pool: Pools) -> None:
    seen = []

    def handler(event: Any, context: Context) -> Any:
        seen.append(event)
        return {1: (2, 3)}

    result = make_pool(f=handler).invoke("f", {"cells": (1, 2)}, timeout=30)
    assert seen == [{"cells": [1, 2]}]
    assert result == {"1": [2, 3]}


@pytest.mark.parametrize("value", [object(), {1, 2}, float("nan")])
def test_a_result_that_is_not_json_fails_the_invocation(make_pool: Pools, value: Any) -> None:
    with pytest.raises(FunctionFailed, match="JSON"):
        make_pool(f=lambda *_: value).invoke("f", {}, timeout=30)


def test_the_context_has_exactly_the_documented_attributes(make_pool: Pools) -> None:
    pool = make_pool(f=lambda _, context: vars(context))
    assert set(pool.invoke("f", {}, timeout=30)) == {
        "aws_request_id",
        "deadline_ms",
        "function_name",
        "function_version",
        "invoked_function_arn",
        "log_group_name",
        "log_stream_name",
        "memory_limit_in_mb",
        "request_id",
        "token",
    }


def test_the_context_names_the_function_and_a_new_request_each_time(make_pool: Pools) -> None:
    pool = make_pool(f=lambda _, context: vars(context))
    first, second = (pool.invoke("f", {}, timeout=30) for _ in range(2))
    assert first["function_name"] == first["invoked_function_arn"] == "f"
    assert first["aws_request_id"] == first["request_id"] == str(UUID(first["request_id"]))
    assert first["request_id"] != second["request_id"]


def test_the_context_reports_the_remaining_time(make_pool: Pools) -> None:
    pool = make_pool(f=lambda _, context: context.get_remaining_time_in_millis())
    assert 25_000 < pool.invoke("f", {}, timeout=30) <= 30_000


def test_a_token_is_given_only_when_configured(make_pool: Pools) -> None:
    token = {"access_token": "t", "expires_in": 1, "token_type": "Bearer"}

    def handler(event: Any, context: Context) -> Any:
        return context.token

    assert make_pool(f=handler).invoke("f", {}, timeout=30) is None
    assert make_pool(token, f=handler).invoke("f", {}, timeout=30) == token


def test_one_instance_serves_consecutive_requests(make_pool: Pools) -> None:
    pool = make_pool(f=thread_id)
    assert len({pool.invoke("f", {}, timeout=30) for _ in range(5)}) == 1


def test_concurrent_requests_get_separate_instances(make_pool: Pools) -> None:
    all_started = threading.Barrier(4)

    def handler(event: Any, context: Context) -> int:
        all_started.wait(30)
        return threading.get_ident()

    pool = make_pool(f=handler)
    with ThreadPoolExecutor(4) as callers:
        idents = list(callers.map(lambda n: pool.invoke("f", n, timeout=30), range(4)))
    assert len(set(idents)) == 4


def test_the_instance_that_became_idle_last_is_used_first(make_pool: Pools) -> None:
    release = {"early": threading.Event(), "late": threading.Event()}
    started = threading.Barrier(3)

    def handler(event: str, context: Context) -> int:
        if event in release:
            started.wait(30)
            release[event].wait(30)
        return threading.get_ident()

    pool = make_pool(f=handler)
    with ThreadPoolExecutor(2) as callers:
        early = callers.submit(pool.invoke, "f", "early", timeout=30)
        late = callers.submit(pool.invoke, "f", "late", timeout=30)
        started.wait(30)
        release["early"].set()
        early.result(30)
        release["late"].set()
        late.result(30)
        assert pool.invoke("f", "next", timeout=30) == late.result(30)


def test_two_functions_never_share_an_instance(make_pool: Pools) -> None:
    pool = make_pool(a=thread_id, b=thread_id)
    assert pool.invoke("a", {}, timeout=30) != pool.invoke("b", {}, timeout=30)


def test_an_exception_is_reported_as_the_platform_does(make_pool: Pools) -> None:
    def explode(event: Any, context: Context) -> None:
        raise LookupError("no such cell")

    with pytest.raises(FunctionFailed) as caught:
        make_pool(f=explode).invoke("f", {}, timeout=30)
    report = caught.value.report()
    assert report["errorType"] == "LookupError"
    assert report["errorMessage"] == "no such cell"
    assert len(report["stackTrace"]) == 1
    assert "explode" in report["stackTrace"][0]


@pytest.mark.parametrize("error", [SystemExit(1), TimeoutError("the broker")])
def test_every_exception_of_a_handler_fails_the_invocation(
    make_pool: Pools, error: BaseException
) -> None:
    def explode(event: Any, context: Context) -> None:
        raise error

    with pytest.raises(FunctionFailed) as caught:
        make_pool(f=explode).invoke("f", {}, timeout=30)
    assert caught.value.error_type == type(error).__name__


def test_an_instance_is_reused_after_an_exception(make_pool: Pools) -> None:
    def handler(event: int, context: Context) -> int:
        return threading.get_ident() // event

    pool = make_pool(f=handler)
    before = pool.invoke("f", 1, timeout=30)
    with pytest.raises(FunctionFailed):
        pool.invoke("f", 0, timeout=30)
    assert pool.invoke("f", 1, timeout=30) == before


def test_an_unknown_function_fails_the_invocation() -> None:
    pool = FunctionPool()
    with pytest.raises(FunctionFailed, match=r"functions\.no_such_function"):
        pool.invoke("no_such_function", {}, timeout=30)
    pool.close()


def test_an_instance_that_timed_out_is_not_reused(make_pool: Pools) -> None:
    release = threading.Event()

    def handler(event: str, context: Context) -> int:
        if event == "hang":
            release.wait(30)
        return threading.get_ident()

    pool = make_pool(hanging=handler)
    before = pool.invoke("hanging", "", timeout=30)
    with pytest.raises(FunctionTimedOut, match=r"hanging did not return within 0\.05 s"):
        pool.invoke("hanging", "hang", timeout=0.05)
    assert pool.invoke("hanging", "", timeout=30) != before
    release.set()
    wait_until(lambda: len(instances("hanging")) == 1)  # it ends when its handler returns


def test_an_event_that_is_not_json_starts_no_instance(make_pool: Pools) -> None:
    pool = make_pool(untouched=thread_id)
    with pytest.raises(TypeError, match="JSON"):
        pool.invoke("untouched", object(), timeout=30)
    assert instances("untouched") == []


def test_close_ends_idle_instances(make_pool: Pools) -> None:
    pool = make_pool(closing=thread_id)
    pool.invoke("closing", {}, timeout=30)
    assert len(instances("closing")) == 1
    pool.close()
    assert instances("closing") == []


def test_a_busy_instance_ends_after_its_request_when_the_pool_is_closed(make_pool: Pools) -> None:
    started, release = threading.Event(), threading.Event()

    def handler(event: Any, context: Context) -> str:
        started.set()
        release.wait(30)
        return "done"

    pool = make_pool(busy=handler)
    with ThreadPoolExecutor(1) as callers:
        result = callers.submit(pool.invoke, "busy", {}, timeout=30)
        started.wait(30)
        pool.close()
        release.set()
        assert result.result(30) == "done"
    wait_until(lambda: instances("busy") == [])


def test_a_closed_pool_refuses_invocations(make_pool: Pools) -> None:
    pool = make_pool(f=thread_id)
    pool.close()
    with pytest.raises(RuntimeError, match="closed"):
        pool.invoke("f", {}, timeout=30)


# --- The quota of a zone ----------------------------------------------------------------------


class Slow:
    """A handler whose calls return only after the test."""

    def __init__(self) -> None:
        self.release = threading.Event()
        self.started: list[Any] = []

    def __call__(self, event: Any, _context: Context) -> None:
        self.started.append(event)
        self.release.wait(30)


@pytest.fixture
def slow() -> Iterator[Slow]:
    handler = Slow()
    yield handler
    handler.release.set()


def flood(pool: FunctionPool, slow: Slow, calls: int) -> int:
    """Start calls of `cabinets`, which is slow; return how many were refused."""
    refused = []

    def call() -> None:
        try:
            pool.invoke("cabinets", {}, timeout=30)
        except FunctionThrottled as error:
            refused.append(error)

    for _ in range(calls):
        threading.Thread(target=call, daemon=True).start()
    wait_until(lambda: len(slow.started) + len(refused) == calls)
    return len(refused)


def test_without_limits_slow_reads_take_all_calls_of_a_zone(slow: Slow) -> None:
    handlers: dict[str, Handler] = {"cabinets": slow, "unlock": lambda *_: "opened"}
    with closing(FunctionPool(handlers, quota=Quota(10, {}))) as pool:
        assert flood(pool, slow, 12) == 2
        with pytest.raises(FunctionThrottled):
            pool.invoke("unlock", {}, timeout=30)


def test_with_the_deployed_limits_slow_reads_leave_unlocks_their_share(slow: Slow) -> None:
    handlers: dict[str, Handler] = {"cabinets": slow, "unlock": lambda *_: "opened"}
    with closing(FunctionPool(handlers, quota=Quota.deployed(10))) as pool:
        assert flood(pool, slow, 12) == 8
        assert pool.invoke("unlock", {}, timeout=30) == "opened"


def test_a_call_that_ends_makes_room_for_another() -> None:
    with closing(FunctionPool({"f": lambda *_: 1}, quota=Quota(1, {}))) as pool:
        assert [pool.invoke("f", {}, timeout=30) for _ in range(3)] == [1, 1, 1]


def test_with_fifty_calls_all_other_functions_together_leave_unlocks_their_whole_share() -> None:
    limits = dict(Quota.deployed(50).limits)
    del limits["migrate"]  # it runs in a deployment only
    assert limits["unlock"] == 20
    assert sum(limits.values()) <= 50
