"""From a cabinet's reply on the wire to the HTTP answer that its caller gets.

Ours is the whole local cloud: HTTP, gateway, functions, PostgreSQL, broker, bridge and back. The
peer is one resident process on the same database, broker and cabinets.
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
from benchmarks.peer import process as peer_process
from local.api import Api
from local.broker import BRIDGE_LOGIN, DEVICE_PASSWORD, SERVICE_LOGIN

REPLIES_MS = {0: 120, 50: 120, 300: 120, 2000: 24}
"""When the cabinet replies, and how many unlocks are timed."""
ROUNDS = 4
COUNTED = 5
P50_MS, P99_MS = 15, 40
QUERIES = 20
PEER = 1.3

_HOW = """\
The milliseconds between the moment when the simulated cabinet hands its reply to its socket and the
HTTP answer. One caller, one cell an unlock; ours and the peer's by turns in {rounds} rounds on the
same database and broker (both on this machine, the database's files in memory where there is
room), the other's process being stopped. Floor: a message to a cabinet and its reply over the same
broker, and one commit in the same database. Peer: FastAPI, asyncpg and aiomqtt in one process that
never sleeps and waits by a future in memory; the same checks and records."""


@dataclass(frozen=True)
class Side:
    """Whom the unlocks are asked of, and what came out: milliseconds by the cabinet's delay."""

    api: Api
    number: int
    """The process that is stopped while the other side is measured."""
    added: dict[int, list[float]] = field(default_factory=dict)
    total: dict[int, list[float]] = field(default_factory=dict)
    booking: list[float] = field(default_factory=list)


def measure(*, quick: bool) -> Measured:
    """Unlocks at each delay by ours and by the peer, the floor, and the queries of an unlock."""
    rounds = 1 if quick else ROUNDS
    replies = {0: 4, 50: 4, 300: 4, 2000: 1} if quick else REPLIES_MS
    unlocks = 2 * (sum(replies.values()) + rounds * len(replies))
    counted = 2 * (COUNTED + 1)
    with (
        running(2 + unlocks // CELLS + counted) as cloud,
        peer_process.running(cloud) as (peer, peer_api),
    ):
        cells = _cells(cloud)
        ours, other = Side(cloud.backend, cloud.process.pid), Side(peer_api, peer.pid)
        for delay_ms, count in replies.items():
            for _ in range(rounds):
                for side, resting in ((ours, other), (other, ours)):
                    with _stopped(resting.number):
                        _unlock(side, next(cells), delay_ms, warm_up=True)
                        for _ in range(count // rounds):
                            _unlock(side, next(cells), delay_ms)
        queries, fresh = [], iter(cloud.cabinets[-counted:])
        for side, resting in ((ours, other), (other, ours)):
            with _stopped(resting.number):
                queries.append(_queries(cloud, side, fresh))
        with _stopped(ours.number), _stopped(other.number):
            floor = _floor(cloud, 20 if quick else 300)
        cloud.audit()
    return _measured(ours, other, floor, queries, rounds)


def _cells(cloud: LocalCloud) -> Iterator[TimedCabinet]:
    """A cabinet with something to issue, again and again."""
    for cabinet in cloud.cabinets[1:]:  # the first is the floor's
        yield from [cabinet] * CELLS
    raise RuntimeError("there are too few cabinets for so many unlocks")


@contextmanager
def _stopped(number: int) -> Iterator[None]:
    """The other side's process is stopped meanwhile, so that it neither works nor answers."""
    os.kill(number, signal.SIGSTOP)
    try:
        yield
    finally:
        os.kill(number, signal.SIGCONT)


def _unlock(side: Side, cabinet: TimedCabinet, delay_ms: int, *, warm_up: bool = False) -> None:
    """Book a cell and unlock it, timed."""
    booked_at = time.perf_counter()
    booking = _book(side, cabinet)
    cabinet.delay_s = delay_ms / 1000
    asked_at = time.perf_counter()
    answer = side.api.post(f"/v1/bookings/{booking}/unlock")
    answered_at = time.perf_counter()
    if answer["status"] != "completed":
        raise RuntimeError(f"an unlock went wrong: {answer}")
    if not warm_up:
        side.booking.append(1000 * (asked_at - booked_at))
        side.added.setdefault(delay_ms, []).append(1000 * (answered_at - cabinet.spoke_at))
        side.total.setdefault(delay_ms, []).append(1000 * (answered_at - asked_at))


def _book(side: Side, cabinet: TimedCabinet) -> str:
    wanted = {"cabinet_id": cabinet.device_id, "contractor_id": "T-1", "kind": "issue", "count": 1}
    booking_id: str = side.api.post("/v1/bookings", wanted)["booking_id"]
    return booking_id


def _queries(cloud: LocalCloud, side: Side, fresh: Iterator[TimedCabinet]) -> float:
    """What PostgreSQL's log of statements shows for an unlock that is answered after 300 ms.

    Each of a cabinet whose other doors are closed, as they are when technicians close them.
    """
    _unlock(side, next(fresh), 0, warm_up=True)
    log = cloud.data_dir / "postgres" / "postgres.log"
    counts = []
    for _ in range(COUNTED):
        cabinet = next(fresh)
        booking = _book(side, cabinet)
        cabinet.delay_s = 0.3
        cloud.sql("ALTER SYSTEM SET log_statement = 'all'")
        cloud.sql("SELECT pg_reload_conf()")
        wait_until(lambda: cloud.sql("SHOW log_statement") == [("all",)], "nothing is logged")
        begin = log.stat().st_size
        side.api.post(f"/v1/bookings/{booking}/unlock")
        found = log.read_bytes()[begin:]
        counts.append(len(re.findall(rb"LOG:  (?:statement|execute)", found)))
        cloud.sql("ALTER SYSTEM RESET log_statement")
        cloud.sql("SELECT pg_reload_conf()")
    return median(counts)


def _floor(cloud: LocalCloud, count: int) -> list[float]:
    """Milliseconds: to a cabinet and back by the broker, and one commit."""
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
    client.connect(cloud.addresses["mqtt_host"], cloud.addresses["mqtt_port"])
    client.loop_start()
    try:
        if not ready.wait(10):
            raise TimeoutError("the broker does not answer")
        yield client
    finally:
        client.disconnect()
        client.loop_stop()


def _measured(
    ours: Side, peer: Side, floor: list[float], queries: list[float], rounds: int
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
                    floor=percentile(floor, percent),
                    peer=percentile(peer.added[delay], percent),
                    goal=f"≤ {goal} ms",
                    met=value <= goal,
                    note=f"{len(added)} unlocks",
                )
            )
    total, theirs = median(ours.total[300]), median(peer.total[300])
    figures += [
        Figure(
            "unlock, reply after 300 ms: whole, p50",
            total,
            "ms",
            peer=theirs,
            goal=f"≤ {PEER} x the peer",
            met=total <= PEER * theirs,
        ),
        Figure(
            "unlock, reply after 300 ms: messages to PostgreSQL",
            queries[0],
            "",
            peer=queries[1],
            goal=f"≤ {QUERIES}",
            met=queries[0] <= QUERIES,
            note="by unlock and mqtt_trigger, from the lock to the last read",
        ),
        Figure("a booking by HTTP, p50", median(ours.booking), "ms", peer=median(peer.booking)),
    ]
    return Measured(how=_HOW.format(rounds=rounds), figures=figures)
