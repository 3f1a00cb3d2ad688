"""PostgreSQL: one cached connection for each function instance, reopened when it is broken.

Everything works behind a transaction-pooling proxy: the session keeps no state.
"""

import json
import re
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

# A lock or a statement that takes too long is an error, not a hung function.
# Pages are in memory or on an SSD: with its default for random reads the planner would scan a whole
# table to find a few rows.
_LIMITS = (
    "SET LOCAL lock_timeout = '10s'; SET LOCAL statement_timeout = '20s';"
    " SET LOCAL random_page_cost = 1.1; "
)
_BEGIN = f"BEGIN; {_LIMITS}"

# A function instance serves one request at a time, in one thread.
_instance = threading.local()

psycopg2.extensions.register_adapter(dict, psycopg2.extras.Json)
psycopg2.extras.register_uuid()  # type: ignore[no-untyped-call] # the stubs lack it


class Tx:
    """Runs statements: all in one transaction, or each on its own."""

    def __init__(self, *, single: bool) -> None:
        self._single = single
        self._attribution, self._attributes = _attribution()
        self._cursor: psycopg2.extensions.cursor | None = None
        self._unsent: list[bytes] = []

    def all(self, sql: str, params: Params | None = None) -> list[Row]:
        """Return all rows, in order."""
        cursor = self._run(sql, params)
        names = [column.name for column in cursor.description or ()]
        return [dict(zip(names, row, strict=True)) for row in cursor.fetchall()]

    def first(self, sql: str, params: Params | None = None) -> Row | None:
        """Return the first row; None if there is none."""
        rows = self.all(sql, params)
        return rows[0] if rows else None

    def one(self, sql: str, params: Params | None = None) -> Row:
        """Return the only row."""
        [row] = self.all(sql, params)
        return row

    def execute(self, sql: str, params: Params | None = None) -> int:
        """Return the number of rows changed."""
        return self._run(sql, params).rowcount

    def batch(self, sql: str, rows: Sequence[Mapping[str, Any]], **params: Any) -> list[Row]:
        """Run one statement that takes `rows` as the JSON array `%(rows)s`; return its rows."""
        return self.all(sql, {"rows": json.dumps(rows, default=str), **params}) if rows else []

    def queue(self, sql: str, params: Params) -> None:
        """Queue a statement that returns nothing: sent with the next one, at the latest COMMIT."""
        if self._cursor is None or self._single:
            self._run(sql, params)
        else:
            self._unsent.append(self._cursor.mogrify(sql, params))

    def queue_batch(self, sql: str, rows: Sequence[Mapping[str, Any]], **params: Any) -> None:
        """Queue a statement that takes `rows` as the JSON array `%(rows)s`; nothing if empty."""
        if rows:
            self.queue(sql, {"rows": json.dumps(rows, default=str), **params})

    def savepoint(self) -> None:
        """Set the savepoint that `rollback_to_savepoint` returns to."""
        self.queue("SAVEPOINT locks", {})

    def rollback_to_savepoint(self) -> None:
        """Undo everything since the savepoint, and release the locks taken since."""
        self.execute("ROLLBACK TO SAVEPOINT locks")

    def _run(self, sql: str, params: Params | None) -> psycopg2.extensions.cursor:
        """Send a statement. The first one is sent together with BEGIN, in one message.

        The platform may cut a sleeping instance's connection: the first message, before which
        nothing was sent, is sent once more on a new connection.
        """
        if self._cursor is not None and not self._single:
            self._unsent.append(self._cursor.mogrify(sql, params or {}))
            message, self._unsent = b"; ".join(self._unsent), []
            self._cursor.execute(message)
            return self._cursor
        opened = self._opened(sql, params)
        self._cursor = (_cached_connection() or _connect()).cursor()
        try:
            self._cursor.execute(*opened)
        except (psycopg2.OperationalError, psycopg2.InterfaceError):
            if not self._cursor.connection.closed:
                raise
            log.info("the database connection was cut; connecting again")
            self._cursor = _connect().cursor()
            self._cursor.execute(*opened)
        return self._cursor

    def _opened(self, sql: str, params: Params | None) -> tuple[str, Params]:
        """Return a first statement, and its parameters, with what must precede it."""
        opening = _LIMITS if self._single else _BEGIN
        return opening + self._attribution + sql, {**(params or {}), **self._attributes}

    def commit(self) -> None:
        """Commit."""
        if self._cursor is not None:
            self._run("COMMIT", None)

    def roll_back(self) -> None:
        """Roll back; close the connection if that fails."""
        try:
            if self._cursor is not None:
                self._cursor.execute("ROLLBACK")
        except psycopg2.Error:
            close()


def attribute_to(cause: str | None, *, requested_by: str | None = None) -> None:
    """Name who causes what this instance's transactions write from now on.

    `cause`: named in the events; None: they name the device whose message is applied.
    `requested_by`: the name of the API key, if it is a request; stored with all that it changes.
    """
    _instance.cause, _instance.requested_by = cause, requested_by


@contextmanager
def transaction() -> Iterator[Tx]:
    """Run a transaction: committed at the end of the block, rolled back by any exception.

    Raises DatabaseUnavailable when the server cannot be reached or refuses to write, or a lock is
    not granted in time. Raised at the commit, the transaction may have been committed.
    """
    with _translate_errors():
        tx = Tx(single=False)
        try:
            yield tx
            tx.commit()
        except BaseException:
            tx.roll_back()
            raise


@contextmanager
def statements(kind: type[Tx] = Tx) -> Iterator[Tx]:
    """Run each statement in a transaction of its own; it may be sent twice, so it must be safe to.

    Raises DatabaseUnavailable as `transaction` does.
    """
    with _translate_errors():
        yield kind(single=True)


def is_reachable() -> bool:
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
def _translate_errors() -> Iterator[None]:
    """Translate the driver's errors."""
    try:
        yield
    except (psycopg2.OperationalError, psycopg2.InterfaceError, ReadOnlySqlTransaction) as error:
        # The message may name hosts: for the log only.
        log.error("database unavailable", error=str(error).strip())
        close()
        raise DatabaseUnavailable from error


def _attribution() -> tuple[str, Params]:
    """Return the SQL that names who causes what a transaction writes, and its parameters."""
    sql, params = "", {}
    if cause := getattr(_instance, "cause", None):
        params["_cause"] = re.sub(r"[^A-Za-z0-9._-]", "_", cause)
        sql += "SET LOCAL feed.caused_by = %(_cause)s; "
    if requested_by := getattr(_instance, "requested_by", None):
        params["_requested_by"] = requested_by
        sql += "SET LOCAL feed.requested_by = %(_requested_by)s; "
    return sql, params


def _cached_connection() -> Connection | None:
    connection: Connection | None = getattr(_instance, "connection", None)
    return connection if connection and _instance.url == config.settings().database_url else None


def _connect() -> Connection:
    close()
    url = config.settings().database_url
    connection = open_connection(url)
    _instance.connection, _instance.url = connection, url
    return connection


def open_connection(url: str) -> Connection:
    """Return a new connection. Raises psycopg2.OperationalError."""
    connection: Connection = psycopg2.connect(
        url, connect_timeout=3, tcp_user_timeout=10_000, application_name="accumulators"
    )
    connection.autocommit = True  # BEGIN and COMMIT are sent explicitly, above
    return connection
