"""Time from a cabinet's reply on the wire to the HTTP response.

Ours is the whole local cloud: HTTP, gateway, functions, PostgreSQL, broker and bridge. The
reference implementation is one resident process with the same database, broker and cabinets.
"""

import os
import re
import signal
import socket
import threading
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass, field
from typing import Any

import psycopg2
from paho.mqtt.client import Client
from paho.mqtt.enums import CallbackAPIVersion

from benchmarks.figures import Figure, Measured, median, percentile
from benchmarks.local_cloud import CELLS, LocalCloud, TimedCabinet, running, wait_until
from benchmarks.reference import process as reference_process
from local.api import Api
from local.broker import BRIDGE_LOGIN, DEVICE_PASSWORD, SERVICE_LOGIN

REPLIES_MS = {0: 120, 50: 120, 300: 120, 2000: 24}
"""When the cabinet replies, and how many unlocks are timed."""
ROUNDS = 4
COUNTED = 5
P50_MS, P99_MS = 15, 40
QUERIES = 20
TOTAL_RATIO = 1.3

_HOW = """\
Milliseconds from the moment when the simulated cabinet writes its reply to its socket to the
HTTP response. One caller, one cell per unlock. Ours and the reference implementation alternate
in {rounds} rounds on the same database and broker, while the other one's process is stopped.
Database and broker run on this machine, the database's files in memory if there is room.
Baseline: a message to a cabinet and its reply through the same broker, and one commit in the
same database. Reference: FastAPI, asyncpg and aiomqtt in one resident process that waits for the
reply with a future in memory, and makes the same checks and records."""


@dataclass(frozen=True)
class Side:
    """One of the two implementations, and its times in milliseconds by the cabinet's delay."""

    api: Api
    pid: int
    """Of the process that is stopped while the other side is measured."""
    added: dict[int, list[float]] = field(default_factory=dict)
    total: dict[int, list[float]] = field(default_factory=dict)
    booking: list[float] = field(default_factory=list)


def measure(*, quick: bool) -> Measured:
    """Measure unlocks at each delay on both sides, the baseline, and the queries of an unlock."""
    rounds = 1 if quick else ROUNDS
    replies = {0: 4, 50: 4, 300: 4, 2000: 1} if quick else REPLIES_MS
    unlocks = 2 * (sum(replies.values()) + rounds * len(replies))
    counted = 2 * (COUNTED + 1)
    with (
        running(2 + unlocks // CELLS + counted) as cloud,
        reference_process.running(cloud) as (reference, reference_api),
    ):
        cells = _cells(cloud)
        ours, other = Side(cloud.backend, cloud.process.pid), Side(reference_api, reference.pid)
        for delay_ms, count in replies.items():
            for _ in range(rounds):
                for side, resting in ((ours, other), (other, ours)):
                    with _stopped(resting.pid):
                        _unlock(side, next(cells), delay_ms, warm_up=True)
                        for _ in range(count // rounds):
                            _unlock(side, next(cells), delay_ms)
        queries, fresh = [], iter(cloud.cabinets[-counted:])
        for side, resting in ((ours, other), (other, ours)):
            with _stopped(resting.pid):
                queries.append(_queries(cloud, side, fresh))
        with _stopped(ours.pid), _stopped(other.pid):
            baseline = _baseline(cloud, 20 if quick else 300)
        cloud.audit()
    return _measured(ours, other, baseline, queries, rounds)


def _cells(cloud: LocalCloud) -> Iterator[TimedCabinet]:
    """For each unlock, a cabinet that still has an accumulator to issue."""
    for cabinet in cloud.cabinets[1:]:  # the first is for the baseline
        yield from [cabinet] * CELLS
    raise RuntimeError("too few cabinets for this number of unlocks")


@contextmanager
def _stopped(pid: int) -> Iterator[None]:
    """Stop the other side's process, so that it uses no CPU and receives no reply."""
    os.kill(pid, signal.SIGSTOP)
    try:
        yield
    finally:
        os.kill(pid, signal.SIGCONT)


def _unlock(side: Side, cabinet: TimedCabinet, delay_ms: int, *, warm_up: bool = False) -> None:
    """Book a cell and unlock it; record the times unless it is a warm-up."""
    booked_at = time.perf_counter()
    booking = _book(side, cabinet)
    cabinet.reply_delay_s = delay_ms / 1000
    asked_at = time.perf_counter()
    answer = side.api.post(f"/v1/bookings/{booking}/unlock")
    answered_at = time.perf_counter()
    if answer["status"] != "completed":
        raise RuntimeError(f"an unlock failed: {answer}")
    if not warm_up:
        side.booking.append(1000 * (asked_at - booked_at))
        side.added.setdefault(delay_ms, []).append(1000 * (answered_at - cabinet.spoke_at))
        side.total.setdefault(delay_ms, []).append(1000 * (answered_at - asked_at))


def _book(side: Side, cabinet: TimedCabinet) -> str:
    wanted = {"cabinet_id": cabinet.device_id, "contractor_id": "T-1", "kind": "issue", "count": 1}
    booking_id: str = side.api.post("/v1/bookings", wanted)["booking_id"]
    return booking_id


def _queries(cloud: LocalCloud, side: Side, fresh: Iterator[TimedCabinet]) -> float:
    """Median number of statements in PostgreSQL's log per unlock, with a reply after 300 ms.

    Each unlock uses another cabinet, whose doors are all closed.
    """
    _unlock(side, next(fresh), 0, warm_up=True)
    log = cloud.data_dir / "postgres" / "postgres.log"
    counts = []
    for _ in range(COUNTED):
        cabinet = next(fresh)
        booking = _book(side, cabinet)
        cabinet.reply_delay_s = 0.3
        cloud.sql("ALTER SYSTEM SET log_statement = 'all'")
        cloud.sql("SELECT pg_reload_conf()")
        wait_until(
            lambda: cloud.sql("SHOW log_statement") == [("all",)], "statements are not logged"
        )
        begin = log.stat().st_size
        side.api.post(f"/v1/bookings/{booking}/unlock")
        found = log.read_bytes()[begin:]
        counts.append(len(re.findall(rb"LOG:  (?:statement|execute)", found)))
        cloud.sql("ALTER SYSTEM RESET log_statement")
        cloud.sql("SELECT pg_reload_conf()")
    return median(counts)


def _baseline(cloud: LocalCloud, count: int) -> list[float]:
    """Milliseconds of a message to a cabinet, its reply, and one commit."""
    cabinet = cloud.cabinets[0]
    cabinet.stop()
    arrived = threading.Event()
    commands, events = (f"$devices/{cabinet.device_id}/{way}" for way in ("commands", "events"))
    with (
        _client(cloud, (cabinet.device_id, DEVICE_PASSWORD), commands) as device,
        _client(cloud, BRIDGE_LOGIN, events) as bridge,
        _client(cloud, SERVICE_LOGIN, "$nothing") as service,
        closing(psycopg2.connect(cloud.addresses["database_url"])) as connection,
    ):
        device.on_message = lambda _c, _u, sent: _say(device, events, bytes(sent.payload))
        bridge.on_message = lambda *_: arrived.set()
        took = []
        for _ in range(count):
            arrived.clear()
            began = time.perf_counter()
            service.publish(commands, b"{}", 1)
            arrived.wait(10)
            with connection, connection.cursor() as cursor:
                cursor.execute(
                    "UPDATE cabinets SET last_seen_at = now() WHERE cabinet_id = 'B-001'"
                )
            took.append(1000 * (time.perf_counter() - began))
    return took


def _say(client: Client, topic: str, payload: bytes) -> None:
    client.publish(topic, payload, 1)


def _subscribe(client: Client, topic: str) -> None:
    client.subscribe(topic, 1)


def _send_at_once(_client: Client, _userdata: object, connection: Any) -> None:
    connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)


@contextmanager
def _client(cloud: LocalCloud, login: tuple[str, str], topic: str) -> Iterator[Client]:
    """A client that has subscribed to a topic."""
    ready = threading.Event()
    client = Client(CallbackAPIVersion.VERSION2)
    client.username_pw_set(*login)
    client.on_socket_open = _send_at_once
    client.on_connect = lambda *_: _subscribe(client, topic)
    client.on_subscribe = lambda *_: ready.set()
    is_own = login in (BRIDGE_LOGIN, SERVICE_LOGIN)
    port = cloud.addresses["mqtt_service_port" if is_own else "mqtt_port"]
    client.connect(cloud.addresses["mqtt_host"], port)
    client.loop_start()
    try:
        if not ready.wait(10):
            raise TimeoutError("the broker does not answer")
        yield client
    finally:
        client.disconnect()
        client.loop_stop()


def _measured(
    ours: Side, reference: Side, baseline: list[float], queries: list[float], rounds: int
) -> Measured:
    figures = []
    for delay, added in ours.added.items():
        for percent, goal in ((50, P50_MS), (99, P99_MS)):
            value = percentile(added, percent)
            figures.append(
                Figure(
                    f"unlock, reply after {delay:,} ms: added, p{percent}",
                    value,
                    "ms",
                    baseline=percentile(baseline, percent),
                    reference=percentile(reference.added[delay], percent),
                    goal=f"≤ {goal} ms",
                    met=value <= goal,
                    note=f"{len(added)} unlocks",
                )
            )
    total, theirs = median(ours.total[300]), median(reference.total[300])
    figures += [
        Figure(
            "unlock, reply after 300 ms: whole, p50",
            total,
            "ms",
            reference=theirs,
            goal=f"≤ {TOTAL_RATIO} x the reference",
            met=total <= TOTAL_RATIO * theirs,
        ),
        Figure(
            "unlock, reply after 300 ms: messages to PostgreSQL",
            queries[0],
            "",
            reference=queries[1],
            goal=f"≤ {QUERIES}",
            met=queries[0] <= QUERIES,
            note="by unlock and mqtt_trigger, from the lock to the last read",
        ),
        Figure(
            "a booking by HTTP, p50",
            median(ours.booking),
            "ms",
            reference=median(reference.booking),
        ),
    ]
    return Measured(how=_HOW.format(rounds=rounds), figures=figures)
