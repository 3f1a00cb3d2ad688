"""PostgreSQL: one cached connection a function instance, checked and re-opened when broken.

Everything here works behind a transaction-pooling proxy: nothing is kept in a session.
"""

import json
import threading
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

import psycopg2
import psycopg2.extensions
import psycopg2.extras
from psycopg2.errors import ReadOnlySqlTransaction

from shared import config, log
from shared.errors import DatabaseUnavailable

Row = dict[str, Any]
Connection = psycopg2.extensions.connection
Params = Mapping[str, Any]

# A lock that is not to be had, or a statement that does not end, is an error, not a hung function.
_BEGIN = "BEGIN; SET LOCAL lock_timeout = '10s'; SET LOCAL statement_timeout = '20s'"

# One function instance serves one request at a time, and is one thread.
_instance = threading.local()

psycopg2.extensions.register_adapter(dict, psycopg2.extras.Json)
psycopg2.extras.register_uuid()  # type: ignore[no-untyped-call] # the stubs lack it


class Tx:
    """An open transaction."""

    def __init__(self, connection: Connection) -> None:
        self._cursor = connection.cursor()

    def all(self, sql: str, params: Params | None = None) -> list[Row]:
        """Every row of the answer, in order."""
        self._cursor.execute(sql, params or {})
        names = [column.name for column in self._cursor.description or ()]
        return [dict(zip(names, row, strict=True)) for row in self._cursor.fetchall()]

    def first(self, sql: str, params: Params | None = None) -> Row | None:
        """The first row, if there is one."""
        rows = self.all(sql, params)
        return rows[0] if rows else None

    def one(self, sql: str, params: Params | None = None) -> Row:
        """The row that is there."""
        [row] = self.all(sql, params)
        return row

    def execute(self, sql: str, params: Params | None = None) -> int:
        """How many rows were changed."""
        self._cursor.execute(sql, params or {})
        return self._cursor.rowcount

    def batch(self, sql: str, rows: Sequence[Mapping[str, Any]]) -> list[Row]:
        """The rows of one statement that takes many `rows` as the JSON array `%(rows)s`."""
        return self.all(sql, {"rows": json.dumps(rows, default=str)}) if rows else []


@contextmanager
def transaction() -> Iterator[Tx]:
    """One transaction: committed at the end of the block, rolled back by any exception.

    Raises DatabaseUnavailable when the server cannot be reached, refuses to write, or a lock is
    not to be had in time. If that happens at the commit, the commit may have taken place.
    """
    with _translated():
        connection = _begun()
        try:
            yield Tx(connection)
        except BaseException:
            _roll_back(connection)
            raise
        _run(connection, "COMMIT")


@contextmanager
def read() -> Iterator[Tx]:
    """Single statements, each a transaction by itself: for waiting, and what needs no other."""
    with _translated():
        yield Tx(_cached() or _connected())


def answers() -> bool:
    """Whether the database can be reached and read."""
    try:
        with transaction() as tx:
            tx.one("SELECT 1 AS answer")
    except DatabaseUnavailable:
        return False
    return True


def close() -> None:
    """Close this instance's connection, if it has one."""
    connection = getattr(_instance, "connection", None)
    _instance.connection = None
    if connection is not None:
        connection.close()


@contextmanager
def _translated() -> Iterator[None]:
    """The driver's errors turned into ours."""
    try:
        yield
    except (psycopg2.OperationalError, psycopg2.InterfaceError, ReadOnlySqlTransaction) as error:
        # The text may name hosts: it is for the log only.
        log.error("database unavailable", error=str(error).strip())
        close()
        raise DatabaseUnavailable from error


def _begun() -> Connection:
    """A connection in a new transaction.

    The platform may cut a sleeping instance's connection. Nothing has been sent before BEGIN, so
    that beginning once more on a new connection is safe.
    """
    cached = _cached()
    if cached is not None:
        try:
            _run(cached, _BEGIN)
        except (psycopg2.OperationalError, psycopg2.InterfaceError):
            log.info("the database connection was cut; connecting again")
        else:
            return cached
    connection = _connected()
    _run(connection, _BEGIN)
    return connection


def _cached() -> Connection | None:
    connection: Connection | None = getattr(_instance, "connection", None)
    return connection if connection and _instance.url == config.settings().database_url else None


def _connected() -> Connection:
    close()
    url = config.settings().database_url
    connection = psycopg2.connect(url, connect_timeout=3, application_name="accumulators")
    connection.autocommit = True  # transactions are begun and ended in words, above
    _instance.connection, _instance.url = connection, url
    return connection


def _roll_back(connection: Connection) -> None:
    try:
        _run(connection, "ROLLBACK")
    except psycopg2.Error:
        close()


def _run(connection: Connection, statement: str) -> None:
    with connection.cursor() as cursor:
        cursor.execute(statement)
