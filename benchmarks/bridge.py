"""Reports through the bridge, with one, two and four lanes; and what one slow invocation delays."""

import base64
import json
import socket
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, redirect_stdout
from io import StringIO
from pathlib import Path
from queue import SimpleQueue
from typing import Any

from benchmarks import city, database, service
from benchmarks.city import City
from benchmarks.figures import Figure, Measured, Table, median, percentile, readable
from benchmarks.local_cloud import wait_until
from benchmarks.reports import Reports
from bridge.bridge import Bridge, Invoke
from bridge.settings import Settings
from local.broker import BRIDGE_LOGIN, DEVICE_PASSWORD, Broker
from local.functions import FunctionPool

LANES = (1, 2, 4)
_ROUND_TRIP_S = 0.03
_SLOW_S = 4.0
_SLOW_DEVICE = "C-1"
_HOW = """\
{reports:,} reports of 12 cells wait in Mosquitto, from {cabinets:,} cabinets; the bridge takes them
to `mqtt_trigger`, which runs in as many processes as there are lanes, with PostgreSQL on the same
machine, fsync on. Reports/s: from the subscription until the last acknowledgement. With a round
trip: each invocation takes {trip:g} ms longer, as if the function were on another machine."""


def measure(*, quick: bool) -> Measured:
    """Measure the rate by lanes, and the delay of other devices while one invocation is slow."""
    cabinets, rounds = (50, 2) if quick else (1000, 5)
    with ExitStack() as stack:
        db = stack.enter_context(database.running())
        city.fill(db, City(cabinets))
        directory = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="bridge-")))
        broker = stack.enter_context(Broker(directory, saves_each_change=False))
        broker.add_devices(*(f"C-{number}" for number in range(1, cabinets + 1)))
        running = stack.enter_context(service.running(db))
        workers = _Workers(LANES[-1])
        stack.callback(workers.close)
        bench = _Bench(broker, Reports(running), cabinets, workers)
        bench.subscribe()
        for lanes in LANES:  # fills caches, connects, and logs every page in full
            bench.rate(lanes, 0, rounds=1)
        rates = [
            (lanes, trip, bench.rate(lanes, trip, rounds))
            for trip in (0.0, _ROUND_TRIP_S)
            for lanes in LANES
        ]
        delays = [(lanes, bench.delays(lanes, 5 if quick else 25)) for lanes in LANES]
    how = _HOW.format(reports=cabinets * rounds, cabinets=cabinets, trip=1000 * _ROUND_TRIP_S)
    return Measured(how, [_figure(rates)], [_rates(rates), _delays(delays)])


class _Rate:
    """How fast messages were delivered."""

    def __init__(self, bridge: Bridge, seconds: float, cpu: float) -> None:
        self.per_second = bridge.counters.delivered / seconds
        self.batch = bridge.counters.delivered / bridge.counters.invocations
        self.cpu_us = 1e6 * cpu / bridge.counters.delivered


class _Bench:
    def __init__(self, broker: Broker, reports: Reports, cabinets: int, apply: Invoke) -> None:
        self._broker = broker
        self._reports = reports
        self._apply = apply
        self._numbers = range(1, cabinets + 1)

    def subscribe(self) -> None:
        """Create the session, so that the broker keeps messages."""
        with self._bridge(1, lambda _: None) as bridge:
            wait_until(lambda: bridge.is_connected, "the bridge has not connected")

    def rate(self, lanes: int, trip: float, rounds: int) -> _Rate:
        """The rate with so many lanes, and so many seconds more for each invocation."""

        def invoke(event: Any) -> Any:
            time.sleep(trip)
            return self._apply(event)

        for number in self._numbers:
            self._send(number, rounds)
        count = rounds * len(self._numbers)
        with self._bridge(lanes, invoke if trip else self._apply) as bridge:
            wait_until(lambda: bridge.is_connected, "the bridge has not connected")
            began, cpu = time.perf_counter(), time.process_time()
            wait_until(lambda: bridge.counters.delivered == count, "not delivered", seconds=100)
            took, cpu = time.perf_counter() - began, time.process_time() - cpu
        return _Rate(bridge, took, cpu)

    def delays(self, lanes: int, count: int) -> list[float]:
        """Milliseconds until others' reports are applied while one device's invocation is slow."""
        is_slow = threading.Event()
        applied: dict[str, float] = {}

        def invoke(event: Any) -> Any:
            devices = [one["details"]["device_id"] for one in event["messages"]]
            if _SLOW_DEVICE in devices:
                is_slow.set()
                time.sleep(_SLOW_S)
            response = self._apply(event)
            applied.update(dict.fromkeys(devices, time.perf_counter()))
            return response

        sent = {}
        with self._bridge(lanes, invoke) as bridge:
            wait_until(lambda: bridge.is_connected, "the bridge has not connected")
            self._send(1, 1)
            is_slow.wait()
            for number in self._numbers[1 : count + 1]:
                sent[f"C-{number}"] = time.perf_counter()
                self._send(number, 1)
                time.sleep(0.05)
            wait_until(lambda: len(applied) == count + 1, "not applied")
        return [1000 * (applied[device] - at) for device, at in sent.items()]

    def _send(self, number: int, count: int) -> None:
        """Publish reports of one cabinet at QoS 1, over a connection of its own."""
        batch = self._reports.batch([number] * count)
        payloads = [base64.b64decode(one["details"]["payload"]) for one in batch]
        device = f"C-{number}"
        login = b"".join(map(_text, (device, device, DEVICE_PASSWORD)))
        packets = _packet(0x10, b"\x00\x04MQTT\x04\xc2\x00\x3c" + login)
        for packet_id, payload in enumerate(payloads, 1):
            header = _text(f"$devices/{device}/events") + packet_id.to_bytes(2, "big")
            packets += _packet(0x32, header + payload)
        with socket.create_connection((self._broker.host, self._broker.port)) as connection:
            connection.sendall(packets)
            answers = 4 + 4 * count  # CONNACK, and as many PUBACK
            while answers:
                answers -= len(connection.recv(answers))
            connection.sendall(b"\xe0\x00")

    @contextmanager
    def _bridge(self, lanes: int, invoke: Invoke) -> Iterator[Bridge]:
        username, password = BRIDGE_LOGIN
        settings = Settings.model_validate(
            {
                "bridge_lanes": lanes,
                "mqtt_host": self._broker.host,
                "mqtt_port": self._broker.port_of(username),
                "mqtt_username": username,
                "mqtt_password": password,
                "mqtt_tls": False,
            }
        )
        bridge = Bridge(settings, invoke)
        bridge.start()
        try:
            yield bridge
        finally:
            bridge.stop()


class _Workers:
    """The function, in processes of its own: each answers lines of JSON and ends with its input."""

    def __init__(self, count: int) -> None:
        self._idle: SimpleQueue[subprocess.Popen[str]] = SimpleQueue()
        self._all = [
            subprocess.Popen(
                [sys.executable, "-m", "benchmarks.bridge"],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                text=True,
            )
            for _ in range(count)
        ]
        for worker in self._all:
            self._idle.put(worker)

    def __call__(self, event: Any) -> Any:
        worker = self._idle.get()
        try:
            if worker.stdin is None or worker.stdout is None:
                raise RuntimeError("a worker has no pipes")
            worker.stdin.write(json.dumps(event) + "\n")
            worker.stdin.flush()
            return json.loads(worker.stdout.readline())
        finally:
            self._idle.put(worker)

    def close(self) -> None:
        for worker in self._all:
            worker.communicate()


def _work() -> None:
    pool, output = FunctionPool(), sys.stdout
    for line in sys.stdin:
        with redirect_stdout(StringIO()):
            response = pool.invoke("mqtt_trigger", json.loads(line), timeout=60)
        output.write(json.dumps(response) + "\n")
        output.flush()


def _packet(kind: int, body: bytes) -> bytes:
    length, size = b"", len(body)
    while size > 127:  # noqa: PLR2004 - seven bits a byte
        length, size = length + bytes([size & 127 | 128]), size >> 7
    return bytes([kind]) + length + bytes([size]) + body


def _text(text: str) -> bytes:
    return len(text).to_bytes(2, "big") + text.encode()


def _figure(rates: list[tuple[int, float, _Rate]]) -> Figure:
    one, most = (rates[-len(LANES) + n][2].per_second for n in (0, -1 % len(LANES)))
    work = f"{LANES[-1]} lanes, with a round trip"
    return Figure(work, most, "reports/s", baseline=one, note="baseline: one lane")


def _rates(rates: list[tuple[int, float, _Rate]]) -> Table:
    rows = [
        [
            lanes,
            f"{1000 * trip:g} ms",
            *map(readable, (rate.per_second, rate.batch, rate.cpu_us)),
        ]
        for lanes, trip, rate in rates
    ]
    headers = [
        "lanes",
        "round trip",
        "reports/s",
        "reports per batch",
        "µs of the bridge per report",
    ]
    return Table(headers, rows, "Rate by lanes. CPU: the bridge's, without the function's.")


def _delays(delays: list[tuple[int, list[float]]]) -> Table:
    rows = [
        [lanes, *map(readable, (median(found), percentile(found, 99), max(found)))]
        for lanes, found in delays
    ]
    caption = (
        f"While one invocation takes {_SLOW_S:g} s: milliseconds until the messages of other"
        " devices, one every 50 ms, are applied."
    )
    return Table(["lanes", "median", "p99", "longest"], rows, caption)


if __name__ == "__main__":
    _work()
