"""The wait for a cabinet's reply: one statement that polls the command until it is settled."""

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from uuid import UUID, uuid4

import pytest

from shared import db
from shared.commands.report_state import ReportState
from shared.repo import commands
from shared.services import dispatch
from tests.integration.unlock.waiting_callers import SECONDS, waiting_callers
from tests.support.service import Service, sender
from tests.support.waiting import wait_until


def insert_pending_command() -> UUID:
    """Insert a command that has no outcome yet; return its id."""
    command_id = uuid4()
    with connected(), db.transaction() as tx:
        dispatch.insert(tx, ReportState(), sender(), cabinet_id=None, command_id=command_id)
    return command_id


def settle(command_id: UUID) -> None:
    with db.transaction() as tx:
        commands.finish(tx, command_id, "all_done")


def wait(command_id: UUID) -> None:
    with connected(), db.statements() as tx:
        commands.wait(tx, command_id)


@contextmanager
def connected() -> Iterator[None]:
    """Close this thread's connection at the end."""
    try:
        yield
    finally:
        db.close()


@pytest.fixture
def long_wait(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let the statement poll longer than a test may take."""
    monkeypatch.setattr(commands, "POLLS", round(2 * SECONDS / 0.005))


@pytest.mark.usefixtures("long_wait")
def test_the_wait_ends_when_another_transaction_settles_the_command(
    patient_service: Service,
) -> None:
    command_id = insert_pending_command()
    with ThreadPoolExecutor() as pool:
        waiting = pool.submit(wait, command_id)
        wait_until(lambda: waiting_callers(patient_service) == 1, seconds=SECONDS)
        with connected():
            settle(command_id)

        waiting.result(SECONDS / 2)


@pytest.mark.usefixtures("patient_service")
def test_the_wait_ends_at_its_time_limit_without_a_reply(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(commands, "POLLS", 20)
    command_id = insert_pending_command()

    wait(command_id)

    with connected(), db.statements() as tx:
        assert dispatch.get(tx, command_id)["status"] == "pending"


@pytest.mark.usefixtures("long_wait", "patient_service")
def test_the_wait_for_a_settled_command_ends_at_once() -> None:
    command_id = insert_pending_command()
    with connected():
        settle(command_id)

    with ThreadPoolExecutor() as pool:
        pool.submit(wait, command_id).result(SECONDS / 2)


def test_an_unlock_waits_for_its_reply_inside_the_database(patient_service: Service) -> None:
    service = patient_service
    service.add_cabinet(charges=[95])
    booking = service.book()
    service.hold_messages = True
    with ThreadPoolExecutor() as pool:
        unlocking = pool.submit(service.unlock, booking)
        wait_until(lambda: waiting_callers(service) == 1, seconds=SECONDS)
        service.hold_messages = False
        service.deliver_held_messages()

        assert unlocking.result(SECONDS / 2).status == 200
