"""Whatever becomes of a cabinet's replies: effects happen once, and no door opens twice."""

import json
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from http.client import HTTPConnection
from typing import Any
from urllib.parse import urlsplit

import pytest

from local.api import Answer
from local.stack import API_KEYS
from tests.e2e.running import Cabinet
from tests.waiting import wait_until

NONSENSE = ["", "not JSON", "[1, 2]", "{}", '{"v": 1, "type": "command_result"}', '{"v": 1, "ty']


@pytest.fixture
def threads() -> Iterator[ThreadPoolExecutor]:
    with ThreadPoolExecutor(4) as threads:
        yield threads


def begin(threads: ThreadPoolExecutor, cabinet: Cabinet, booking: Any) -> Future[Answer]:
    """An unlock whose doors are open already, and whose reply is still held back."""
    cabinet.answer("held")
    answer = threads.submit(cabinet.unlock, booking)
    wait_until(lambda: cabinet.openings() == booking["requested"])
    return answer


def test_a_reply_after_the_504_is_applied(cabinet: Cabinet) -> None:
    booking = cabinet.book(2)
    cabinet.answer("held")
    refused = cabinet.unlock(booking)
    assert (refused.status, refused.body["code"]) == (504, "cabinet_no_answer")
    assert cabinet.booking(booking)["status"] == "unlocking"
    cabinet.answer("release")
    wait_until(lambda: cabinet.booking(booking)["status"] == "completed")
    told = cabinet.unlock(booking)
    assert told.status == 200
    assert (told.body["command_id"], told.body["late"]) == (refused.body["command_id"], True)
    held = sorted(cell["accumulator_id"] for cell in booking["cells"])
    assert cabinet.bag() == held
    assert [cabinet.causes(one)[-2:] for one in held] == [["reported", "issued"]] * 2
    assert cabinet.openings() == 2


def test_a_reply_that_comes_twice_is_applied_once(cabinet: Cabinet) -> None:
    booking = cabinet.book()
    cabinet.answer("twice")
    assert cabinet.unlock(booking).status == 200
    cabinet.catch_up()
    [held] = cabinet.bag()
    assert cabinet.causes(held).count("issued") == 1
    assert cabinet.anomalies() == []


def test_a_reply_that_newer_evidence_has_overtaken_does_not_undo_it(
    cabinet: Cabinet, threads: ThreadPoolExecutor
) -> None:
    booking = cabinet.book()
    [cell] = booking["cells"]
    unlocking = begin(threads, cabinet, booking)
    cabinet.take(cell["cell_number"])
    wait_until(lambda: cabinet.cell(cell["cell_number"])["content"] == "empty")
    cabinet.answer("release")
    assert unlocking.result().body["status"] == "completed"
    now = cabinet.cell(cell["cell_number"])
    assert (now["door"], now["content"], now["accumulator_id"]) == ("closed", "empty", None)
    assert cabinet.bag() == [cell["accumulator_id"]]


@pytest.mark.parametrize(
    ("how", "anomalies"),
    [("never", []), ("corrupt", ["malformed"]), ("foreign", ["unknown_command"])],
)
def test_an_unlock_whose_reply_is_lost_is_told_from_what_the_cells_show(
    cabinet: Cabinet, how: str, anomalies: list[str]
) -> None:
    booking = cabinet.book()
    cabinet.answer(how)
    refused = cabinet.unlock(booking)
    assert refused.status == 504
    assert cabinet.booking(booking)["status"] == "unlocking"
    cabinet.answer("normal")
    told = cabinet.unlock(booking)
    assert told.status == 200
    assert told.body["command_id"] == refused.body["command_id"]
    assert cabinet.command(refused.body["command_id"])["inferred"]
    assert cabinet.bag() == [booking["cells"][0]["accumulator_id"]]
    assert cabinet.openings() == 1
    assert cabinet.anomalies() == anomalies


def test_a_cabinet_that_was_deaf_proves_it_and_is_asked_anew(cabinet: Cabinet) -> None:
    booking = cabinet.book()
    cabinet.answer("deaf")
    first = cabinet.unlock(booking)
    again = cabinet.unlock(booking)
    assert (first.status, again.status) == (504, 504)
    assert first.body["command_id"] == again.body["command_id"]
    cabinet.answer("normal")
    told = cabinet.unlock(booking)
    assert told.body["status"] == "completed"
    assert cabinet.command(first.body["command_id"])["status"] == "not_executed"
    assert cabinet.openings() == 1


def test_a_reply_from_before_a_reboot_still_settles_its_command(
    cabinet: Cabinet, threads: ThreadPoolExecutor
) -> None:
    booking = cabinet.book()
    unlocking = begin(threads, cabinet, booking)
    cabinet.act("reboot")
    cabinet.answer("release")
    assert unlocking.result().body["status"] == "completed"
    assert cabinet.bag() == [booking["cells"][0]["accumulator_id"]]


def test_a_reboot_that_loses_the_reply_opens_nothing_twice(
    cabinet: Cabinet, threads: ThreadPoolExecutor
) -> None:
    booking = cabinet.book()
    cabinet.answer("never")
    unlocking = threads.submit(cabinet.unlock, booking)
    wait_until(lambda: cabinet.openings() == 1)
    cabinet.act("reboot")
    cabinet.answer("normal")
    assert unlocking.result().status == 504
    assert cabinet.unlock(booking).body["status"] == "completed"
    assert cabinet.openings() == 1


def test_a_reply_that_waits_for_the_network_arrives_when_it_is_back(
    cabinet: Cabinet, threads: ThreadPoolExecutor
) -> None:
    booking = cabinet.book()
    unlocking = begin(threads, cabinet, booking)
    cabinet.act("offline")
    cabinet.answer("release")
    assert unlocking.result().status == 504
    cabinet.act("online")
    wait_until(lambda: cabinet.booking(booking)["status"] == "completed")
    assert cabinet.unlock(booking).body["late"]


def test_a_command_that_the_network_lost_is_sent_anew(cabinet: Cabinet) -> None:
    booking = cabinet.book()
    cabinet.act("offline")
    assert cabinet.unlock(booking).status == 504
    cabinet.act("online")
    assert cabinet.unlock(booking).body["status"] == "completed"
    assert cabinet.openings() == 1


def test_an_unlock_whose_caller_has_hung_up_takes_effect(cabinet: Cabinet) -> None:
    booking = cabinet.book()
    cabinet.answer("held")
    connection = HTTPConnection(urlsplit(cabinet.stack.url).netloc, timeout=5)
    connection.request(
        "POST",
        f"/v1/bookings/{booking['booking_id']}/unlock",
        headers={"Authorization": f"Bearer {API_KEYS['backend']}"},
    )
    wait_until(lambda: cabinet.openings() == 1)
    connection.close()
    cabinet.answer("release")
    wait_until(lambda: cabinet.booking(booking)["status"] == "completed")
    told = cabinet.unlock(booking)
    assert (told.status, told.body["late"]) == (200, False)
    assert cabinet.bag() == [booking["cells"][0]["accumulator_id"]]
    assert cabinet.openings() == 1


def test_callers_at_once_get_the_same_answer(cabinet: Cabinet, threads: ThreadPoolExecutor) -> None:
    booking = cabinet.book(2)
    first = begin(threads, cabinet, booking)
    others = [threads.submit(cabinet.unlock, booking) for _ in range(3)]
    cabinet.answer("release")
    answers = [one.result() for one in (first, *others)]
    assert [answer.status for answer in answers] == [200] * 4
    assert len({json.dumps(answer.body, sort_keys=True) for answer in answers}) == 1
    assert cabinet.openings() == 2


def test_nonsense_is_kept_and_changes_nothing(cabinet: Cabinet) -> None:
    path = f"/v1/cabinets/{cabinet.cabinet_id}"
    before = cabinet.stack.backend.get(path)
    for text in NONSENSE:
        cabinet.act("say", text=text)
    wait_until(lambda: len(cabinet.anomalies()) == len(NONSENSE))
    assert set(cabinet.anomalies()) == {"malformed"}
    after = cabinet.stack.backend.get(path)
    assert {**after, "last_seen_at": None} == {**before, "last_seen_at": None}
    assert cabinet.unlock(cabinet.book()).status == 200
