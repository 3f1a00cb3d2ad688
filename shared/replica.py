"""The read replica: for what may be a second old, such as lists and figures.

At most once a second an instance asks the primary how far its log is, and reads from the replica
only if that has replayed as much. So what it reads is never more than a second old, however far
the replica is behind, and whether or not it is connected to the primary.
"""

import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager

import psycopg2
import psycopg2.extensions
from psycopg2.errors import QueryCanceled

from shared import config, db, log

MAX_AGE_SECONDS = 1.0
AVOIDED_SECONDS = 10.0
"""How long an instance does without a replica that has failed."""


class _State(threading.local):
    """What this instance knows of the replica."""

    def __init__(self) -> None:
        self.connection: db.Connection | None = None
        self.url = ""
        self.log_end = ""
        """Where the primary's log ended, a WAL location, when it was last asked."""
        self.asked_at = float("-inf")
        self.has_replayed = False
        """Whether the replica has replayed the log as far as `log_end`."""
        self.avoided_until = float("-inf")


_state = _State()
_Cursor = psycopg2.extensions.cursor


@contextmanager
def reads() -> Iterator[db.Tx]:
    """Run each statement on its own, on the replica if there is one and it is current enough.

    Else on the primary. The statements may only read. They may not see what has been written
    within the last second, not even by the same caller. Raises DatabaseUnavailable as
    `db.statements` does.
    """
    with db.statements(_Reads if config.settings().database_replica_url else db.Tx) as tx:
        yield tx


def wait_for_reads() -> None:
    """Return when reads that begin from now on see all that has been committed.

    For who takes a cursor and then reads lists: what is before the cursor must be in the lists.
    """
    if config.settings().database_replica_url:
        time.sleep(MAX_AGE_SECONDS)


class _Reads(db.Tx):
    """Runs each statement on the replica, or on the primary if the replica cannot be used."""

    def _run(self, sql: str, params: db.Params | None) -> _Cursor:
        found = None
        if time.monotonic() >= _state.avoided_until:
            try:
                found = self._run_on_replica(sql, params)
            except QueryCanceled:  # it would take too long on the primary, too
                raise
            except (psycopg2.OperationalError, psycopg2.InterfaceError) as error:
                _avoid(error)
        return found or super()._run(sql, params)

    def _run_on_replica(self, sql: str, params: db.Params | None) -> _Cursor | None:
        """Return None if the replica is too far behind."""
        if time.monotonic() - _state.asked_at > MAX_AGE_SECONDS:
            asked_at = time.monotonic()
            with db.statements() as primary:
                _state.log_end = primary.one("SELECT pg_current_wal_lsn()::text AS end")["end"]
            _state.asked_at, _state.has_replayed = asked_at, False
        cursor = _connection().cursor()
        if not _state.has_replayed:
            cursor.execute(
                # A replica that was promoted is the primary.
                "SELECT pg_last_wal_replay_lsn() >= %(log_end)s OR NOT pg_is_in_recovery()",
                {"log_end": _state.log_end},
            )
            [_state.has_replayed] = cursor.fetchone() or [False]
        if not _state.has_replayed:
            return None
        cursor.execute(*self._opened(sql, params))
        return cursor


def _connection() -> db.Connection:
    url = config.settings().database_replica_url
    if _state.connection is None or _state.connection.closed or _state.url != url:
        close()
        _state.connection, _state.url, _state.has_replayed = db.open_connection(url), url, False
    return _state.connection


def close() -> None:
    """Close this instance's connection to the replica, if it has one."""
    if _state.connection is not None:
        _state.connection.close()
    _state.connection = None


def _avoid(error: Exception) -> None:
    log.warning("the replica cannot be used; reading from the primary", error=str(error).strip())
    close()
    _state.avoided_until = time.monotonic() + AVOIDED_SECONDS
