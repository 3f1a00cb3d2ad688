"""The real PostgreSQL as simulated functions reach it: virtual time, crashes, who waits for whom.

The database's now() is the simulation's: a function of that name before PostgreSQL's own in the
search path, found by the migrations, too. It reads a setting that every transaction brings along.
"""

from collections.abc import Iterator
from contextlib import closing, contextmanager
from typing import Any

import psycopg2
import psycopg2.extensions
import psycopg2.extras
import pytest

from functions.migrate.main import handler as migrate
from local.postgres import Postgres
from shared import config, db
from tests.cloud import Context
from tests.simulation.calls import Call, Fault, current
from tests.simulation.clock import BEGINNING, Clock
from tests.simulation.link import Link
from tests.simulation.waiting import Waiting

_TABLES = """cabinets, boots, cells, accumulators, movements, bookings, booking_cells, commands,
    anomalies, idempotency_keys"""
_NOW = """
    CREATE FUNCTION public.now() RETURNS timestamptz LANGUAGE sql STABLE
        AS $$ SELECT current_setting('sim.now')::timestamptz $$"""


class Database:
    """One database for all runs, emptied before each; `clock` is the present run's."""

    def __init__(self, url: str) -> None:
        self.url = url
        self.clock = Clock()
        self.links: list[Link] = []
        self.up = True
        self.ended = 0  # transactions so far: after each, who was blocked may try again
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

    def connect(self) -> Link:
        """For shared.db: an idle connection, or another one."""
        db.close()
        if not self.up:
            current().suffered = Fault("cut", "begin", 0)
            raise psycopg2.OperationalError("simulation: the server is starting up")
        idle = [link for link in self.links if link.call is None]
        link = idle[0] if idle else Link(self, _connect(self.url))
        link.call, link.closed = current(), False
        db._instance.connection, db._instance.url = link, config.settings().database_url
        return link

    def crash(self, *, recovers: bool) -> int:
        """The server ends in the middle of everything; how many transactions are undone."""
        self.up = recovers
        undone = sum(link.is_open for link in self.links)
        for link in self.links:
            link.cancel()
        for link in self.links:
            link.close_transaction()
            link.broken = link.call is not None
        return undone

    def give_back(self, call: Call) -> None:
        """A call has ended: its connection is another's."""
        for link in self.links:
            if link.call is call:
                link.close()

    def others_in_transaction(self, link: Link) -> list[Link]:
        """Transactions that stopped calls have left open."""
        return [other for other in self.links if other is not link and other.is_open]

    def let_wait(self, cursor: psycopg2.extensions.cursor, sql: str, params: Any) -> Waiting:
        """A statement that will wait for a lock."""
        return Waiting(cursor, self._eyes.cursor(), f"SET LOCAL lock_timeout = 0; {sql}", params)

    def go_on(self) -> None:
        """A transaction has ended: whoever waited for it may have what it waited for."""
        self.ended += 1
        for link in self.links:
            if link.waiting is not None and link.waiting.ended():
                self.changed |= not link.is_open

    def close(self) -> None:
        """Close everything."""
        for link in self.links:
            link.real.close()
        self._eyes.close()


@contextmanager
def prepared(postgres: Postgres, name: str = "simulation") -> Iterator[Database]:
    """A migrated database whose time is virtual, for as long as the server runs."""
    with closing(_connect(postgres.url_of("postgres"))) as connection:
        cursor = connection.cursor()
        cursor.execute(f"CREATE DATABASE {name}")
        cursor.execute(f"ALTER DATABASE {name} SET search_path = public, pg_catalog")
        cursor.execute(f"ALTER DATABASE {name} SET sim.now = '{BEGINNING.isoformat()}'")
        cursor.execute(f"ALTER DATABASE {name} SET lock_timeout = '1ms'")
        cursor.execute(f"ALTER DATABASE {name} SET deadlock_timeout = '10min'")  # it is found here
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
