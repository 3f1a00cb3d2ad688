"""A database whose disk is full, or that takes nothing: clear refusals, nothing lost or half done.

NEEDS root for the full disk, which is a file system of its own; skipped otherwise.
"""

from collections.abc import Iterator
from contextlib import contextmanager, suppress
from itertools import count
from secrets import token_hex
from typing import Any

import psycopg2
import pytest

from tests.database import fast_directory
from tests.e2e.conftest import assert_sound
from tests.e2e.running import Cabinet, Running, starting
from tests.faults.small_disk import SmallDisk, moved_to_small_disk
from tests.waiting import wait_until

pytestmark = pytest.mark.timeout(180)
OPTIONS = ("--cabinets", "6", "--cells", "6")


@pytest.fixture(scope="module")
def cramped() -> Iterator[tuple[Running, SmallDisk]]:
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


def register_until_refused(stack: Running) -> tuple[str, Any]:
    """Write until it fails; the id that was refused, and the answer."""
    for number in _numbers:
        accumulator_id = f"NEW-{number}"
        body = {"accumulator_id": accumulator_id}
        answer = stack.operator.call("POST", "/v1/accumulators", body)
        if answer.status != 201:
            return accumulator_id, answer
    raise AssertionError


def assert_refused(answer: Any) -> None:
    assert (answer.status, answer.body["code"]) == (503, "database_unavailable")
    assert int(answer.headers["Retry-After"]) > 0


def say_much(cabinet: Cabinet) -> None:
    """Say what has to be kept, takes room, and is repeated by no later report."""
    cabinet.act("say", text=token_hex(100_000))


def said_much(cabinet: Cabinet) -> bool:
    return cabinet.anomalies() == ["malformed"]


def failures(stack: Running) -> list[str]:
    """What the log says of the database."""
    return [line["error"] for line in stack.log if line["message"] == "database unavailable"]


def failed_batches(stack: Running) -> int:
    """How often the bridge has handed messages over in vain."""
    return sum(line["message"].startswith("the function failed") for line in stack.log)


def assert_works(cabinet: Cabinet) -> None:
    wait_until(lambda: cabinet.send("report_state").status == 200, seconds=30)
    assert cabinet.unlock(cabinet.book()).body["status"] == "completed"
    assert_sound(cabinet.stack)


def test_a_full_disk_refuses_what_is_to_be_written_until_there_is_room(
    cramped: tuple[Running, SmallDisk],
) -> None:
    stack, disk = cramped
    cabinet = stack.cabinet()
    with full(disk):
        refused, answer = register_until_refused(stack)
        assert_refused(answer)
        say_much(cabinet)
        before = failed_batches(stack)
        wait_until(lambda: failed_batches(stack) > before)
        assert stack.operator.call("GET", f"/v1/accumulators/{refused}").status == 404
        assert not said_much(cabinet)
        assert any("No space left on device" in text for text in failures(stack))
    wait_until(lambda: said_much(cabinet), seconds=30)
    assert (
        stack.operator.call("POST", "/v1/accumulators", {"accumulator_id": refused}).status == 201
    )
    assert_works(cabinet)


def test_a_server_that_cannot_write_its_log_dies_and_is_back_when_there_is_room(
    cramped: tuple[Running, SmallDisk],
) -> None:
    stack, disk = cramped
    cabinet = stack.cabinet()
    booking = cabinet.book()
    with full(disk):
        with suppress(psycopg2.OperationalError):
            for _ in range(5):  # the next files of its log may be there already
                stack.sql("SELECT pg_switch_wal()")
                stack.sql("SELECT txid_current()")
        wait_until(
            lambda: any(line["message"].startswith("a server cannot start") for line in stack.log),
            seconds=30,
        )
        assert_refused(stack.backend.call("POST", f"/v1/bookings/{booking['booking_id']}/unlock"))
        say_much(cabinet)
    wait_until(lambda: stack.backend.call("GET", "/v1/health").status == 200, seconds=30)
    assert cabinet.booking(booking) == booking
    wait_until(lambda: said_much(cabinet), seconds=30)
    assert_works(cabinet)


def test_a_database_that_became_read_only_refuses_writing_and_keeps_the_messages_waiting(
    cramped: tuple[Running, SmallDisk],
) -> None:
    stack, _ = cramped
    cabinet = stack.cabinet()
    booking = cabinet.book()
    change = "ALTER ROLE postgres SET default_transaction_read_only = "
    cut = (
        "SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
        " WHERE datname = current_database() AND pid <> pg_backend_pid()"
    )
    stack.sql(change + "on")
    stack.sql(cut)
    assert_refused(cabinet.unlock(booking))
    assert cabinet.booking(booking) == booking
    assert cabinet.openings() == 0
    say_much(cabinet)
    wait_until(lambda: any("read-only" in text for text in failures(stack)))
    assert not said_much(cabinet)
    stack.sql("SET TRANSACTION READ WRITE; " + change + "off")
    stack.sql(cut)
    wait_until(lambda: said_much(cabinet), seconds=30)
    assert cabinet.unlock(booking).status == 200
    assert_works(cabinet)
