"""Unlocks without waiting, through the whole local cloud: also with a silent cabinet."""

from typing import Any

from local.api import Response
from tests.support.local_cloud import Cabinet
from tests.support.waiting import wait_until


def unlock(cabinet: Cabinet, booking: Any, prefer: str = "respond-async") -> Response:
    path = f"/v1/bookings/{booking['booking_id']}/unlock"
    return cabinet.stack.backend.call("POST", path, Prefer=prefer)


def wait_for_status(cabinet: Cabinet, response: Response, status: str) -> Any:
    """Read the command at the response's Location until it has a status; return it."""
    location = response.headers["Location"]
    found: list[Any] = []

    def is_reached() -> bool:
        found.append(cabinet.stack.backend.get(location))
        return bool(found[-1]["status"] == status)

    wait_until(is_reached)
    return found[-1]


def test_the_outcome_of_an_unlock_is_read_from_its_location(cabinet: Cabinet) -> None:
    booking = cabinet.book(2)
    cabinet.answer("held")
    response = unlock(cabinet, booking)
    assert (response.status, response.body["status"]) == (202, "published")
    assert response.headers["Preference-Applied"] == "respond-async"
    wait_until(lambda: cabinet.openings() == 2)
    cabinet.answer("release")
    command = wait_for_status(cabinet, response, "succeeded")
    assert [cell["result"] for cell in command["cells"]] == ["opened", "opened"]
    assert not command["late"]
    assert cabinet.booking(booking)["status"] == "completed"
    assert cabinet.bag() == sorted(cell["accumulator_id"] for cell in booking["cells"])


def test_a_late_answer_of_a_silent_cabinet_is_applied_once(cabinet: Cabinet) -> None:
    booking = cabinet.book()
    cabinet.answer("held")
    response = unlock(cabinet, booking)
    silent = wait_for_status(cabinet, response, "no_answer")
    assert silent["finished_at"] is None
    again = unlock(cabinet, booking)
    assert (again.status, again.body["command_id"]) == (202, silent["command_id"])
    assert cabinet.booking(booking)["status"] == "unlocking"
    cabinet.answer("release")
    wait_until(lambda: cabinet.booking(booking)["status"] == "completed")
    command = cabinet.command(silent["command_id"])
    assert (command["status"], command["late"]) == ("succeeded", True)
    settled = unlock(cabinet, booking)
    assert (settled.status, settled.body["command_id"]) == (200, silent["command_id"])
    assert cabinet.openings() == 1


def test_a_caller_waits_as_long_as_it_prefers(cabinet: Cabinet) -> None:
    booking = cabinet.book()
    cabinet.answer("held")
    response = unlock(cabinet, booking, "wait=1")
    assert (response.status, response.body["status"]) == (202, "published")
    cabinet.answer("release")
    wait_for_status(cabinet, response, "succeeded")
