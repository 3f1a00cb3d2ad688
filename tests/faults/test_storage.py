"""A database that cannot write, because its disk is full or it is read-only, loses nothing.

Needs root to mount the file system of the full disk; skipped otherwise.
"""

from collections.abc import Iterator
from contextlib import contextmanager, suppress
from itertools import count
from secrets import token_hex
from typing import Any

import psycopg2
import pytest

from local.postgres import DATABASE
from tests.faults.small_disk import SmallDisk, moved_to_small_disk
from tests.support.database import fast_directory
from tests.support.local_cloud import Cabinet, LocalCloud, check_invariants, starting
from tests.support.waiting import wait_until

pytestmark = [pytest.mark.slow, pytest.mark.timeout(180)]
OPTIONS = ("--cabinets", "6", "--cells", "6")


@pytest.fixture(scope="module")
def on_small_disk() -> Iterator[tuple[LocalCloud, SmallDisk]]:
    """A local cloud whose database is on a small disk."""
    with fast_directory() as directory:
        with starting(directory, *OPTIONS) as stack:
            stack.wait_ready()
            assert stack.stop() == 0
        with (
            moved_to_small_disk(directory / "data" / "postgres" / "data") as disk,
            starting(directory, *OPTIONS) as stack,
        ):
            stack.wait_ready()
            yield stack, disk
            assert stack.stop() == 0


@contextmanager
def full(disk: SmallDisk) -> Iterator[None]:
    disk.fill()
    try:
        yield
    finally:
        disk.free()


_numbers = count(1)


def register_until_refused(stack: LocalCloud) -> tuple[str, Any]:
    """Register accumulators until one is refused; return its id and the response."""
    for number in _numbers:
        accumulator_id = f"NEW-{number}"
        body = {"accumulator_id": accumulator_id}
        response = stack.operator.call("POST", "/v1/accumulators", body)
        if response.status != 201:
            return accumulator_id, response
    raise AssertionError


def assert_refused(response: Any) -> None:
    assert (response.status, response.body["code"]) == (503, "database_unavailable")
    assert int(response.headers["Retry-After"]) > 0


def send_large(cabinet: Cabinet) -> None:
    """Send a large malformed message, which must be stored and which no later report repeats."""
    cabinet.act("say", text=token_hex(100_000))


def is_large_stored(cabinet: Cabinet) -> bool:
    return cabinet.anomalies() == ["malformed"]


def database_errors(stack: LocalCloud) -> list[str]:
    """Return the database errors in the log."""
    return [line["error"] for line in stack.log if line["message"] == "database unavailable"]


def failed_batches(stack: LocalCloud) -> int:
    """Return how often the bridge could not deliver a batch."""
    return sum(line["message"].startswith("invocation failed") for line in stack.log)


def assert_works(cabinet: Cabinet) -> None:
    wait_until(lambda: cabinet.send("report_state").status == 200, seconds=30)
    assert cabinet.unlock(cabinet.book()).body["status"] == "completed"
    check_invariants(cabinet.stack)


def test_writes_are_refused_while_the_disk_is_full(
    on_small_disk: tuple[LocalCloud, SmallDisk],
) -> None:
    stack, disk = on_small_disk
    cabinet = stack.cabinet()
    with full(disk):
        refused, response = register_until_refused(stack)
        assert_refused(response)
        send_large(cabinet)
        before = failed_batches(stack)
        wait_until(lambda: failed_batches(stack) > before)
        assert stack.operator.call("GET", f"/v1/accumulators/{refused}").status == 404
        assert not is_large_stored(cabinet)
        assert any("No space left on device" in text for text in database_errors(stack))
    wait_until(lambda: is_large_stored(cabinet), seconds=30)
    assert (
        stack.operator.call("POST", "/v1/accumulators", {"accumulator_id": refused}).status == 201
    )
    assert_works(cabinet)


def test_a_server_that_cannot_write_its_log_is_restarted_when_there_is_space(
    on_small_disk: tuple[LocalCloud, SmallDisk],
) -> None:
    stack, disk = on_small_disk
    cabinet = stack.cabinet()
    booking = cabinet.book()
    with full(disk):
        with suppress(psycopg2.OperationalError):
            for _ in range(5):  # the next files of its log may exist already
                stack.sql("SELECT pg_switch_wal()")
                stack.sql("SELECT txid_current()")
        wait_until(
            lambda: any(line["message"].startswith("server cannot start") for line in stack.log),
            seconds=30,
        )
        assert_refused(stack.backend.call("POST", f"/v1/bookings/{booking['booking_id']}/unlock"))
        send_large(cabinet)
    wait_until(lambda: stack.backend.call("GET", "/v1/health/ready").status == 200, seconds=30)
    assert cabinet.booking(booking) == booking
    wait_until(lambda: is_large_stored(cabinet), seconds=30)
    assert_works(cabinet)


def test_writes_are_refused_and_messages_wait_while_the_database_is_read_only(
    on_small_disk: tuple[LocalCloud, SmallDisk],
) -> None:
    stack, _ = on_small_disk
    cabinet = stack.cabinet()
    booking = cabinet.book()
    change = f"ALTER DATABASE {DATABASE} SET default_transaction_read_only = "
    disconnect = (
        "SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
        " WHERE datname = current_database() AND pid <> pg_backend_pid()"
    )
    stack.sql(change + "on")
    stack.sql(disconnect)
    assert_refused(cabinet.unlock(booking))
    assert cabinet.booking(booking) == booking
    assert cabinet.openings() == 0
    send_large(cabinet)
    wait_until(lambda: any("read-only" in text for text in database_errors(stack)))
    assert not is_large_stored(cabinet)
    stack.sql("SET TRANSACTION READ WRITE; " + change + "off")
    stack.sql(disconnect)
    wait_until(lambda: is_large_stored(cabinet), seconds=30)
    assert cabinet.unlock(booking).status == 200
    assert_works(cabinet)
