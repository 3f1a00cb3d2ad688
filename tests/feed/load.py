"""Writers that make it hard to read events in order: slow commits, rollbacks, one that hangs.

Each writer counts up the address of cabinets: the events of a cabinet must say 1, 2, 3, … in turn.
"""

import random
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing, contextmanager
from dataclasses import dataclass, field

import psycopg2
import psycopg2.extensions

from tests.support.waiting import wait_until

Key = tuple[str, int]
"""A cabinet and the number that its event says."""

HANGING = "hanging"
"""The cabinet whose transaction hangs."""

_COUNT = """
    WITH locked AS (
        SELECT cabinet_id FROM cabinets WHERE cabinet_id = ANY (%(cabinet_ids)s)
         ORDER BY cabinet_id FOR UPDATE)
    UPDATE cabinets c SET address = (coalesce(address, '0')::integer + 1)::text
      FROM locked WHERE c.cabinet_id = locked.cabinet_id RETURNING c.cabinet_id, c.address"""
_SECONDS_TO_WRITE = 3600  # a million events, on a busy machine
# Runs the triggers that write events, as COMMIT does: what follows is a slow commit.
_WRITE_EVENTS = "SET CONSTRAINTS ALL IMMEDIATE"


@dataclass(frozen=True)
class Plan:
    """How much is written, and how."""

    events: int
    hang_seconds: float
    """How long one transaction stays open that has written its event."""
    writers: int = 6
    cabinets: int = 40
    most_cabinets_at_once: int = 3
    rolled_back: float = 0.1
    slow: float = 0.1
    """Share of transactions that pause between their statements and before they commit."""
    pause_seconds: float = 0.02
    seed: int = 1


@dataclass
class Written:
    """What was committed."""

    commits: dict[Key, float] = field(default_factory=dict)
    """When the commit returned, by the monotonic clock."""
    rollbacks: int = 0
    hang: tuple[float, float] = (0, 0)
    ended: threading.Event = field(default_factory=threading.Event)
    lock: threading.Lock = field(default_factory=threading.Lock)


def create_cabinets(url: str, plan: Plan) -> None:
    """Create the cabinets that the writers count."""
    with _connected(url) as connection, connection.cursor() as cursor:
        cursor.execute(
            """INSERT INTO cabinets (cabinet_id, device_id, lat, lon, protocol, cells_total)
               SELECT id, id, 0, 0, 'native.v1', 1 FROM unnest(%(ids)s) id""",
            {"ids": [*_cabinets(plan), HANGING]},
        )
        connection.commit()


def write(url: str, plan: Plan, written: Written) -> None:
    """Write as planned; sets `written.ended`, also when a writer fails."""
    try:
        with ThreadPoolExecutor(plan.writers + 1) as pool:
            writers = [pool.submit(_write, url, plan, n, written) for n in range(plan.writers)]
            hanging = pool.submit(_hang, url, plan, written)
        for done in [*writers, hanging]:
            done.result()
    finally:
        written.ended.set()


def _write(url: str, plan: Plan, number: int, written: Written) -> None:
    rng = random.Random(f"{plan.seed} {number}")  # noqa: S311 - a simulation
    cabinets = _cabinets(plan)
    with _connected(url) as connection, connection.cursor() as cursor:
        while len(written.commits) < plan.events:
            pause = plan.pause_seconds * rng.random() if rng.random() < plan.slow else 0
            most = min(3, plan.most_cabinets_at_once) if pause else plan.most_cabinets_at_once
            chosen = sorted(rng.sample(cabinets, rng.randint(1, most)))
            keys: list[Key] = []
            for cabinet_ids in [[one] for one in chosen] if pause else [chosen]:
                keys += _count(cursor, cabinet_ids)
                time.sleep(pause)  # a slow transaction
            if pause:
                cursor.execute(_WRITE_EVENTS)
                time.sleep(pause)  # the same, with its events written
            _end(connection, keys, written, commit=rng.random() >= plan.rolled_back)


def _hang(url: str, plan: Plan, written: Written) -> None:
    """Write an event, and commit much later than others that began later."""
    with _connected(url) as connection, connection.cursor() as cursor:
        wait_until(lambda: len(written.commits) >= plan.events // 3, seconds=_SECONDS_TO_WRITE)
        keys = _count(cursor, [HANGING])
        cursor.execute(_WRITE_EVENTS)
        began = time.monotonic()
        time.sleep(plan.hang_seconds)  # it hangs
        written.hang = (began, time.monotonic())
        _end(connection, keys, written, commit=True)


def _count(cursor: psycopg2.extensions.cursor, cabinet_ids: list[str]) -> list[Key]:
    cursor.execute(_COUNT, {"cabinet_ids": cabinet_ids})
    return [(cabinet_id, int(address)) for cabinet_id, address in cursor.fetchall()]


def _end(
    connection: psycopg2.extensions.connection, keys: list[Key], written: Written, *, commit: bool
) -> None:
    if not commit:
        connection.rollback()
        written.rollbacks += 1
        return
    connection.commit()
    now = time.monotonic()
    with written.lock:
        written.commits.update(dict.fromkeys(keys, now))


def _cabinets(plan: Plan) -> list[str]:
    return [f"C-{n:03}" for n in range(plan.cabinets)]


@contextmanager
def _connected(url: str) -> Iterator[psycopg2.extensions.connection]:
    with closing(psycopg2.connect(url)) as connection:
        yield connection
