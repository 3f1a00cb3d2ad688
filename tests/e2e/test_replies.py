"""Doubled, overtaken and malformed replies: each effect happens once, no door opens twice."""

import json
from concurrent.futures import ThreadPoolExecutor
from http.client import HTTPConnection
from urllib.parse import urlsplit

from local.stack import API_KEYS
from tests.e2e.unlocking import begin_unlock
from tests.support.local_cloud import Cabinet
from tests.support.waiting import wait_until

MALFORMED = ["", "not JSON", "[1, 2]", "{}", '{"v": 1, "type": "command_result"}', '{"v": 1, "ty']


def test_a_reply_delivered_twice_is_applied_once(cabinet: Cabinet) -> None:
    booking = cabinet.book()
    cabinet.answer("twice")
    assert cabinet.unlock(booking).status == 200
    cabinet.catch_up()
    [held] = cabinet.bag()
    assert cabinet.movement_causes(held).count("issued") == 1
    assert cabinet.anomalies() == []


def test_a_reply_delivered_after_newer_evidence_does_not_undo_it(
    cabinet: Cabinet, threads: ThreadPoolExecutor
) -> None:
    booking = cabinet.book()
    [cell] = booking["cells"]
    unlocking = begin_unlock(threads, cabinet, booking)
    cabinet.take(cell["cell_number"])
    wait_until(lambda: cabinet.cell(cell["cell_number"])["content"] == "empty")
    cabinet.answer("release")
    assert unlocking.result().body["status"] == "completed"
    now = cabinet.cell(cell["cell_number"])
    assert (now["door"], now["content"], now["accumulator_id"]) == ("closed", "empty", None)
    assert cabinet.bag() == [cell["accumulator_id"]]


def test_a_reply_from_before_a_reboot_settles_its_command(
    cabinet: Cabinet, threads: ThreadPoolExecutor
) -> None:
    booking = cabinet.book()
    unlocking = begin_unlock(threads, cabinet, booking)
    cabinet.act("reboot")
    cabinet.answer("release")
    assert unlocking.result().body["status"] == "completed"
    assert cabinet.bag() == [booking["cells"][0]["accumulator_id"]]


def test_an_unlock_takes_effect_even_if_its_caller_disconnects(cabinet: Cabinet) -> None:
    booking = cabinet.book()
    cabinet.answer("held")
    connection = HTTPConnection(urlsplit(cabinet.stack.url).netloc, timeout=20)
    connection.request(
        "POST",
        f"/v1/bookings/{booking['booking_id']}/unlock",
        headers={"Authorization": f"Bearer {API_KEYS['backend']}"},
    )
    wait_until(lambda: cabinet.openings() == 1)
    connection.close()
    cabinet.answer("release")
    wait_until(lambda: cabinet.booking(booking)["status"] == "completed")
    response = cabinet.unlock(booking)
    assert (response.status, response.body["late"]) == (200, False)
    assert cabinet.bag() == [booking["cells"][0]["accumulator_id"]]
    assert cabinet.openings() == 1


def test_simultaneous_callers_get_the_same_response(
    cabinet: Cabinet, threads: ThreadPoolExecutor
) -> None:
    booking = cabinet.book(2)
    first = begin_unlock(threads, cabinet, booking)
    others = [threads.submit(cabinet.unlock, booking) for _ in range(3)]
    cabinet.answer("release")
    responses = [one.result() for one in (first, *others)]
    assert [response.status for response in responses] == [200] * 4
    assert len({json.dumps(response.body, sort_keys=True) for response in responses}) == 1
    assert cabinet.openings() == 2


def test_malformed_messages_are_stored_and_change_nothing(cabinet: Cabinet) -> None:
    path = f"/v1/cabinets/{cabinet.cabinet_id}"
    before = cabinet.stack.backend.get(path)
    for text in MALFORMED:
        cabinet.act("say", text=text)
    wait_until(lambda: len(cabinet.anomalies()) == len(MALFORMED))
    assert set(cabinet.anomalies()) == {"malformed"}
    after = cabinet.stack.backend.get(path)
    assert {**after, "last_seen_at": None} == {**before, "last_seen_at": None}
    assert cabinet.unlock(cabinet.book()).status == 200
