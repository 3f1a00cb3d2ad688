"""Cursors of the feed: where they lead, and which are refused."""

from contextlib import closing
from typing import Any

import psycopg2
import pytest

from shared import cursor
from shared.repo import events as events_repo
from tests.integration.events.following import Follower
from tests.support.database import without_pooler
from tests.support.service import Response, Service

COPIED = ("event_outbox", "events", "feed")


def make_events(service: Service, count: int) -> None:
    service.sql(
        """INSERT INTO event_outbox (type, subject, cabinet_id, caused_by, resource)
           SELECT 'anomaly.raised', n::text, CASE n %% 2 WHEN 0 THEN 'C-1' END, 'x',
                  jsonb_build_object('anomaly_id', n, 'reason', 'r', 'detail', '', 'device_id',
                                     NULL, 'cabinet_id', NULL, 'accumulator_id', NULL,
                                     'count', 1, 'first_at', now(), 'at', now(), 'open', true,
                                     'acknowledged_by', NULL, 'acknowledged_at', NULL,
                                     'acknowledged_note', NULL)
             FROM generate_series(1, %(count)s) n""",
        count=count,
    )


def ask(service: Service, after: str) -> Response:
    return service.call("GET", f"/v1/events?after={after}", key="read")


def is_expired(response: Response) -> bool:
    return (response.status, response.body.get("code")) == (410, "cursor_expired")


def test_a_first_request_has_no_events_and_a_cursor_for_the_next_ones(service: Service) -> None:
    make_events(service, 3)
    first = service.get("/v1/events")
    assert first["events"] == []
    make_events(service, 2)
    subjects = [e["subject"] for e in service.get(f"/v1/events?after={first['cursor']}")["events"]]
    assert subjects == ["1", "2"]


def test_a_feed_without_any_event_has_a_cursor(service: Service, follower: Follower) -> None:
    assert follower.page() == {"events": [], "cursor": follower.cursor}
    make_events(service, 1)
    assert len(follower.read()) == 1


@pytest.mark.parametrize("limit", [1, 2, 3, 4, 7, 1000])
def test_pages_of_any_size_give_each_event_once(
    service: Service, follower: Follower, limit: int
) -> None:
    make_events(service, 7)
    assert [e["subject"] for e in follower.read(limit=limit)] == [*"1234567"]


@pytest.mark.parametrize("limit", [1, 2, 3, 1000])
def test_a_filter_skips_events_and_moves_the_cursor_past_them(
    service: Service, follower: Follower, limit: int
) -> None:
    make_events(service, 7)
    assert [e["subject"] for e in follower.read(limit=limit, cabinet_id="C-1")] == [*"246"]
    assert follower.page()["events"] == []


def test_a_filter_that_nothing_meets_ends_at_the_end_of_the_feed(
    service: Service, follower: Follower
) -> None:
    make_events(service, 3)
    end = service.get("/v1/events")["cursor"]
    assert follower.page(types="booking.created") == {"events": [], "cursor": end}


def test_a_page_looks_at_a_limited_number_of_events(
    service: Service, follower: Follower, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(events_repo, "MOST_AT_ONCE", 4)
    make_events(service, 10)
    for _ in range(3):
        service.get("/v1/events")  # gives positions to four events
    end = service.get("/v1/events")["cursor"]
    page = follower.page(types="booking.created")
    assert page["events"] == []
    assert page["cursor"] not in {follower.cursor, end}
    assert follower.read(types="booking.created") == []
    assert follower.cursor == end


@pytest.mark.parametrize("most", [1, 700])
def test_a_page_of_large_resources_ends_before_the_limit(
    service: Service, follower: Follower, monkeypatch: pytest.MonkeyPatch, most: int
) -> None:
    make_events(service, 5)
    everything = follower.page()["events"]
    monkeypatch.setattr(events_repo, "MAX_PAGE_BYTES", most)
    assert 1 <= len(follower.page()["events"]) < len(everything)
    assert follower.read() == everything


def test_the_same_cursor_gives_the_same_events_again(service: Service, follower: Follower) -> None:
    make_events(service, 3)
    assert follower.page() == follower.page()


def test_a_reader_does_not_wait_for_another_one_that_gives_positions(
    service: Service, follower: Follower
) -> None:
    with closing(psycopg2.connect(without_pooler(service.url))) as other:
        with other.cursor() as cursor_of_other:
            cursor_of_other.execute("SELECT position FROM feed FOR UPDATE")
        make_events(service, 1)
        assert follower.read() == []
        other.rollback()  # closing alone returns before the server has released the lock
    assert len(follower.read()) == 1


def test_events_of_a_transaction_that_is_open_do_not_delay_others(
    service: Service, follower: Follower
) -> None:
    service.connect("C-1")
    service.connect("C-2")
    follower.read()
    with closing(psycopg2.connect(without_pooler(service.url))) as slow:
        with slow.cursor() as cursor_of_slow:
            cursor_of_slow.execute("UPDATE cabinets SET address = 'x' WHERE cabinet_id = 'C-1'")
            cursor_of_slow.execute("SET CONSTRAINTS ALL IMMEDIATE")  # its event has its number
        service.patch("/v1/cabinets/C-2", {"address": "y"})
        assert [e["subject"] for e in follower.read()] == ["C-2"]
        slow.commit()
    assert [e["subject"] for e in follower.read()] == ["C-1"]


def test_a_movement_between_cabinets_is_an_event_of_both(
    service: Service, follower: Follower
) -> None:
    service.add_cabinet("C-1", charges=[98])
    service.add_cabinet("C-2")
    follower.read()
    body = {"place": {"cabinet_id": "C-2", "cell_number": 1}, "reason": "carried over"}
    service.patch("/v1/accumulators/C-1.A-1", body)
    for cabinet_id in ("C-1", "C-2"):
        moved = follower.page(cabinet_id=cabinet_id, types="accumulator.moved")["events"]
        assert [e["subject"] for e in moved] == ["C-1.A-1"]


def test_unknown_types_are_listed_with_those_that_there_are(service: Service) -> None:
    response = service.call("GET", "/v1/events?types=booking.made,cell.changed")
    [fault] = response.body["errors"]
    assert (response.status, fault["field"]) == (400, "types")
    assert "'booking.made'" in fault["message"]
    assert "booking.created" in fault["message"]


@pytest.mark.parametrize(
    "damaged",
    ["x", "W10", "WzEsIDJd", cursor.encode(-1, "x"), cursor.encode(2**63, "x"), "%D0%B0"],
)
def test_a_damaged_cursor_is_refused_by_name(service: Service, damaged: str) -> None:
    response = ask(service, damaged)
    assert response.status == 400
    assert [fault["field"] for fault in response.body["errors"]] == ["after"]


def test_a_cursor_of_a_list_is_refused(service: Service) -> None:
    for number in range(2):
        service.connect(f"C-{number}")
    foreign = service.get("/v1/cabinets?limit=1")["next_cursor"]
    assert ask(service, foreign).status == 400


@pytest.mark.parametrize("position", [0, 1, 3, 4, 2**62])
def test_a_cursor_of_another_feed_has_expired(service: Service, position: int) -> None:
    make_events(service, 3)
    foreign = cursor.encode(position, "00000000-0000-4000-8000-000000000000")
    assert is_expired(ask(service, foreign))


def test_a_cursor_older_than_what_is_kept_has_expired(service: Service, follower: Follower) -> None:
    make_events(service, 3)
    start, second = follower.cursor, follower.page(limit=2)["cursor"]
    service.sql("UPDATE events SET at = now() - interval '31 days' WHERE position < 3")
    assert service.poll()["events_removed"] == 2
    assert is_expired(ask(service, start))
    assert is_expired(ask(service, second))


def test_a_cursor_at_the_end_does_not_expire_however_long_nothing_happens(
    service: Service, follower: Follower
) -> None:
    make_events(service, 3)
    follower.read()
    service.sql("UPDATE events SET at = now() - interval '31 days'")
    assert service.poll()["events_removed"] == 2
    make_events(service, 1)
    assert len(follower.read()) == 1


def test_only_a_beginning_of_the_feed_is_removed(service: Service, follower: Follower) -> None:
    make_events(service, 4)
    follower.page()
    service.sql("UPDATE events SET at = now() - interval '31 days' WHERE position IN (1, 3)")
    assert service.poll()["events_removed"] == 1
    assert service.sql("SELECT array_agg(position ORDER BY position) AS left FROM events") == [
        {"left": [2, 3, 4]}
    ]


def test_events_are_removed_in_batches(
    service: Service, follower: Follower, monkeypatch: pytest.MonkeyPatch
) -> None:
    make_events(service, 9)
    follower.page()
    monkeypatch.setattr("shared.services.retention.EVENTS_REMOVED_AT_ONCE", 3)
    service.sql("UPDATE events SET at = now() - interval '31 days'")
    assert service.poll()["events_removed"] == 8


@pytest.mark.parametrize("made_since", [0, 1, 2, 5])
def test_a_cursor_from_after_the_moment_of_a_restored_backup_has_expired(
    service: Service, follower: Follower, made_since: int
) -> None:
    make_events(service, 3)
    before = follower.page()["cursor"]
    backup(service)
    make_events(service, 2)
    after = service.get("/v1/events")["cursor"]
    restore(service)
    make_events(service, made_since)
    assert is_expired(ask(service, after))
    again = ask(service, before)
    assert [e["subject"] for e in again.body["events"]] == [*"12345"[:made_since]]


def test_an_event_id_is_not_used_again_after_a_restored_backup(
    service: Service, follower: Follower
) -> None:
    backup(service)
    make_events(service, 3)
    lost = {e["event_id"] for e in follower.page()["events"]}
    restore(service)
    make_events(service, 3)
    assert lost.isdisjoint(e["event_id"] for e in follower.page()["events"])


def backup(service: Service) -> None:
    for table in COPIED:
        service.sql(f"CREATE TABLE saved_{table} AS TABLE {table}")
    service.sql("CREATE TABLE saved_number AS SELECT last_value FROM event_outbox_number_seq")


def restore(service: Service) -> None:
    for table in COPIED:
        columns: list[Any] = service.sql(
            "SELECT string_agg(quote_ident(attname), ', ' ORDER BY attnum) AS names"
            "  FROM pg_attribute WHERE attrelid = %(table)s::regclass AND attnum > 0",
            table=table,
        )
        names = columns[0]["names"]
        service.sql(
            f"TRUNCATE {table}; INSERT INTO {table} ({names}) OVERRIDING SYSTEM VALUE"  # noqa: S608 - names are ours
            f" SELECT {names} FROM saved_{table}"
        )
    service.sql("SELECT setval('event_outbox_number_seq', (SELECT last_value FROM saved_number))")
