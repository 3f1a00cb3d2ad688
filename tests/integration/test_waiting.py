"""Waiting for a cabinet's answer: the database looks at the command until it is settled."""

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from uuid import UUID, uuid4

import pytest

from shared import config, db
from shared.commands.report_state import ReportState
from shared.repo import commands
from shared.services import dispatch
from tests.service import Service, running
from tests.waiting import wait_until

LONG = 60.0
"""Longer than any of these tests may take, seconds."""


@pytest.fixture
def service(database_url: str, monkeypatch: pytest.MonkeyPatch) -> Iterator[Service]:
    with running(database_url, monkeypatch, UNLOCK_WAIT_SECONDS=str(LONG)) as service:
        yield service


def pending(service: Service) -> UUID:
    """A command that waits for its answer."""
    command_id = uuid4()
    with connected(), db.transaction() as tx:
        row = {"cabinet_id": None, "requested_by": "a test", "command_id": command_id}
        dispatch.insert(tx, ReportState(), config.settings(), **row)
    return command_id


def settle(command_id: UUID) -> None:
    with db.transaction() as tx:
        commands.settle(tx, command_id, status="succeeded", since=dispatch.UNSETTLED)


def wait(command_id: UUID) -> None:
    with connected(), db.statements() as tx:
        commands.wait(tx, command_id)


@contextmanager
def connected() -> Iterator[None]:
    """This thread leaves no connection behind."""
    try:
        yield
    finally:
        db.close()


def is_looking(service: Service) -> bool:
    return bool(
        service.sql(
            "SELECT pid FROM pg_stat_activity WHERE state = 'active' AND query LIKE %(it)s"
            " AND datname = current_database()",
            it="%DO $wait$%",
        )
    )


@pytest.fixture
def patient(monkeypatch: pytest.MonkeyPatch) -> None:
    """A statement would look for LONG."""
    monkeypatch.setattr(commands, "LOOKS", round(LONG / 0.005))


@pytest.mark.usefixtures("patient")
def test_waiting_ends_when_another_transaction_settles_the_command(service: Service) -> None:
    command_id = pending(service)
    with ThreadPoolExecutor() as pool:
        waiting = pool.submit(wait, command_id)
        wait_until(lambda: is_looking(service))
        with connected():
            settle(command_id)

        waiting.result(LONG / 4)


def test_waiting_ends_after_its_time_though_nothing_came(service: Service) -> None:
    command_id = pending(service)

    wait(command_id)

    with connected(), db.statements() as tx:
        assert dispatch.get(tx, command_id)["status"] == "pending"


@pytest.mark.usefixtures("patient")
def test_waiting_for_a_settled_command_ends_at_once(service: Service) -> None:
    command_id = pending(service)
    with connected():
        settle(command_id)

    with ThreadPoolExecutor() as pool:
        pool.submit(wait, command_id).result(LONG / 4)


def test_whoever_waits_for_a_cabinet_has_the_database_look(service: Service) -> None:
    service.add_cabinet(charges=[95])
    booking = service.book()
    service.hold_messages = True
    with ThreadPoolExecutor() as pool:
        unlocking = pool.submit(service.unlock, booking)
        wait_until(lambda: is_looking(service))
        service.hold_messages = False
        service.deliver_waiting()

        assert unlocking.result(LONG / 4).status == 200
