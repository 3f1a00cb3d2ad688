"""A simulated function's database connection: pauses, faults and waits for locks.

A call that needs a lock of a stopped call stops, too. The first such call's statement waits in the
server. Further calls retry later instead, because the order in which the server grants a lock
to several waiting statements would not be reproducible.
"""

from typing import TYPE_CHECKING, Any

import psycopg2
import psycopg2.extensions
from psycopg2 import errors

from shared import db
from tests.simulation.calls import Call, Fault, Point, current
from tests.simulation.waiting import Waiting

if TYPE_CHECKING:
    from tests.simulation.database import Database

_LOCK_TIMEOUT = "SET LOCAL lock_timeout = '1ms'"


class Connection:
    """The part of psycopg2's connection that shared.db uses."""

    def __init__(self, database: "Database", real: psycopg2.extensions.connection) -> None:
        self.database, self.real = database, real
        self.call: Call | None = None
        self.closed = False
        self.is_open = False
        self.broken = False
        self.waiting: Waiting | None = None
        self.blocked_at = -1
        database.connections.append(self)

    def cursor(self) -> "Cursor":
        """As in psycopg2."""
        return Cursor(self)

    def close(self) -> None:
        """Free the connection for another call."""
        self.cancel()
        self.close_transaction()
        self.call, self.broken = None, False

    def close_transaction(self) -> None:
        """Roll the open transaction back, as the server does."""
        self.cancel()
        if self.is_open:
            self.end("ROLLBACK")

    def end(self, statement: str) -> None:
        """Commit or roll back in the server."""
        self.is_open = False
        with self.real.cursor() as cursor:
            cursor.execute(statement)
        self.database.changed |= statement == "COMMIT"
        self.database.wake_waiting()

    def cancel(self) -> None:
        """Cancel a statement that waits for a lock."""
        if self.waiting is not None:
            self.waiting.cancel()
        self.waiting = None

    @property
    def is_blocked(self) -> bool:
        """Whether the call waits for a lock, in the server or by retrying."""
        return self.waits or (not self.waiting and self.blocked_at == self.database.ended)

    @property
    def waits(self) -> bool:
        """Whether its statement waits for a lock in the server."""
        return self.waiting is not None and not self.waiting.ended()

    def cut(self) -> None:
        """Lose the connection."""
        self.close_transaction()
        self.closed = True
        raise psycopg2.OperationalError("simulation: the connection was cut")

    def check(self) -> None:
        """Raise if the server has crashed since the connection was opened."""
        if self.broken:
            self.closed = True
            current().struck_by = Fault("cut", "statement", 0)
            raise psycopg2.OperationalError("simulation: the server has ended the connection")


class Cursor:
    """A cursor that pauses and fails as the call's disruption says."""

    def __init__(self, connection: Connection) -> None:
        self.connection = connection
        self._real = connection.real.cursor()

    @property
    def description(self) -> Any:
        return self._real.description

    @property
    def rowcount(self) -> int:
        return self._real.rowcount

    def fetchall(self) -> list[Any]:
        return self._real.fetchall()

    def mogrify(self, sql: str, params: Any) -> bytes:
        """As in psycopg2."""
        return self._real.mogrify(sql, params)

    def execute(self, sql: str | bytes, params: Any = None) -> None:
        """Execute what shared.db sends in one message."""
        connection, call = self.connection, self.connection.call
        if call is None:
            raise psycopg2.InterfaceError("simulation: the connection is closed")
        text = sql.decode() if isinstance(sql, bytes) else sql
        if text == "ROLLBACK":
            connection.close_transaction()
            return
        if text.startswith(db._BEGIN):
            self._reach("begin")
            now = self._now()
            self._real.execute(f"{db._BEGIN}{_LOCK_TIMEOUT}; SET LOCAL sim.now = '{now}'")
            connection.is_open = True
        body = text.removeprefix(db._BEGIN).removeprefix(db._LIMITS)
        statements = body.removesuffix("COMMIT").removesuffix("; ")
        if statements:
            self._reach("statement")
            self._attempt(statements, params)
            if statements.startswith("ROLLBACK TO"):
                connection.database.wake_waiting()
            if not connection.is_open and call.strike("ran"):
                connection.cut()
        if statements != body:
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
        call.on_commit()
        self._reach("committed")

    def _attempt(self, sql: str, params: Any) -> None:
        """Run a statement; wait for its lock in the server, or retry if another statement waits."""
        connection = self.connection
        while not self._runs(sql, params):
            if not any(other.waits for other in connection.database.connections):
                self._wait(sql, params)
                break
            self._stop()
            connection.check()
        connection.database.changed |= not connection.is_open

    def _runs(self, sql: str, params: Any) -> bool:
        """Run a statement unless it needs a lock that is held; return whether it ran."""
        connection = self.connection
        turn = connection.is_open and bool(connection.database.others_in_transaction(connection))
        try:
            self._real.execute(
                f"{'SAVEPOINT turn; ' if turn else ''}{self._with_time(sql)}", params
            )
        except errors.LockNotAvailable:
            if connection.is_open:
                self._execute_own("ROLLBACK TO SAVEPOINT turn")
            return False
        return True

    def _wait(self, sql: str, params: Any) -> None:
        """Wait in the server, with the snapshot that the statement began with."""
        connection = self.connection
        waiting = connection.waiting = connection.database.start_waiting(
            self._real, self._with_time(sql), params
        )
        while not waiting.ended():
            self._stop()
            connection.check()
        connection.waiting = None
        waiting.end()
        if connection.is_open:
            self._execute_own(_LOCK_TIMEOUT)

    def _stop(self) -> None:
        """Stop until another transaction has ended. Raises DeadlockDetected."""
        connection, call = self.connection, current()
        others = connection.database.others_in_transaction(connection)
        if not others:
            raise AssertionError("a lock is held from outside the simulation")
        connection.blocked_at = connection.database.ended
        if connection.is_open and all(other.is_blocked for other in others):
            call.deadlocked = True
            raise errors.DeadlockDetected("simulation: each waits for the other")
        call.stop("blocked")

    def _execute_own(self, statement: str) -> None:
        """Execute a statement of the simulation itself."""
        with self.connection.real.cursor() as cursor:
            cursor.execute(statement)

    def _with_time(self, sql: str) -> str:
        """Return the statement; outside a transaction, it sets the virtual time first."""
        return sql if self.connection.is_open else f"SET sim.now = '{self._now()}'; {sql}"

    def _now(self) -> str:
        return self.connection.database.clock.tick().isoformat()
