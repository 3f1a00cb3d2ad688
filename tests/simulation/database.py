"""The real PostgreSQL as simulated functions reach it: virtual time, cut connections, turns.

The database's now() is the simulation's: a function of that name before PostgreSQL's own in the
search path, found by the migrations, too. It reads a setting that every transaction brings along.
A lock that another, stopped call holds cannot be waited for: the statement is tried again later.
"""

from collections.abc import Iterator
from contextlib import closing, contextmanager
from typing import Any

import psycopg2
import psycopg2.extensions
import psycopg2.extras
import pytest
from psycopg2 import errors

from functions.migrate.main import handler as migrate
from local.postgres import Postgres
from shared import config, db
from tests.cloud import Context
from tests.simulation.calls import Call, Fault, Point, current
from tests.simulation.clock import BEGINNING, Clock

_TABLES = """cabinets, boots, cells, accumulators, movements, bookings, booking_cells, commands,
    anomalies, idempotency_keys"""
_NOW = """
    CREATE FUNCTION public.now() RETURNS timestamptz LANGUAGE sql STABLE
        AS $$ SELECT current_setting('sim.now')::timestamptz $$"""
_PATIENCE = "SET LOCAL lock_timeout = '1ms'"


class Database:
    """One database for all runs, emptied before each; `clock` is the present run's."""

    def __init__(self, url: str) -> None:
        self.url = url
        self.clock = Clock()
        self.links: list[Link] = []
        self.ended = 0  # transactions so far: after each, who was blocked may try again
        self.up = True
        self.changed = True  # whether anything was committed since this was last set to False
        self._plans: dict[str, str] = {}
        self._eyes = _connect(url)
        self._eyes.cursor().execute("SET lock_timeout = 0")
        self._cursor = self._eyes.cursor(cursor_factory=psycopg2.extras.RealDictCursor)

    def reset(self, clock: Clock) -> None:
        """Begin a run: nothing is known, and time is this clock's."""
        self.clock, self.up = clock, True
        self._cursor.execute(f"TRUNCATE {_TABLES} RESTART IDENTITY")

    def query(self, sql: str, **values: Any) -> list[dict[str, Any]]:
        """What the simulator looks up, as committed, at the present moment."""
        if not values:
            sql = f"EXECUTE {self._prepared(sql)}"
        self._cursor.execute(f"SET sim.now = '{self.clock.now().isoformat()}'; {sql}", values)
        return [dict(row) for row in self._cursor.fetchall()] if self._cursor.description else []

    def answers(self, questions: dict[str, str]) -> dict[str, list[dict[str, Any]]]:
        """Several questions at once, for the sake of speed: their rows, with JSON's types."""
        rows = "(SELECT coalesce(json_agg(t), '[]') FROM ({}) t)"
        sql = f"SELECT json_build_array({', '.join(map(rows.format, questions.values()))}) AS all"
        [row] = self.query(sql)
        return dict(zip(questions, row["all"], strict=True))

    def _prepared(self, sql: str) -> str:
        """Planned once: the same questions are asked after every step."""
        if sql not in self._plans:
            self._plans[sql] = f"plan_{len(self._plans)}"
            self._cursor.execute(f"PREPARE {self._plans[sql]} AS {sql}")
        return self._plans[sql]

    def connect(self) -> "Link":
        """For shared.db: an idle connection, or another one."""
        db.close()
        if not self.up:
            current().suffered = Fault("cut", "begin", 0)
            raise psycopg2.OperationalError("simulation: the server is starting up")
        idle = [link for link in self.links if link.call is None]
        link = idle[0] if idle else Link(self)
        link.call, link.closed = current(), False
        db._instance.connection, db._instance.url = link, config.settings().database_url
        return link

    def crash(self, *, recovers: bool) -> int:
        """The server ends in the middle of everything; how many transactions are undone."""
        self.up = recovers
        undone = sum(link.is_open for link in self.links)
        for link in self.links:
            link.close_transaction()
            link.broken = link.call is not None
        return undone

    def give_back(self, call: Call) -> None:
        """A call has ended: its connection is another's."""
        for link in self.links:
            if link.call is call:
                link.close()

    def others_in_transaction(self, link: "Link") -> list["Link"]:
        """Transactions that stopped calls have left open."""
        return [other for other in self.links if other is not link and other.is_open]

    def close(self) -> None:
        """Close everything."""
        for link in self.links:
            link.real.close()
        self._eyes.close()


class Link:
    """A connection: as much of psycopg2's as shared.db uses."""

    def __init__(self, database: Database) -> None:
        self.database = database
        self.real = _connect(database.url)
        self.call: Call | None = None
        self.closed = False
        self.is_open = False
        self.broken = False
        self.blocked_at = -1
        database.links.append(self)

    def cursor(self) -> "Cursor":
        """As psycopg2's."""
        return Cursor(self)

    def close(self) -> None:
        """To be used by another call."""
        self.close_transaction()
        self.call, self.broken = None, False

    def close_transaction(self) -> None:
        """What was begun is rolled back, as by the server."""
        if self.is_open:
            self.end("ROLLBACK")

    def end(self, statement: str) -> None:
        """Really commit or roll back."""
        self.is_open = False
        with self.real.cursor() as cursor:
            cursor.execute(statement)
        self.database.ended += 1
        self.database.changed |= statement == "COMMIT"

    def cut(self) -> None:
        """Lose the connection."""
        self.close_transaction()
        self.closed = True
        raise psycopg2.OperationalError("simulation: the connection was cut")

    def check(self) -> None:
        """Raise if the server has ended since the connection was made."""
        if self.broken:
            self.closed = True
            current().suffered = Fault("cut", "statement", 0)
            raise psycopg2.OperationalError("simulation: the server has ended the connection")


class Cursor:
    """A cursor that stops, fails and waits as the call's course wants it."""

    def __init__(self, link: Link) -> None:
        self.connection = link
        self._real = link.real.cursor()

    @property
    def description(self) -> Any:
        return self._real.description

    @property
    def rowcount(self) -> int:
        return self._real.rowcount

    def fetchall(self) -> list[Any]:
        return self._real.fetchall()

    def mogrify(self, sql: str, params: Any) -> bytes:
        """As psycopg2's."""
        return self._real.mogrify(sql, params)

    def execute(self, sql: str | bytes, params: Any = None) -> None:
        """One message of a function, in the words of shared.db."""
        link, call = self.connection, self.connection.call
        if call is None:
            raise psycopg2.InterfaceError("simulation: the connection is closed")
        text = sql.decode() if isinstance(sql, bytes) else sql
        if text == "ROLLBACK":
            link.close_transaction()
            return
        if text.startswith(db._BEGIN):
            self._reach("begin")
            now = self._now()
            self._real.execute(f"{db._BEGIN}{_PATIENCE}; SET LOCAL sim.now = '{now}'")
            link.is_open = True
        said = text.removeprefix(db._BEGIN).removeprefix(db._LIMITS)
        rest = said.removesuffix("COMMIT").removesuffix("; ")
        if rest:
            self._reach("statement")
            self._attempt(rest, params)
        if rest != said:
            self._commit(call)

    def _reach(self, point: Point) -> None:
        if current().reach(point):
            self.connection.cut()
        if point != "committed":
            self.connection.check()

    def _commit(self, call: Call) -> None:
        self._reach("commit")
        self.connection.end("COMMIT")
        call.commits += 1
        call.committed()
        self._reach("committed")

    def _attempt(self, sql: str, params: Any) -> None:
        link = self.connection
        while True:
            link.check()
            others = link.database.others_in_transaction(link)
            if not link.is_open:
                text = f"SET sim.now = '{self._now()}'; {sql}"
            elif others:
                text = f"SAVEPOINT turn; {sql}"
            else:
                text = sql
            try:
                self._real.execute(text, params)
            except errors.LockNotAvailable:
                if link.is_open:
                    with link.real.cursor() as cursor:
                        cursor.execute("ROLLBACK TO SAVEPOINT turn")
                self._wait_for(others)
            else:
                link.blocked_at = -1
                link.database.changed |= not link.is_open
                return

    def _wait_for(self, others: list[Link]) -> None:
        """Let others end what stands in the way; if they wait for us, nobody ever could."""
        link, ended = self.connection, self.connection.database.ended
        if not others:
            raise AssertionError("a lock is held by nobody of the simulation")
        link.blocked_at = ended
        if link.is_open and all(other.blocked_at == ended for other in others):
            link.call.deadlocked = True  # type: ignore[union-attr]
            raise errors.DeadlockDetected("simulation: each waits for the other")
        link.call.stop("blocked")  # type: ignore[union-attr]

    def _now(self) -> str:
        return self.connection.database.clock.tick().isoformat()


@contextmanager
def prepared(postgres: Postgres, name: str = "simulation") -> Iterator[Database]:
    """A migrated database whose time is virtual, for as long as the server runs."""
    with closing(_connect(postgres.url_of("postgres"))) as connection:
        cursor = connection.cursor()
        cursor.execute(f"CREATE DATABASE {name}")
        cursor.execute(f"ALTER DATABASE {name} SET search_path = public, pg_catalog")
        cursor.execute(f"ALTER DATABASE {name} SET sim.now = '{BEGINNING.isoformat()}'")
        cursor.execute(f"ALTER DATABASE {name} SET lock_timeout = '1ms'")
    url = postgres.url_of(name)
    with closing(_connect(url)) as connection:
        connection.cursor().execute(_NOW)
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("DATABASE_URL", url)
        patch.setenv("LOG_LEVEL", "ERROR")
        config.settings.cache_clear()
        migrate({}, Context())
    config.settings.cache_clear()
    database = Database(url)
    try:
        yield database
    finally:
        database.close()


def _connect(url: str) -> psycopg2.extensions.connection:
    connection = psycopg2.connect(url)
    connection.autocommit = True
    return connection
