"""A real PostgreSQL with virtual time, simulated crashes and controlled waits for locks.

A function `public.now()`, which the search path finds before PostgreSQL's own, returns the virtual
time. It reads a setting that every transaction sets at its beginning.
"""

from collections import Counter
from collections.abc import Iterator
from contextlib import closing, contextmanager
from typing import Any

import psycopg2
import psycopg2.extensions
import psycopg2.extras

from local.postgres import Postgres
from shared import config, db
from tests.simulation.calls import Call, Fault, current
from tests.simulation.clock import BEGINNING, Clock
from tests.simulation.connection import Connection
from tests.simulation.transitions import SCHEMA, WRITTEN, Change
from tests.simulation.waiting import Waiting
from tests.support.database import for_functions, migrate

_TABLES = """cabinets, boots, cells, accumulators, movements, bookings, booking_cells, commands,
    anomalies, idempotency_keys, allowances, event_outbox, events, removals, simulation.changes"""
_NOW = """
    CREATE SCHEMA clock;
    GRANT USAGE ON SCHEMA clock TO PUBLIC;
    CREATE FUNCTION clock.now() RETURNS timestamptz LANGUAGE sql STABLE
        AS $$ SELECT current_setting('sim.now')::timestamptz $$"""
_NOW_IN_FUNCTIONS = """
    DO $$ DECLARE fixed regprocedure; BEGIN
        FOR fixed IN SELECT oid FROM pg_proc WHERE prosecdef LOOP
            EXECUTE format('ALTER FUNCTION %s SET search_path = public, clock, pg_catalog', fixed);
        END LOOP;
    END $$"""


class Database:
    """One database for all runs, emptied before each; `clock` is the current run's."""

    def __init__(self, url: str) -> None:
        self.url = url
        self.clock = Clock()
        self.connections: list[Connection] = []
        self.up = True
        self.ended = 0
        """How many transactions have ended: after each one, blocked calls may retry."""
        self.changed = True
        """Whether anything was committed since this was last set to False."""
        self._plans: dict[str, str] = {}
        self._observer = _connect(url)
        self._observer.cursor().execute("SET lock_timeout = 0")
        self._cursor = self._observer.cursor(cursor_factory=psycopg2.extras.RealDictCursor)

    def reset(self, clock: Clock) -> None:
        """Empty the database for a new run, which has its own clock."""
        self.clock, self.up = clock, True
        self._cursor.execute(f"TRUNCATE {_TABLES} RESTART IDENTITY")
        self._cursor.execute("UPDATE feed SET position = 0")

    def query(self, sql: str, **values: Any) -> list[dict[str, Any]]:
        """Return committed rows, at the current virtual time."""
        if not values:
            sql = f"EXECUTE {self._prepared(sql)}"
        self._cursor.execute(f"SET sim.now = '{self.clock.now().isoformat()}'; {sql}", values)
        return [dict(row) for row in self._cursor.fetchall()] if self._cursor.description else []

    def query_all(self, queries: dict[str, str]) -> dict[str, list[dict[str, Any]]]:
        """Run several queries in one round trip; return their rows with JSON's types."""
        rows = "(SELECT coalesce(json_agg(t), '[]') FROM ({}) t)"
        sql = f"SELECT json_build_array({', '.join(map(rows.format, queries.values()))}) AS all"
        [row] = self.query(sql)
        return dict(zip(queries, row["all"], strict=True))

    def changes(self) -> Counter[Change]:
        """Return the changes of states that this run has committed."""
        return Counter(
            {
                Change(row["machine"], row["source"], row["target"]): row["n"]
                for row in self.query(WRITTEN)
            }
        )

    def _prepared(self, sql: str) -> str:
        """Return the name of the prepared statement: the same queries run after every step."""
        if sql not in self._plans:
            self._plans[sql] = f"plan_{len(self._plans)}"
            self._cursor.execute(f"PREPARE {self._plans[sql]} AS {sql}")
        return self._plans[sql]

    def connect(self) -> Connection:
        """Replace `shared.db._connect`: reuse an idle connection, or open one."""
        db.close()
        if not self.up:
            current().struck_by = Fault("cut", "begin", 0)
            raise psycopg2.OperationalError("simulation: the server is starting up")
        idle = [connection for connection in self.connections if connection.call is None]
        connection = idle[0] if idle else Connection(self, _connect(for_functions(self.url)))
        connection.call, connection.closed = current(), False
        db._instance.connection, db._instance.url = connection, config.settings().database_url
        return connection

    def crash(self, *, recovers: bool) -> int:
        """Crash the server; return how many transactions are rolled back."""
        self.up = recovers
        undone = sum(connection.is_open for connection in self.connections)
        for connection in self.connections:
            connection.cancel()
        for connection in self.connections:
            connection.close_transaction()
            connection.broken = connection.call is not None
        return undone

    def release_connections(self, call: Call) -> None:
        """Free the connections of a call that has ended."""
        for connection in self.connections:
            if connection.call is call:
                connection.close()

    def others_in_transaction(self, connection: Connection) -> list[Connection]:
        """Return the other connections that are in a transaction."""
        return [other for other in self.connections if other is not connection and other.is_open]

    def start_waiting(self, cursor: psycopg2.extensions.cursor, sql: str, params: Any) -> Waiting:
        """Run a statement that waits for a lock in the server."""
        return Waiting(
            cursor, self._observer.cursor(), f"SET LOCAL lock_timeout = 0; {sql}", params
        )

    def wake_waiting(self) -> None:
        """After the end of a transaction, find the waiting statements that got their lock."""
        self.ended += 1
        for connection in self.connections:
            if connection.waiting is not None and connection.waiting.ended():
                self.changed |= not connection.is_open

    def close(self) -> None:
        """Close all connections."""
        for connection in self.connections:
            connection.real.close()
        self._observer.close()


@contextmanager
def prepared(postgres: Postgres, name: str = "simulation") -> Iterator[Database]:
    """Create a migrated database with virtual time that records changes of states."""
    with closing(_connect(postgres.url_of("postgres"))) as connection:
        cursor = connection.cursor()
        cursor.execute(f"CREATE DATABASE {name}")
        cursor.execute(f"ALTER DATABASE {name} SET search_path = public, clock, pg_catalog")
        cursor.execute(f"ALTER DATABASE {name} SET sim.now = '{BEGINNING.isoformat()}'")
        cursor.execute(f"ALTER DATABASE {name} SET lock_timeout = '1ms'")
        # Connection detects deadlocks.
        cursor.execute(f"ALTER DATABASE {name} SET deadlock_timeout = '10min'")
    url = postgres.url_of(name)
    with closing(_connect(url)) as connection:
        connection.cursor().execute(_NOW)
    migrate(url)
    with closing(_connect(url)) as connection:
        connection.cursor().execute(_NOW_IN_FUNCTIONS)
        connection.cursor().execute(SCHEMA)
    database = Database(url)
    try:
        yield database
    finally:
        database.close()


def _connect(url: str) -> psycopg2.extensions.connection:
    connection = psycopg2.connect(url)
    connection.autocommit = True
    return connection
