"""A simulated function's connection: cut connections, turns, waiting for locks.

Who waits for a lock that a stopped call holds has stopped, too. The first one's statement waits in
the server; the others', so that every run can be had again, are tried again later.
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

_PATIENCE = "SET LOCAL lock_timeout = '1ms'"


class Link:
    """A connection: as much of psycopg2's as shared.db uses."""

    def __init__(self, database: "Database", real: psycopg2.extensions.connection) -> None:
        self.database, self.real = database, real
        self.call: Call | None = None
        self.closed = False
        self.is_open = False
        self.broken = False
        self.waiting: Waiting | None = None
        self.blocked_at = -1
        database.links.append(self)

    def cursor(self) -> "Cursor":
        """As psycopg2's."""
        return Cursor(self)

    def close(self) -> None:
        """To be used by another call."""
        self.cancel()
        self.close_transaction()
        self.call, self.broken = None, False

    def close_transaction(self) -> None:
        """What was begun is rolled back, as by the server."""
        self.cancel()
        if self.is_open:
            self.end("ROLLBACK")

    def end(self, statement: str) -> None:
        """Really commit or roll back."""
        self.is_open = False
        with self.real.cursor() as cursor:
            cursor.execute(statement)
        self.database.changed |= statement == "COMMIT"
        self.database.go_on()

    def cancel(self) -> None:
        """What waits for a lock waits no more."""
        if self.waiting is not None:
            self.waiting.cancel()
        self.waiting = None

    @property
    def is_blocked(self) -> bool:
        """Whether it waits for a lock, for all that is known."""
        return self.waits or (not self.waiting and self.blocked_at == self.database.ended)

    @property
    def waits(self) -> bool:
        """Whether its statement waits in the server."""
        return self.waiting is not None and not self.waiting.ended()

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
        statements = said.removesuffix("COMMIT").removesuffix("; ")
        if statements:
            self._reach("statement")
            self._attempt(statements, params)
            if statements.startswith("ROLLBACK TO"):
                link.database.go_on()
            if not link.is_open and call.suffer("ran"):
                link.cut()
        if statements != said:
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
        """Run a statement; whoever finds somebody waiting in the server tries again later."""
        link = self.connection
        while not self._runs(sql, params):
            if not any(other.waits for other in link.database.links):
                self._wait(sql, params)
                break
            self._stop()
            link.check()
        link.database.changed |= not link.is_open

    def _runs(self, sql: str, params: Any) -> bool:
        """Whether it could be run at once."""
        link = self.connection
        turn = link.is_open and bool(link.database.others_in_transaction(link))
        try:
            self._real.execute(f"{'SAVEPOINT turn; ' if turn else ''}{self._timed(sql)}", params)
        except errors.LockNotAvailable:
            if link.is_open:
                self._also("ROLLBACK TO SAVEPOINT turn")
            return False
        return True

    def _wait(self, sql: str, params: Any) -> None:
        """Wait in the server, with the snapshot that the statement began with."""
        link = self.connection
        waiting = link.waiting = link.database.let_wait(self._real, self._timed(sql), params)
        while not waiting.ended():
            self._stop()
            link.check()
        link.waiting = None
        waiting.end()
        if link.is_open:
            self._also(_PATIENCE)

    def _stop(self) -> None:
        """Let others end what stands in the way; if they wait for us, nobody ever could."""
        link, call = self.connection, current()
        others = link.database.others_in_transaction(link)
        if not others:
            raise AssertionError("a lock is held by nobody of the simulation")
        link.blocked_at = link.database.ended
        if link.is_open and all(other.is_blocked for other in others):
            call.deadlocked = True
            raise errors.DeadlockDetected("simulation: each waits for the other")
        call.stop("blocked")

    def _also(self, statement: str) -> None:
        """A statement of the simulation's own."""
        with self.connection.real.cursor() as cursor:
            cursor.execute(statement)

    def _timed(self, sql: str) -> str:
        """A transaction has been told the time at its beginning."""
        return sql if self.connection.is_open else f"SET sim.now = '{self._now()}'; {sql}"

    def _now(self) -> str:
        return self.connection.database.clock.tick().isoformat()
