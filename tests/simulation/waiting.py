"""A statement that waits in the server for a lock, while its call has stopped.

It continues in the server as soon as it has the lock, with the snapshot that it began with.
"""

import threading
from typing import Any

import psycopg2
import psycopg2.extensions

_WAITS = "SELECT FROM pg_locks WHERE pid = %(pid)s AND NOT granted"


class Waiting:
    """A waiting statement; `observer` is a cursor that queries pg_locks."""

    def __init__(
        self,
        cursor: psycopg2.extensions.cursor,
        observer: psycopg2.extensions.cursor,
        sql: str,
        params: Any,
    ) -> None:
        self._cursor, self._observer = cursor, observer
        self._error: psycopg2.Error | None = None
        self._thread = threading.Thread(target=self._run, args=(sql, params), daemon=True)
        self._thread.start()

    def ended(self) -> bool:
        """Return whether the statement has ended; False once it waits for a lock."""
        pid = self._cursor.connection.info.backend_pid
        while self._thread.is_alive():
            self._observer.execute(_WAITS, {"pid": pid})
            if self._observer.rowcount:
                return False
            self._thread.join(0.0005)
        return True

    def end(self) -> None:
        """Join the statement and raise its error, if any."""
        self._thread.join()
        if self._error is not None:
            raise self._error

    def cancel(self) -> None:
        """Cancel the statement."""
        while self._thread.is_alive():
            self._cursor.connection.cancel()
            self._thread.join(0.01)

    def _run(self, sql: str, params: Any) -> None:
        try:
            self._cursor.execute(sql, params)
        except psycopg2.Error as error:
            self._error = error
