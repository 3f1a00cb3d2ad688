"""The wait for a cabinet's reply: woken by the bridge, with looks at the command's row between."""

import time
from concurrent.futures import ThreadPoolExecutor
from uuid import UUID, uuid4

import pytest

from shared import db
from shared.commands.report_state import ReportState
from shared.db import Row
from shared.repo import commands
from shared.services import dispatch
from tests.integration.unlock.waiting_callers import SECONDS, connected, idle_in_database
from tests.support.service import Service, sender
from tests.support.waiting import wait_until


def insert_pending_command() -> UUID:
    """Insert a command that has no outcome yet; return its id."""
    command_id = uuid4()
    with connected(), db.transaction() as tx:
        dispatch.insert(tx, ReportState(), sender(), cabinet_id=None, command_id=command_id)
    return command_id


def settle(command_id: UUID) -> None:
    with connected(), db.transaction() as tx:
        commands.finish(tx, command_id, "all_done")


def wait(command_id: UUID, service: Service, max_wait_s: int | None = None) -> Row:
    with connected():
        by = sender()._replace(publisher=service.queue, max_wait_s=max_wait_s)
        return dispatch.wait(command_id, by)


@pytest.fixture
def no_looks(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let only a wake-up end a wait within a test's time."""
    monkeypatch.setattr(dispatch, "FIRST_PAUSE_SECONDS", 2 * SECONDS)


@pytest.mark.usefixtures("no_looks")
def test_a_wakeup_ends_the_wait(patient_service: Service) -> None:
    command_id = insert_pending_command()
    with ThreadPoolExecutor() as pool:
        waiting = pool.submit(wait, command_id, patient_service)
        wait_until(lambda: patient_service.queue.waiting == 1, seconds=SECONDS)
        settle(command_id)
        patient_service.queue.announce([str(command_id)])

        assert waiting.result(SECONDS / 2)["status"] == "succeeded"


def test_a_lost_wakeup_costs_at_most_a_second(
    patient_service: Service, monkeypatch: pytest.MonkeyPatch
) -> None:
    pauses: list[float] = []
    monkeypatch.setattr(patient_service.queue, "on_wait", pauses.append)
    command_id = insert_pending_command()
    with ThreadPoolExecutor() as pool:
        waiting = pool.submit(wait, command_id, patient_service)
        wait_until(lambda: len(pauses) == 3, seconds=SECONDS)
        settle(command_id)

        assert waiting.result(SECONDS / 2)["status"] == "succeeded"
    assert pauses[:3] == [0.5, 1.0, 1.0]


def test_a_look_without_a_wakeup_reads_no_more_than_the_status(
    patient_service: Service, monkeypatch: pytest.MonkeyPatch
) -> None:
    reads: list[UUID] = []
    read = commands.get

    def counted(tx: db.Tx, command_id: UUID) -> Row | None:
        reads.append(command_id)
        return read(tx, command_id)

    monkeypatch.setattr(commands, "get", counted)
    command_id = insert_pending_command()
    with ThreadPoolExecutor() as pool:
        waiting = pool.submit(wait, command_id, patient_service)
        wait_until(lambda: patient_service.queue.waits == 3, seconds=SECONDS)
        assert reads == [command_id]
        settle(command_id)

        assert waiting.result(SECONDS / 2)["status"] == "succeeded"
    assert reads == [command_id] * 2


@pytest.mark.usefixtures("no_looks")
def test_a_wakeup_for_nothing_does_not_end_the_wait(patient_service: Service) -> None:
    command_id = insert_pending_command()
    with ThreadPoolExecutor() as pool:
        waiting = pool.submit(wait, command_id, patient_service)
        wait_until(lambda: patient_service.queue.waiting == 1, seconds=SECONDS)
        patient_service.queue.announce([str(command_id)])
        wait_until(lambda: patient_service.queue.waits >= 2, seconds=SECONDS)
        assert not waiting.done()
        settle(command_id)
        patient_service.queue.announce([str(command_id)])

        assert waiting.result(SECONDS / 2)["status"] == "succeeded"


def test_the_wait_ends_at_the_callers_time_limit(patient_service: Service) -> None:
    command_id = insert_pending_command()
    began = time.monotonic()

    assert wait(command_id, patient_service, max_wait_s=1)["status"] == "pending"
    assert time.monotonic() - began >= 1


@pytest.mark.usefixtures("no_looks")
def test_the_wait_for_a_settled_command_ends_at_once(patient_service: Service) -> None:
    command_id = insert_pending_command()
    settle(command_id)

    with ThreadPoolExecutor() as pool:
        found = pool.submit(wait, command_id, patient_service).result(SECONDS / 2)
    assert (found["status"], patient_service.queue.waits) == ("succeeded", 0)


def test_an_unlock_that_waits_occupies_no_connection(patient_service: Service) -> None:
    service = patient_service
    service.add_cabinet(charges=[95])
    booking = service.book()
    service.hold_messages = True
    with ThreadPoolExecutor() as pool:
        unlocking = pool.submit(service.unlock, booking)
        wait_until(lambda: service.queue.waiting == 1, seconds=SECONDS)
        assert idle_in_database(service)
        service.hold_messages = False
        service.deliver_held_messages()

        assert unlocking.result(SECONDS / 2).status == 200
