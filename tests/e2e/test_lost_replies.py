"""Late and lost replies: each effect happens once, no door opens twice."""

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import pytest

from tests.e2e.unlocking import begin_unlock, retry_unlock
from tests.support.local_cloud import Cabinet, LocalCloud, running
from tests.support.waiting import wait_until


@pytest.fixture(scope="module")
def stack() -> Iterator[LocalCloud]:
    """A local cloud whose callers get 504 early; on a busy machine also before a reply."""
    settings = {"OFFLINE_AFTER_SECONDS": "7200", "UNLOCK_WAIT_SECONDS": "1.5"}
    with running("--cabinets", "12", "--poll-seconds", "3600", settings=settings) as stack:
        yield stack


def test_a_reply_after_the_504_is_applied(cabinet: Cabinet) -> None:
    booking = cabinet.book(2)
    cabinet.answer("held")
    refused = cabinet.unlock(booking)
    assert (refused.status, refused.body["code"]) == (504, "cabinet_no_answer")
    assert cabinet.booking(booking)["status"] == "unlocking"
    cabinet.answer("release")
    wait_until(lambda: cabinet.booking(booking)["status"] == "completed")
    settled = cabinet.unlock(booking)
    assert settled.status == 200
    assert (settled.body["command_id"], settled.body["late"]) == (refused.body["command_id"], True)
    held = sorted(cell["accumulator_id"] for cell in booking["cells"])
    assert cabinet.bag() == held
    assert [cabinet.movement_causes(one)[-2:] for one in held] == [["reported", "issued"]] * 2
    assert cabinet.openings() == 2


@pytest.mark.parametrize(
    ("how", "anomalies"),
    [("never", []), ("corrupt", ["malformed"]), ("foreign", ["unknown_command"])],
)
def test_an_unlock_whose_reply_is_lost_is_settled_by_the_state_of_its_cells(
    cabinet: Cabinet, how: str, anomalies: list[str]
) -> None:
    booking = cabinet.book()
    cabinet.answer(how)
    refused = cabinet.unlock(booking)
    assert refused.status == 504
    assert cabinet.booking(booking)["status"] == "unlocking"
    cabinet.answer("normal")
    response = retry_unlock(cabinet, booking)
    assert response.status == 200
    assert response.body["command_id"] == refused.body["command_id"]
    assert cabinet.command(refused.body["command_id"])["inferred"]
    assert cabinet.bag() == [booking["cells"][0]["accumulator_id"]]
    assert cabinet.openings() == 1
    assert cabinet.anomalies() == anomalies


def test_a_command_that_the_cabinet_ignored_is_proved_unexecuted_and_sent_again(
    cabinet: Cabinet,
) -> None:
    booking = cabinet.book()
    cabinet.answer("deaf")
    first = cabinet.unlock(booking)
    again = cabinet.unlock(booking)
    assert (first.status, again.status) == (504, 504)
    assert first.body["command_id"] == again.body["command_id"]
    cabinet.answer("normal")
    response = retry_unlock(cabinet, booking)
    assert response.body["status"] == "completed"
    assert cabinet.command(first.body["command_id"])["status"] == "not_executed"
    assert cabinet.openings() == 1


def test_no_door_opens_twice_if_a_reboot_loses_the_reply(
    cabinet: Cabinet, threads: ThreadPoolExecutor
) -> None:
    booking = cabinet.book()
    cabinet.answer("never")
    unlocking = threads.submit(cabinet.unlock, booking)
    wait_until(lambda: cabinet.openings() == 1)
    cabinet.act("reboot")
    cabinet.answer("normal")
    assert unlocking.result().status == 504
    assert retry_unlock(cabinet, booking).body["status"] == "completed"
    assert cabinet.openings() == 1


def test_a_reply_delayed_by_the_network_is_applied_when_it_arrives(
    cabinet: Cabinet, threads: ThreadPoolExecutor
) -> None:
    booking = cabinet.book()
    unlocking = begin_unlock(threads, cabinet, booking)
    cabinet.act("offline")
    cabinet.answer("release")
    assert unlocking.result().status == 504
    cabinet.act("online")
    wait_until(lambda: cabinet.booking(booking)["status"] == "completed")
    assert cabinet.unlock(booking).body["late"]


def test_a_command_lost_by_the_network_is_sent_again_on_retry(cabinet: Cabinet) -> None:
    booking = cabinet.book()
    cabinet.act("offline")
    assert cabinet.unlock(booking).status == 504
    cabinet.act("online")
    assert retry_unlock(cabinet, booking).body["status"] == "completed"
    assert cabinet.openings() == 1
