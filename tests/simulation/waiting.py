"""A statement that really waits in the server for a lock, while its call has stopped.

It goes on in the server as soon as it has the lock, with the snapshot that it began with.
"""

import threading
from typing import Any

import psycopg2
import psycopg2.extensions

_WAITS = "SELECT FROM pg_locks WHERE pid = %(pid)s AND NOT granted"


class Waiting:
    """One such statement; `eyes` looks at what it is waiting for."""

    def __init__(
        self,
        cursor: psycopg2.extensions.cursor,
        eyes: psycopg2.extensions.cursor,
        sql: str,
        params: Any,
    ) -> None:
        self._cursor, self._eyes = cursor, eyes
        self._error: psycopg2.Error | None = None
        self._thread = threading.Thread(target=self._run, args=(sql, params), daemon=True)
        self._thread.start()

    def ended(self) -> bool:
        """Whether it has ended: known as soon as it has, or waits for a lock again."""
        pid = self._cursor.connection.info.backend_pid
        while self._thread.is_alive():
            self._eyes.execute(_WAITS, {"pid": pid})
            if self._eyes.rowcount:
                return False
            self._thread.join(0.0005)
        return True

    def end(self) -> None:
        """Raise what it raised."""
        self._thread.join()
        if self._error is not None:
            raise self._error

    def cancel(self) -> None:
        """Nobody waits for it any more."""
        while self._thread.is_alive():
            self._cursor.connection.cancel()
            self._thread.join(0.01)

    def _run(self, sql: str, params: Any) -> None:
        try:
            self._cursor.execute(sql, params)
        except psycopg2.Error as error:
            self._error = error
