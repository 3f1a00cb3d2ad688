"""Lists of commands over HTTP: order, pages, filters, and commands that time out."""

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from shared.states import COMMAND
from tests.integration.api_calls import all_pages, unlock_without_booking
from tests.support.service import Service, running

ASYNC = {"Prefer": "respond-async"}


def listed(service: Service, query: str = "") -> list[Any]:
    found: list[Any] = service.get(f"/v1/commands{query}")["commands"]
    return found


def send(service: Service, kind: str, cabinet_id: str = "C-1", **more: Any) -> str:
    body = {"kind": kind, "reason": "a test", **more}
    path = f"/v1/cabinets/{cabinet_id}/commands"
    response = service.call("POST", path, body, key="operator", headers=ASYNC)
    return str(response.body["command_id"])


@pytest.fixture
def three(database_url: str, monkeypatch: pytest.MonkeyPatch) -> Any:
    """The service, with an unlock, a lock and a request for a report, at two cabinets."""
    with running(database_url, monkeypatch, UNLOCK_WAIT_SECONDS="60") as service:
        service.add_cabinet("C-1")
        service.add_cabinet("C-2")
        service.lose_commands = True
        unlock = send(service, "unlock", cells=[1])
        service.lose_commands = False
        ids = [unlock, send(service, "lock", cells=[1]), send(service, "report_state", "C-2")]
        yield service, ids


def test_commands_are_listed_newest_first_as_they_are_looked_up(three: Any) -> None:
    service, ids = three
    found = listed(service)
    assert [one["command_id"] for one in found] == ids[::-1]
    assert found == [service.get(f"/v1/commands/{one}") for one in ids[::-1]]


@pytest.mark.parametrize("limit", [1, 2, 3, 200])
@pytest.mark.parametrize("query", [{}, {"status": "succeeded"}, {"kind": "report_state"}])
def test_pages_contain_every_command_once_even_at_the_same_time(
    service: Service, limit: int, query: dict[str, str]
) -> None:
    service.add_cabinet()
    sent = {send(service, "report_state") for _ in range(5)}
    service.sql("UPDATE commands SET created_at = now()")
    found = all_pages(service, "/v1/commands", "commands", limit=limit, **query)
    assert sorted(one["command_id"] for one in found) == sorted(sent)


@pytest.mark.parametrize(
    ("query", "found"),
    [
        ("cabinet_id=C-1", [1, 0]),
        ("cabinet_id=C-9", []),
        ("kind=unlock", [0]),
        ("kind=report_state", [2]),
        ("kind=never_heard_of", []),
        ("status=published", [0]),
        ("status=succeeded", [2, 1]),
        ("status=succeeded&cabinet_id=C-1", [1]),
        ("status=no_answer", []),
        ("booking_id=00000000-0000-4000-8000-000000000000", []),
    ],
)
def test_commands_are_filtered(three: Any, query: str, found: list[int]) -> None:
    service, ids = three
    assert [one["command_id"] for one in listed(service, f"?{query}")] == [ids[n] for n in found]


def test_the_commands_of_a_booking_are_found(service: Service) -> None:
    service.add_cabinet(charges=[95])
    booking = service.book()
    unlock = service.unlock(booking).body["command_id"]
    unlock_without_booking(service, cells=[2])
    found = listed(service, f"?booking_id={booking['booking_id']}")
    assert [one["command_id"] for one in found] == [unlock]


def test_since_excludes_what_was_created_before(three: Any) -> None:
    service, ids = three
    service.advance_time(60)
    new = send(service, "report_state")
    since = (datetime.now(UTC) - timedelta(seconds=30)).isoformat().replace("+00:00", "Z")
    assert [one["command_id"] for one in listed(service, f"?since={since}")] == [new]
    assert len(listed(service, "?since=2020-01-01T00:00:00%2B03:00")) == 1 + len(ids)


@pytest.mark.parametrize(
    "since", ["5", "2026-11-22", "2026-11-22T12:00:00", "2026-11-22T12:00:00+03:00", "yesterday"]
)
def test_since_is_a_time_with_its_zone(service: Service, since: str) -> None:
    response = service.call("GET", f"/v1/commands?since={since}")
    assert response.status == 400
    [fault] = response.body["errors"]
    assert fault["field"] == "since"
    assert "2026-11-22T12:00:00Z" in fault["message"]


def test_the_polls_of_the_service_itself_are_left_out(service: Service) -> None:
    service.add_cabinet()
    service.poll()
    assert listed(service) == []


def test_a_command_whose_deadline_has_passed_has_no_answer_before_that_is_written(
    three: Any,
) -> None:
    service, [unlock, *_] = three
    service.advance_time(61)
    assert service.sql("SELECT status FROM commands WHERE kind = 'unlock'") == [
        {"status": "published"}
    ]
    assert service.get(f"/v1/commands/{unlock}")["status"] == "no_answer"
    assert [one["command_id"] for one in listed(service, "?status=no_answer")] == [unlock]
    assert listed(service, "?status=published") == []
    assert service.get("/v1/stats")["commands"] == {"no_answer": 1, "succeeded": 2}


@pytest.mark.parametrize("status", COMMAND.states)
def test_the_view_times_out_what_the_state_machine_times_out(service: Service, status: str) -> None:
    service.sql(
        "INSERT INTO commands (command_id, kind, payload, requested_by, deadline)"
        " VALUES (gen_random_uuid(), 'x', '{}', 'x', now())"
    )
    service.sql("SET LOCAL tests.state_guard = off; UPDATE commands SET status = %(s)s", s=status)
    [row] = service.sql("SELECT status FROM current_commands")
    timed_out = COMMAND.move("timed_out")
    expected = timed_out["target"] if status in timed_out["sources"] else status
    assert row["status"] == expected
