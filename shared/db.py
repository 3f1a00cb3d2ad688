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
# A page costs about the same wherever it is, in memory or on an SSD: by its default the planner
# would read a whole table to find a few rows.
_LIMITS = (
    "SET LOCAL lock_timeout = '10s'; SET LOCAL statement_timeout = '20s';"
    " SET LOCAL random_page_cost = 1.1; "
)
_BEGIN = f"BEGIN; {_LIMITS}"

# One function instance serves one request at a time, and is one thread.
_instance = threading.local()

psycopg2.extensions.register_adapter(dict, psycopg2.extras.Json)
psycopg2.extras.register_uuid()  # type: ignore[no-untyped-call] # the stubs lack it


class Tx:
    """Statements: of one transaction, or each on its own."""

    def __init__(self, *, single: bool) -> None:
        self._single = single
        self._cursor: psycopg2.extensions.cursor | None = None
        self._unsent: list[bytes] = []

    def all(self, sql: str, params: Params | None = None) -> list[Row]:
        """Every row of the answer, in order."""
        cursor = self._run(sql, params)
        names = [column.name for column in cursor.description or ()]
        return [dict(zip(names, row, strict=True)) for row in cursor.fetchall()]

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
        return self._run(sql, params).rowcount

    def batch(self, sql: str, rows: Sequence[Mapping[str, Any]]) -> list[Row]:
        """The rows of one statement that takes many `rows` as the JSON array `%(rows)s`."""
        return self.all(sql, {"rows": json.dumps(rows, default=str)}) if rows else []

    def write(self, sql: str, params: Params) -> None:
        """A statement without an answer: sent with what comes next, at the latest the commit."""
        if self._cursor is None or self._single:
            self._run(sql, params)
        else:
            self._unsent.append(self._cursor.mogrify(sql, params))

    def write_batch(self, sql: str, rows: Sequence[Mapping[str, Any]]) -> None:
        """As `write`, of many `rows` as the JSON array `%(rows)s`."""
        if rows:
            self.write(sql, {"rows": json.dumps(rows, default=str)})

    def mark(self) -> None:
        """Where `go_back` goes to."""
        self.write("SAVEPOINT mark", {})

    def go_back(self) -> None:
        """Give back all that was locked, and undo all that was done, since the mark."""
        self.execute("ROLLBACK TO SAVEPOINT mark")

    def _run(self, sql: str, params: Params | None) -> psycopg2.extensions.cursor:
        """Send a statement; what opens a transaction goes with its first, in the same message.

        The platform may cut a sleeping instance's connection: what has not been committed is sent
        once more, on a new one.
        """
        if self._cursor is not None and not self._single:
            self._unsent.append(self._cursor.mogrify(sql, params or {}))
            message, self._unsent = b"; ".join(self._unsent), []
            self._cursor.execute(message)
            return self._cursor
        opened = (_LIMITS if self._single else _BEGIN) + sql
        self._cursor = (_cached() or _connected()).cursor()
        try:
            self._cursor.execute(opened, params or {})
        except (psycopg2.OperationalError, psycopg2.InterfaceError):
            if not self._cursor.connection.closed:
                raise
            log.info("the database connection was cut; connecting again")
            self._cursor = _connected().cursor()
            self._cursor.execute(opened, params or {})
        return self._cursor

    def commit(self) -> None:
        """Keep what was done."""
        if self._cursor is not None:
            self._run("COMMIT", None)

    def roll_back(self) -> None:
        """Leave nothing of it."""
        try:
            if self._cursor is not None:
                self._cursor.execute("ROLLBACK")
        except psycopg2.Error:
            close()


@contextmanager
def transaction() -> Iterator[Tx]:
    """One transaction: committed at the end of the block, rolled back by any exception.

    Raises DatabaseUnavailable when the server cannot be reached, refuses to write, or a lock is
    not to be had in time. If that happens at the commit, the commit may have taken place.
    """
    with _translated():
        tx = Tx(single=False)
        try:
            yield tx
            tx.commit()
        except BaseException:
            tx.roll_back()
            raise


@contextmanager
def statements() -> Iterator[Tx]:
    """Each statement on its own, kept when it has run: only such as may be run twice.

    Raises DatabaseUnavailable as a transaction does.
    """
    with _translated():
        yield Tx(single=True)


def answers() -> bool:
    """Whether the database can be reached and read."""
    try:
        with statements() as tx:
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


def _cached() -> Connection | None:
    connection: Connection | None = getattr(_instance, "connection", None)
    return connection if connection and _instance.url == config.settings().database_url else None


def _connected() -> Connection:
    close()
    url = config.settings().database_url
    connection = psycopg2.connect(
        url, connect_timeout=3, tcp_user_timeout=10_000, application_name="accumulators"
    )
    connection.autocommit = True  # transactions are begun and ended in words, above
    _instance.connection, _instance.url = connection, url
    return connection
