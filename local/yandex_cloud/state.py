"""Everything that exists in the fake, in a SQLite file.

A resource is stored as its protobuf message, under the message's full name and a key. What has no
message (packages, passwords) is stored as bytes under a kind of its own.
"""

import sqlite3
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TypeVar

from google.protobuf.message import Message

M = TypeVar("M", bound=Message)

_SCHEMA = """
CREATE TABLE IF NOT EXISTS things (
    number INTEGER PRIMARY KEY,
    kind TEXT NOT NULL,
    key TEXT NOT NULL,
    body BLOB NOT NULL,
    UNIQUE (kind, key)
)
"""


class State:
    """Resources by kind and key."""

    def __init__(self, file: Path) -> None:
        self._lock = threading.RLock()
        self._database = sqlite3.connect(file, check_same_thread=False, isolation_level=None)
        self._database.execute("PRAGMA journal_mode=WAL")
        self._database.execute("PRAGMA synchronous=NORMAL")  # survives a kill of the process
        self._database.execute(_SCHEMA)

    @contextmanager
    def transaction(self) -> Iterator[None]:
        """Keep all changes of the block, or, if it raises, none. One block runs at a time."""
        with self._lock:
            self._database.execute("BEGIN IMMEDIATE")
            try:
                yield
            except BaseException:
                self._database.execute("ROLLBACK")
                raise
            self._database.execute("COMMIT")

    def get(self, kind: type[M], key: str) -> M | None:
        """Return the message under this key, or None."""
        body = self.read(_name(kind), key)
        return None if body is None else kind.FromString(body)

    def all(self, kind: type[M]) -> list[M]:
        """Return all messages of this kind, oldest first."""
        return [kind.FromString(body) for _, body in self.items(_name(kind))]

    def put(self, key: str, message: Message) -> None:
        """Store a message, instead of the one that was there."""
        self.write(_name(type(message)), key, message.SerializeToString())

    def remove(self, kind: type[Message], key: str) -> None:
        """Forget the message under this key, if there is one."""
        self.erase(_name(kind), key)

    def read(self, kind: str, key: str) -> bytes | None:
        """Return the bytes under this key, or None."""
        with self._lock:
            row = self._database.execute(
                "SELECT body FROM things WHERE kind = ? AND key = ?", (kind, key)
            ).fetchone()
        return None if row is None else bytes(row[0])

    def items(self, kind: str) -> list[tuple[str, bytes]]:
        """Return the keys and bytes of this kind, oldest first."""
        with self._lock:
            rows = self._database.execute(
                "SELECT key, body FROM things WHERE kind = ? ORDER BY number", (kind,)
            ).fetchall()
        return [(str(key), bytes(body)) for key, body in rows]

    def write(self, kind: str, key: str, body: bytes) -> None:
        """Store bytes, instead of those that were there."""
        with self._lock:
            self._database.execute(
                "INSERT INTO things (kind, key, body) VALUES (?, ?, ?)"
                " ON CONFLICT (kind, key) DO UPDATE SET body = excluded.body",
                (kind, key, body),
            )

    def erase(self, kind: str, key: str) -> None:
        """Forget the bytes under this key, if there are any."""
        with self._lock:
            self._database.execute("DELETE FROM things WHERE kind = ? AND key = ?", (kind, key))

    def counts(self) -> dict[str, int]:
        """Return how many things there are of each kind."""
        with self._lock:
            rows = self._database.execute(
                "SELECT kind, count(*) FROM things GROUP BY kind ORDER BY kind"
            ).fetchall()
        return {str(kind): int(count) for kind, count in rows}

    def close(self) -> None:
        """Close the file."""
        with self._lock:
            self._database.close()


def _name(kind: type[Message]) -> str:
    return str(kind.DESCRIPTOR.full_name)
