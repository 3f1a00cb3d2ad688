"""Floods, over HTTP: what they get, and that technicians can unlock meanwhile.

Each attack succeeds against a local cloud without limits, and fails against one with them.
"""

import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing, contextmanager
from functools import partial

import psycopg2
import pytest

from local.openapi_limits import CEILINGS
from tests.e2e.floods import Flood, flooding, unlock_seconds
from tests.support.local_cloud import LocalCloud, running
from tests.support.waiting import wait_until

pytestmark = pytest.mark.slow

SETTINGS = {
    "OFFLINE_AFTER_SECONDS": "7200",
    "RATE_LIMIT_PER_SECOND": "100",
    "RATE_LIMIT_BURST": "100",
}
OPTIONS = ("--cabinets", "60", "--poll-seconds", "3600")
SLACK = 5
"""How many more requests than a limit may pass: threads and clocks are not exact."""


@pytest.fixture(scope="module")
def limited() -> Iterator[LocalCloud]:
    with running(*OPTIONS, settings=SETTINGS) as stack:
        yield stack


@pytest.fixture(scope="module")
def unlimited() -> Iterator[LocalCloud]:
    with running(*OPTIONS, "--no-rate-limits", settings=SETTINGS) as stack:
        yield stack


def attack(stack: LocalCloud, path: str, key: str | None) -> tuple[Flood, float]:
    """Flood a path while technicians unlock; return what it got, and the time of an unlock."""
    with flooding(stack, path, key) as flood:
        wait_until(lambda: flood.statuses.total() > 20)
        seconds = unlock_seconds(stack)
    return flood, seconds


def functions_called(stack: LocalCloud, text: str) -> int:
    return sum(line["message"] == text for line in stack.log)


ATTACKS = pytest.mark.parametrize(
    ("path", "key", "status", "per_second"),
    [
        pytest.param("/v1/health", None, 200, CEILINGS["health"], id="health, no key"),
        pytest.param("/v1/stats", "wrong", 403, CEILINGS["reports"], id="wrong keys"),
        pytest.param("/v1/stats", "local-read", 200, 100 / 50, id="stats of one key"),
        pytest.param("/v1/overview", "local-read", 200, 100 / 5, id="overview of one key"),
    ],
)
"""`status`: of a request that is not refused; `per_second`: its limit, and as many at once."""


@ATTACKS
def test_a_flood_gets_what_its_limit_allows_and_unlocks_are_answered(
    limited: LocalCloud, path: str, key: str | None, status: int, per_second: float
) -> None:
    quiet = unlock_seconds(limited)
    flood, seconds = attack(limited, path, key)
    assert flood.statuses[status] <= allowed(flood.seconds, per_second)
    assert set(flood.statuses) == {status, 429}
    assert flood.without_retry_after == 0
    # It waits for the process of the local gateway; the cloud's gateway has many.
    assert seconds < 10 * quiet + 0.5


@ATTACKS
def test_without_limits_the_same_flood_gets_everything(
    unlimited: LocalCloud, path: str, key: str | None, status: int, per_second: float
) -> None:
    started = time.monotonic()
    with flooding(unlimited, path, key) as flood:
        wait_until(lambda: flood.statuses[status] > allowed(time.monotonic() - started, per_second))
    assert set(flood.statuses) == {status}


def allowed(seconds: float, per_second: float) -> float:
    """Return how many requests of a flood may pass."""
    return per_second * (seconds + 1) + SLACK


def test_an_allowance_is_of_one_key_only(limited: LocalCloud) -> None:
    with flooding(limited, "/v1/stats", "local-read") as flood:
        wait_until(lambda: flood.statuses[429] > 10)
        assert limited.api("read").call("GET", "/v1/stats").status == 429
        # The path's ceiling, which is for all keys, may refuse some of these.
        wait_until(lambda: limited.backend.call("GET", "/v1/stats").status == 200)


def test_wrong_keys_beyond_the_ceiling_of_a_path_cost_no_call_of_the_authorizer(
    limited: LocalCloud,
) -> None:
    before = functions_called(limited, "unknown API key")
    with flooding(limited, "/v1/stats", "wrong") as flood:
        wait_until(lambda: flood.statuses[429] > 50)
    called = functions_called(limited, "unknown API key") - before
    assert called == flood.statuses[403]
    assert called < flood.statuses.total()


# --- The quota of a zone ----------------------------------------------------------------------


@contextmanager
def slow_reads(stack: LocalCloud, count: int) -> Iterator[None]:
    """Let so many requests of one key wait in the database."""
    with (
        closing(psycopg2.connect(stack.addresses["database_url"])) as connection,
        ThreadPoolExecutor(count) as threads,
    ):
        connection.cursor().execute("LOCK TABLE stock_samples IN ACCESS EXCLUSIVE MODE")
        try:
            for number in range(1, count + 1):
                threads.submit(stack.api("read").call, "GET", "/v1/history")
                wait_until(partial(is_waiting, stack, number))
            yield
        finally:
            connection.rollback()


def is_waiting(stack: LocalCloud, count: int) -> bool:
    """Whether so many statements wait for a lock."""
    [row] = stack.sql("SELECT count(*) AS n FROM pg_stat_activity WHERE wait_event_type = 'Lock'")
    return bool(row["n"] == count)


def test_slow_reads_leave_unlocks_their_share_of_the_quota() -> None:
    options = (*OPTIONS, "--no-rate-limits", "--zone-concurrency", "10")
    with running(*options, settings=SETTINGS) as stack:
        cabinet = stack.cabinet()
        booking = cabinet.book()
        with slow_reads(stack, 4):
            for _ in range(8):
                assert stack.api("read").call("GET", "/v1/history").status == 429
            assert cabinet.unlock(booking).status == 200
            assert is_waiting(stack, 4)
