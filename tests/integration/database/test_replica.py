"""A read replica: used where what is read may be a second old, and only while it is no older."""

from collections.abc import Iterator
from typing import Any

import pytest

from local.postgres import Postgres
from shared import replica
from shared.api import Route
from tests.support import database
from tests.support.routes import NEEDED_QUERIES, PROTECTED_ROUTES
from tests.support.service import Service, change_settings, running
from tests.support.standby import Standby
from tests.support.waiting import wait_until

LISTS = [
    route
    for route in PROTECTED_ROUTES.values()
    if route.method == "GET" and route.cost and "{" not in route.path
]
HOUR = 3600.0
"""As the most that a read may be old: the replica is used however far it is behind."""


@pytest.fixture(scope="module")
def standby(postgres: Postgres) -> Iterator[Standby]:
    with database.fast_directory() as directory, Standby(postgres, directory) as server:
        yield server


@pytest.fixture
def url(standby: Standby, database_url: str) -> Iterator[str]:
    """The URL of the test's database on the replica, for the functions."""
    name = database_url.rpartition("/")[2]
    yield database.for_functions(standby.url_of(name))
    replica.close()
    standby.start().resume()


@pytest.fixture
def service(
    standby: Standby, url: str, database_url: str, monkeypatch: pytest.MonkeyPatch
) -> Iterator[Service]:
    with running(database_url, monkeypatch, DATABASE_REPLICA_URL=url) as service:
        catch_up(service, standby)
        yield service


@pytest.fixture
def used(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The statements that the replica has run."""
    statements: list[str] = []
    run = replica._Reads._run_on_replica

    def spy(self: Any, sql: str, params: Any) -> Any:
        cursor = run(self, sql, params)
        if cursor is not None:
            statements.append(sql)
        return cursor

    monkeypatch.setattr(replica._Reads, "_run_on_replica", spy)
    return statements


def catch_up(service: Service, standby: Standby) -> None:
    """Wait until the replica has everything that is written now."""
    end = service.sql("SELECT pg_current_wal_lsn()::text AS it")[0]["it"]
    has_it = f"SELECT pg_last_wal_replay_lsn() >= '{end}'"
    wait_until(lambda: database.query(standby.url_of("postgres"), has_it) == [(True,)])


def catch_up_and_forget(
    service: Service, standby: Standby, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Let the replica catch up, and from now on use it however far it is behind."""
    catch_up(service, standby)
    monkeypatch.setattr(replica, "MAX_AGE_SECONDS", HOUR)
    monkeypatch.setattr(replica, "wait_for_reads", lambda: None)
    monkeypatch.setattr(replica, "_state", replica._State())
    service.get("/v1/accumulators")


def registered(service: Service) -> list[str]:
    return [one["accumulator_id"] for one in service.get("/v1/accumulators")["accumulators"]]


def register(service: Service, accumulator_id: str) -> None:
    service.post("/v1/accumulators", {"accumulator_id": accumulator_id})


def movements(service: Service, cursor: str) -> tuple[list[str], str]:
    """Read a page of the feed; return which accumulators moved, in order, and the next cursor."""
    page = service.get(f"/v1/events?after={cursor}")
    moved = [event for event in page["events"] if event["type"] == "accumulator.moved"]
    return [event["subject"] for event in moved], page["cursor"]


@pytest.mark.parametrize("route", LISTS, ids=lambda route: route.path)
def test_a_list_is_read_from_the_replica_and_is_the_same(
    service: Service,
    standby: Standby,
    used: list[str],
    monkeypatch: pytest.MonkeyPatch,
    route: Route,
) -> None:
    service.add_cabinet(charges=[90, 40])
    service.unlock(service.book())
    query = NEEDED_QUERIES.get(route.operation_id)
    path = f"{route.path}?{query}" if query else route.path
    if route.path == "/v1/events":
        path += f"?after={service.get('/v1/events')['cursor']}"
        register(service, "A-1")
        service.get(path)
    catch_up(service, standby)
    del used[:]
    found: dict[str, Any] = {}

    def is_read_from_the_replica() -> bool:
        found.update(service.get(path))
        return bool(used)

    wait_until(is_read_from_the_replica)
    change_settings(monkeypatch, DATABASE_REPLICA_URL="")
    expected = service.get(path)
    for changes_with_time in ("at", "generated_at"):
        found.pop(changes_with_time, None), expected.pop(changes_with_time, None)
    assert found == expected


def test_a_list_is_never_more_than_a_second_old(
    service: Service, standby: Standby, used: list[str]
) -> None:
    wait_until(lambda: registered(service) == [] and used)
    standby.pause()
    register(service, "A-1")
    wait_until(lambda: registered(service) == ["A-1"])  # of the primary
    del used[:]
    assert (registered(service), used) == (["A-1"], [])
    standby.resume()
    wait_until(lambda: registered(service) == ["A-1"] and used)


def test_lists_that_are_read_after_a_cursor_have_what_is_before_it(
    service: Service, standby: Standby, used: list[str]
) -> None:
    wait_until(lambda: registered(service) == [] and used)
    standby.pause()
    register(service, "A-1")
    cursor = service.get("/v1/events")["cursor"]
    assert registered(service) == ["A-1"]
    assert movements(service, cursor)[0] == []


def test_a_single_resource_is_as_it_is_now(
    service: Service, standby: Standby, monkeypatch: pytest.MonkeyPatch
) -> None:
    service.add_cabinet(charges=[90])
    catch_up_and_forget(service, standby, monkeypatch)
    standby.pause()
    booking = service.book()
    assert service.get("/v1/bookings")["bookings"] == []
    assert service.booking(booking)["status"] == "active"
    assert service.unlock(booking).status == 200
    assert service.booking(booking)["status"] == "completed"


def test_a_cursor_that_the_replica_does_not_know_yet_is_continued(
    service: Service, standby: Standby, monkeypatch: pytest.MonkeyPatch
) -> None:
    catch_up_and_forget(service, standby, monkeypatch)
    standby.pause()
    register(service, "A-1")
    cursor = service.get("/v1/events")["cursor"]
    register(service, "A-2")
    found, cursor = movements(service, cursor)
    assert found == ["A-2"]
    register(service, "A-3")
    standby.resume()
    catch_up(service, standby)
    assert movements(service, cursor)[0] == ["A-3"]


def test_no_event_is_missing_or_repeated_while_the_replica_falls_behind(
    service: Service, standby: Standby
) -> None:
    cursor, found = service.get("/v1/events")["cursor"], list[str]()
    names = [f"A-{number}" for number in range(30)]
    for number, name in enumerate(names):
        if number % 10 == 3:
            standby.pause()
        if number % 10 == 7:
            standby.resume()
        register(service, name)
        more, cursor = movements(service, cursor)
        found += more
    while len(found) < len(names):
        more, cursor = movements(service, cursor)
        found += more
    assert found == names


def test_a_replica_that_is_down_is_done_without(
    service: Service, standby: Standby, used: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    register(service, "A-1")
    standby.stop()
    assert registered(service) == ["A-1"]
    monkeypatch.setattr(replica, "AVOIDED_SECONDS", 0)
    standby.start()
    monkeypatch.setattr(replica, "_state", replica._State())
    wait_until(lambda: registered(service) == ["A-1"] and used)


def test_while_the_primary_is_down_nothing_is_read(
    service: Service, standby: Standby, monkeypatch: pytest.MonkeyPatch
) -> None:
    register(service, "A-1")
    catch_up(service, standby)
    change_settings(monkeypatch, DATABASE_URL="postgresql://functions@127.0.0.1:1/none")
    response = service.call("GET", "/v1/accumulators")
    assert (response.status, response.body["code"]) == (503, "database_unavailable")
