"""Several bridges with one session: one is active, and another takes over when it ends."""

import json
import os
import signal
import threading
import time
from collections import defaultdict
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

from bridge.bridge import Bridge
from bridge.standby import ACTIVE
from local.broker import BRIDGE_LOGIN, DEVICE_PASSWORD, Broker
from local.children import HOST
from tests.faults.cloud import Part
from tests.integration.bridge.bridges import (
    Function,
    RecordedLogs,
    StartBridge,
    bridge_settings,
    send,
)
from tests.support.mqtt import Client
from tests.support.programs import skip_without
from tests.support.proxy import Proxy
from tests.support.waiting import slowdown, wait_until

SIGNS = "$bridges/trigger-bridge/active"
STANDING_BY = "standing by; another bridge may be active"
TAKING_OVER = "no other bridge is active: taking over"
TAKEOVER_SECONDS = 10
SIGNS_SEEN = 9
"""A second apart: longer than the silence after which another bridge takes over."""
DEVICES = [f"cab-{n}" for n in range(20)]
MESSAGES = 100


def messages(records: RecordedLogs) -> list[str]:
    return [message for message, _ in records.kept]


@contextmanager
def signs(broker: Broker) -> Iterator[Client]:
    """A client that receives what bridges say about themselves."""
    with Client(broker, BRIDGE_LOGIN) as observer:
        observer.subscribe(SIGNS)
        yield observer


def see_signs(observer: Client, count: int) -> None:
    """Wait until a bridge has given so many signs, each a second apart."""
    observer.received()
    for _ in range(count):
        while bytes(observer.take().payload) != ACTIVE:
            pass


def start_standby(start_bridge: StartBridge, function: Function) -> Bridge:
    """Start a bridge, and return when it stands by."""
    with RecordedLogs() as records:
        bridge = start_bridge(function, bridge_standby=True)
        wait_until(lambda: STANDING_BY in messages(records))
    return bridge


def test_without_the_setting_a_bridge_is_active_at_once(
    own_broker: Broker, start_bridge: StartBridge, function: Function
) -> None:
    with RecordedLogs() as records:
        bridge = start_bridge(function)
        wait_until(lambda: bridge.is_connected)
    assert messages(records) == ["connected to the broker"]


def test_a_second_bridge_stands_by_while_the_first_one_gives_signs(
    own_broker: Broker, start_bridge: StartBridge, function: Function
) -> None:
    first = start_bridge(function, bridge_standby=True)
    wait_until(lambda: first.is_connected)
    second = start_standby(start_bridge, Function())

    with signs(own_broker) as observer, RecordedLogs() as records:
        see_signs(observer, SIGNS_SEEN)

    assert messages(records) == []
    assert first.is_connected
    assert not second.is_connected


def test_a_bridge_that_stops_is_replaced_and_nothing_is_lost(
    own_broker: Broker, start_bridge: StartBridge, function: Function
) -> None:
    first = start_bridge(function, bridge_standby=True)
    wait_until(lambda: first.is_connected)
    second = start_standby(start_bridge, function)

    stopped_at = time.monotonic()
    first.stop()
    send(own_broker, "meanwhile")
    function.wait_for(lambda: function.payloads == ["meanwhile"])
    wait_until(lambda: second.is_connected)

    assert time.monotonic() - stopped_at < TAKEOVER_SECONDS * slowdown()


def test_a_bridge_that_loses_its_connection_goes_on_or_is_replaced(
    own_broker: Broker, start_bridge: StartBridge, function: Function
) -> None:
    with Proxy(own_broker.host, own_broker.port_of("bridge")) as proxy, signs(own_broker) as seen:
        first = start_bridge(function, port=proxy.port, bridge_standby=True)
        wait_until(lambda: first.is_connected)
        second = start_standby(start_bridge, function)
        proxy.cut_connections()
        wait_until(lambda: not first.is_connected)
        send(own_broker, *map(str, range(20)))

        function.wait_for(lambda: function.payloads[-1:] == ["19"])
        see_signs(seen, 1)
        with RecordedLogs() as records:
            see_signs(seen, SIGNS_SEEN)

        assert TAKING_OVER not in messages(records)
        assert first.is_connected != second.is_connected


def test_a_cabinet_can_neither_give_nor_read_signs(own_broker: Broker) -> None:
    own_broker.add_device("C-1")
    with Client(own_broker, ("C-1", DEVICE_PASSWORD)) as cabinet, signs(own_broker) as observer:
        cabinet.subscribe(SIGNS)
        cabinet.attempt(SIGNS)
        with Client(own_broker, BRIDGE_LOGIN) as bridge:
            bridge.publish(SIGNS, ACTIVE)
        assert observer.payloads(1) == [ACTIVE]
        assert not cabinet.has_received()


def test_bridges_that_start_together_agree_on_one(
    own_broker: Broker, start_bridge: StartBridge, function: Function
) -> None:
    bridges = [start_bridge(function, bridge_standby=True) for _ in range(3)]
    with signs(own_broker) as observer:
        see_signs(observer, 2)  # those that did not win have noticed it
        with RecordedLogs() as records:
            see_signs(observer, SIGNS_SEEN)
    assert TAKING_OVER not in messages(records)
    assert [one.is_connected for one in bridges].count(True) == 1


# --- Processes that are killed or hang -----------------------------------------


class Server(ThreadingHTTPServer):
    """A function that bridges in other processes invoke."""

    daemon_threads = True

    def __init__(self) -> None:
        super().__init__((HOST, 0), Invocation)
        self.payloads: dict[str, list[str]] = defaultdict(list)
        self._lock = threading.Lock()

    def add(self, event: dict[str, Any]) -> None:
        with self._lock:
            for entry, payload in zip(event["messages"], Function.decoded(event), strict=True):
                self.payloads[entry["details"]["device_id"]].append(payload)

    def count(self) -> int:
        """How many messages were received, each counted once."""
        with self._lock:
            return sum(len({*received}) for received in self.payloads.values())

    def in_order(self) -> bool:
        """Whether each device's messages came in order, apart from those that came again."""
        sent = [*map(str, range(MESSAGES))]
        return all([*dict.fromkeys(self.payloads[device])] == sent for device in DEVICES)


class Invocation(BaseHTTPRequestHandler):
    server: Server

    def do_POST(self) -> None:
        self.server.add(json.loads(self.rfile.read(int(self.headers["Content-Length"]))))
        self.send_response(200)
        self.send_header("Content-Length", "2")
        self.end_headers()
        self.wfile.write(b"{}")

    def log_message(self, format: str, *args: Any) -> None:  # noqa: A002 - as inherited
        """Log nothing."""


class Process:
    """A bridge in a process of its own."""

    def __init__(self, broker: Broker, directory: Path, port: int) -> None:
        directory.mkdir()
        settings = bridge_settings(broker, bridge_standby=True, bridge_lanes=4)
        given = {name.upper(): str(value) for name, value in settings if value not in (None, "")}
        self._log = directory / "bridge.jsonl"
        self.part = Part("bridge", directory, (port,), given)
        self.part.start()

    def logged(self, message: str) -> int:
        """How often it has logged this."""
        return self._log.read_text().count(message) if self._log.exists() else 0

    def signal(self, number: signal.Signals) -> None:
        assert self.part.pid is not None
        os.kill(self.part.pid, number)


@pytest.fixture
def server() -> Iterator[Server]:
    with Server() as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        yield server
        server.shutdown()
        thread.join()


@pytest.fixture
def processes(own_broker: Broker, server: Server, tmp_path: Path) -> Iterator[list[Process]]:
    """Two bridges: the first is active, the second stands by."""
    skip_without("mosquitto")
    with ExitStack() as stack:
        found = []
        for name, state in (("first", "connected to the broker"), ("second", STANDING_BY)):
            found.append(Process(own_broker, tmp_path / name, server.server_port))
            stack.callback(found[-1].part.kill)
            wait_until(lambda: found[-1].logged(state))  # noqa: B023 - called at once
        yield found


@contextmanager
def burst(broker: Broker) -> Iterator[None]:
    """Devices that send as fast as the broker takes it."""
    broker.add_devices(*DEVICES)
    payloads = [*map(str, range(MESSAGES))]
    senders = [
        threading.Thread(target=send, args=(broker, *payloads), kwargs={"device": device})
        for device in DEVICES
    ]
    for sender in senders:
        sender.start()
    yield
    for sender in senders:
        sender.join()


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGSTOP])
def test_a_bridge_that_dies_or_hangs_in_a_burst_is_replaced_and_nothing_is_lost(
    own_broker: Broker, server: Server, processes: list[Process], number: signal.Signals
) -> None:
    first, second = processes
    with burst(own_broker):
        wait_until(lambda: server.count() > 100)
        first.signal(number)
        before, began = server.count(), time.monotonic()
        wait_until(lambda: second.logged("connected to the broker"))
        took = time.monotonic() - began
    wait_until(lambda: server.count() == len(DEVICES) * MESSAGES)

    assert before < len(DEVICES) * MESSAGES
    assert took < TAKEOVER_SECONDS * slowdown()
    if number == signal.SIGSTOP:
        standing_by = first.logged(STANDING_BY)
        with signs(own_broker) as observer:
            see_signs(observer, 2)  # the broker has read the acknowledgements before them
            first.signal(signal.SIGCONT)
            wait_until(lambda: first.logged(STANDING_BY) > standing_by)
            see_signs(observer, SIGNS_SEEN)
        assert first.logged(TAKING_OVER) == 1
    assert server.in_order()
    print(f"{number.name}: taken over after {took:.1f} s")  # noqa: T201 - figures for -s
