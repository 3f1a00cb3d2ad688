"""Readers of events: of the feed, and in three simpler ways that go wrong."""

import threading
import time
from collections.abc import Iterator
from contextlib import closing
from dataclasses import dataclass, field
from typing import Any, Protocol

import psycopg2

from shared.models.events import EventQuery
from shared.services import feed
from tests.feed.load import Key

PAGE = 1000


@dataclass
class Received:
    """What a reader received, in order, with the monotonic time."""

    events: list[tuple[Key, float]] = field(default_factory=list)


class Reader(Protocol):
    """Reads the events since the last call; remembers where it stopped."""

    def __call__(self) -> list[Key]:
        """Return the next events; none at the end."""


def follow(reader: Reader, received: Received, ended: threading.Event) -> None:
    """Read as fast as possible until everything that was committed can be read."""
    while True:
        is_last = ended.is_set()
        keys = reader()
        now = time.monotonic()
        received.events += [(key, now) for key in keys]
        if is_last and not keys:
            return


class FeedReader:
    """Reads GET /v1/events, without HTTP. Belongs to one thread."""

    def __init__(self, after: str) -> None:
        self._after = after

    def __call__(self) -> list[Key]:
        """Return the next events."""
        page = feed.read(EventQuery(after=self._after, limit=PAGE))
        self._after = page.cursor
        return [_key(event) for event in page.events]


def from_now() -> FeedReader:
    """Return a reader of what happens from now on."""
    return FeedReader(feed.read(EventQuery()).cursor)


def _key(event: Any) -> Key:
    return event.subject, int(event.resource.address)


COPY = """
    CREATE TABLE copied (number bigint PRIMARY KEY, at timestamptz, xid xid8, cabinet_id text,
                         n integer);
    CREATE INDEX ON copied (at, number);
    CREATE INDEX ON copied (xid, number);
    CREATE FUNCTION copy_event() RETURNS trigger LANGUAGE plpgsql AS $$
    BEGIN
        INSERT INTO copied VALUES (NEW.number, NEW.at, pg_current_xact_id(), NEW.cabinet_id,
                                   (NEW.resource ->> 'address')::integer);
        RETURN NULL;
    END $$;
    CREATE TRIGGER copy AFTER INSERT ON event_outbox FOR EACH ROW EXECUTE FUNCTION copy_event()"""
"""SQL that keeps a copy of every event as it was written, for the simpler ways."""

SIMPLE = {
    "by number": """
        SELECT cabinet_id, n, number AS mark, number FROM copied
         WHERE number > %(mark)s ORDER BY number LIMIT 1000""",
    "by time": """
        SELECT cabinet_id, n, at::text AS mark, number FROM copied
         WHERE (at, number) > (%(mark)s::timestamptz, %(number)s) ORDER BY at, number LIMIT 1000""",
    "by transaction id": """
        SELECT cabinet_id, n, xid::text AS mark, number FROM copied
         WHERE (xid, number) > (%(mark)s::text::xid8, %(number)s)
           AND xid < pg_snapshot_xmin(pg_current_snapshot())
         ORDER BY xid, number LIMIT 1000""",
}
"""Ways to read events without a sequencer: each remembers the last row that it saw."""
_FIRST = {"by number": 0, "by time": "-infinity", "by transaction id": "0"}


class SimpleReader:
    """Reads the copied events in one of the simpler ways."""

    def __init__(self, url: str, way: str) -> None:
        self._rows = self._read(url, SIMPLE[way])
        self._last: dict[str, Any] = {"mark": _FIRST[way], "number": 0}

    def __call__(self) -> list[Key]:
        """Return the next events."""
        return next(self._rows)

    def _read(self, url: str, sql: str) -> Iterator[list[Key]]:
        with closing(psycopg2.connect(url)) as connection:
            connection.autocommit = True
            with connection.cursor() as cursor:
                while True:
                    cursor.execute(sql, self._last)
                    rows = cursor.fetchall()
                    if rows:
                        self._last = {"mark": rows[-1][2], "number": rows[-1][3]}
                    yield [(row[0], row[1]) for row in rows]
