"""The trigger bridge between a real broker and a function that can fail, hang and be watched."""

import base64
import json
import logging
import os
import signal
import socket
import subprocess
import sys
import threading
import time
from collections import deque
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any, Protocol, Self

import pytest
from paho.mqtt import publish

from bridge.bridge import Bridge, Invoke
from bridge.settings import Settings
from local.broker import BRIDGE_LOGIN, DEVICE_PASSWORD, Broker
from tests.integration.cable import Cable
from tests.waiting import wait_until

DEADLINE_SECONDS = 10
LOGIN_REFUSED = "the broker refuses the bridge: check its login"


class Function:
    """Keeps each event it is invoked with, in order, and behaves as told."""

    def __init__(self) -> None:
        self.events: list[dict[str, Any]] = []
        self.failures: deque[Exception] = deque()
        self.may_return = threading.Event()
        self.may_return.set()
        self._invoked = threading.Condition()

    def __call__(self, event: dict[str, Any]) -> None:
        with self._invoked:
            self.events.append(event)
            self._invoked.notify_all()
        if self.failures:
            raise self.failures.popleft()
        assert self.may_return.wait(DEADLINE_SECONDS)

    @property
    def batches(self) -> list[list[str]]:
        return [
            [base64.b64decode(m["details"]["payload"]).decode() for m in event["messages"]]
            for event in self.events
        ]

    @property
    def payloads(self) -> list[str]:
        return [payload for batch in self.batches for payload in batch]

    def wait_for(self, condition: Callable[[], bool]) -> None:
        with self._invoked:
            assert self._invoked.wait_for(condition, DEADLINE_SECONDS), self.batches


class Records(logging.Handler):
    """Keeps what is logged while it is entered."""

    def __init__(self) -> None:
        super().__init__()
        self.kept: list[tuple[str, dict[str, Any]]] = []

    def emit(self, record: logging.LogRecord) -> None:
        self.kept.append((record.getMessage(), record.__dict__["fields"]))

    def __enter__(self) -> Self:
        logging.getLogger("scooter_accumulator").addHandler(self)
        return self

    def __exit__(self, *_: object) -> None:
        logging.getLogger("scooter_accumulator").removeHandler(self)


class StartBridge(Protocol):
    def __call__(self, invoke: Invoke, *, port: int | None = None, **settings: Any) -> Bridge: ...


@pytest.fixture
def own_broker(tmp_path: Path) -> Iterator[Broker]:
    """A broker of the test's own, to be killed, and without others' messages."""
    with Broker(tmp_path / "broker") as broker:
        yield broker


@pytest.fixture
def function() -> Function:
    return Function()


@pytest.fixture
def start_bridge(own_broker: Broker, function: Function) -> Iterator[StartBridge]:
    with ExitStack() as stack:

        def start(invoke: Invoke, *, port: int | None = None, **settings: Any) -> Bridge:
            bridge = Bridge(bridge_settings(own_broker, port=port, **settings), invoke)
            stack.callback(bridge.stop)
            bridge.start()
            return bridge

        yield start
        function.may_return.set()


def bridge_settings(broker: Broker, *, port: int | None = None, **settings: Any) -> Settings:
    usual = {
        "bridge_retry_first_seconds": 0.02,
        "bridge_retry_max_seconds": 0.1,
        "mqtt_host": broker.host,
        "mqtt_port": port or broker.port,
        "mqtt_tls": False,
        "mqtt_username": BRIDGE_LOGIN[0],
        "mqtt_password": BRIDGE_LOGIN[1],
    }
    return Settings.model_validate(usual | settings)


def send(broker: Broker, *payloads: str | bytes, device: str = "cab-1") -> None:
    """Publish as a device; when it returns, the broker has taken responsibility for all."""
    broker.add_device(device)
    publish.multiple(
        [(f"$devices/{device}/events", payload, 1, False) for payload in payloads],
        hostname=broker.host,
        port=broker.port,
        auth={"username": device, "password": DEVICE_PASSWORD},
    )


def make_session(start_bridge: StartBridge) -> None:
    """Let the broker know the bridge, so that it keeps messages for it."""
    bridge = start_bridge(Function())
    wait_until(lambda: bridge.connected)
    bridge.stop()


def test_a_message_reaches_the_function_once(
    own_broker: Broker, start_bridge: StartBridge, function: Function
) -> None:
    bridge = start_bridge(function)
    wait_until(lambda: bridge.connected)

    send(own_broker, "hello")
    wait_until(lambda: bridge.counters.delivered == 1)

    details = function.events[0]["messages"][0]["details"]
    assert (details["device_id"], details["registry_id"]) == ("cab-1", "local")
    assert function.batches == [["hello"]]


def test_what_was_acknowledged_does_not_come_again_and_what_was_not_does(
    own_broker: Broker, start_bridge: StartBridge, function: Function
) -> None:
    first = start_bridge(function)
    wait_until(lambda: first.connected)
    send(own_broker, "done")
    wait_until(lambda: first.counters.delivered == 1)
    function.may_return.clear()
    send(own_broker, "in flight", "waiting")
    function.wait_for(lambda: "in flight" in function.payloads)
    first.stop(timeout_seconds=0.2)

    second = Function()
    bridge = start_bridge(second)

    wait_until(lambda: bridge.counters.delivered == 2)
    assert second.payloads == ["in flight", "waiting"]


def test_stop_waits_for_the_batch_in_flight_and_acknowledges_it(
    own_broker: Broker, start_bridge: StartBridge, function: Function
) -> None:
    function.may_return.clear()
    bridge = start_bridge(function)
    wait_until(lambda: bridge.connected)
    send(own_broker, "last")
    function.wait_for(lambda: function.payloads == ["last"])

    threading.Timer(0.2, function.may_return.set).start()
    bridge.stop()

    send(own_broker, "new")
    second = Function()
    successor = start_bridge(second)
    wait_until(lambda: successor.counters.delivered == 1)
    assert second.payloads == ["new"]


def test_stop_returns_in_time_though_the_function_hangs(
    own_broker: Broker, start_bridge: StartBridge, function: Function
) -> None:
    function.may_return.clear()
    bridge = start_bridge(function)
    wait_until(lambda: bridge.connected)
    send(own_broker, "stuck")
    function.wait_for(lambda: function.payloads == ["stuck"])

    began = time.monotonic()
    bridge.stop(timeout_seconds=0.5)

    assert time.monotonic() - began < 2
    function.may_return.set()
    wait_until(lambda: not bridge.alive)


def test_stop_returns_in_time_though_the_function_keeps_failing(
    own_broker: Broker, start_bridge: StartBridge, function: Function
) -> None:
    function.failures.extend([RuntimeError("no database")] * 1000)
    bridge = start_bridge(function, bridge_retry_first_seconds=60, bridge_retry_max_seconds=60)
    wait_until(lambda: bridge.connected)
    send(own_broker, "again and again")
    wait_until(lambda: bridge.counters.failures == 1)

    began = time.monotonic()
    bridge.stop()

    assert time.monotonic() - began < 2
    assert not bridge.alive


def test_a_function_that_fails_gets_the_same_event_until_it_succeeds(
    own_broker: Broker, start_bridge: StartBridge, function: Function
) -> None:
    function.failures.extend([RuntimeError("no database"), TimeoutError(), OSError("reset")])
    bridge = start_bridge(function)
    wait_until(lambda: bridge.connected)

    send(own_broker, "1")
    function.wait_for(lambda: function.payloads[:1] == ["1"])
    send(own_broker, "2", "3")
    wait_until(lambda: bridge.counters.delivered == 3)

    first = function.events[0]
    assert function.events[:4] == [first] * 4
    assert function.payloads == ["1", "1", "1", "1", "2", "3"]
    assert bridge.counters.failures == 3


def test_each_retry_is_logged_with_the_age_of_the_oldest_message(
    own_broker: Broker, start_bridge: StartBridge, function: Function
) -> None:
    function.failures.extend([RuntimeError("no database"), RuntimeError("still none")])
    bridge = start_bridge(function)
    wait_until(lambda: bridge.connected)

    with Records() as records:
        send(own_broker, "1")
        wait_until(lambda: bridge.counters.delivered == 1)

    retries = [fields for message, fields in records.kept if "function failed" in message]
    reasons = ["RuntimeError: no database", "RuntimeError: still none"]
    assert [fields["reason"] for fields in retries] == reasons
    assert all(0 <= fields["oldest_seconds"] < DEADLINE_SECONDS for fields in retries)


def test_a_bridge_may_be_started_before_the_broker(
    own_broker: Broker, start_bridge: StartBridge, function: Function
) -> None:
    make_session(start_bridge)
    own_broker.stop()
    bridge = start_bridge(function)
    assert bridge.alive
    assert not bridge.connected

    own_broker.start()
    wait_until(lambda: bridge.connected)
    send(own_broker, "hello")

    function.wait_for(lambda: function.payloads == ["hello"])


def test_a_refused_login_is_an_error_in_the_log_and_is_tried_again(
    start_bridge: StartBridge, function: Function
) -> None:
    with Records() as records:
        bridge = start_bridge(function, mqtt_password="wrong")
        wait_until(lambda: [m for m, _ in records.kept].count(LOGIN_REFUSED) == 2)

    assert bridge.alive
    assert not bridge.connected


def test_nothing_is_lost_when_the_broker_is_killed_and_comes_back(
    own_broker: Broker, start_bridge: StartBridge, function: Function
) -> None:
    function.may_return.clear()
    bridge = start_bridge(function)
    wait_until(lambda: bridge.connected)
    before = [f"before {n}" for n in range(20)]
    send(own_broker, *before)
    wait_until(lambda: len(function.payloads) + bridge.waiting == len(before))
    own_broker.kill()
    wait_until(lambda: not bridge.connected)
    own_broker.start()

    function.may_return.set()
    wait_until(lambda: bridge.connected)
    after = [f"after {n}" for n in range(20)]
    send(own_broker, *after)

    function.wait_for(lambda: set(function.payloads) >= {*before, *after})


def test_a_message_whose_connection_was_lost_comes_again_and_is_then_acknowledged(
    own_broker: Broker, start_bridge: StartBridge, function: Function
) -> None:
    with Cable(own_broker.host, own_broker.port) as cable:
        function.may_return.clear()
        bridge = start_bridge(function, port=cable.port)
        wait_until(lambda: bridge.connected)
        send(own_broker, "1", "2")
        function.wait_for(lambda: function.payloads[:1] == ["1"])
        cable.cut()
        wait_until(lambda: not bridge.connected)
        function.may_return.set()

        function.wait_for(lambda: function.payloads[1:][-2:] == ["1", "2"])  # both once more
        wait_until(lambda: bridge.counters.delivered == len(function.payloads))
        bridge.stop()

    second = Function()
    start_bridge(second)
    send(own_broker, "3")
    second.wait_for(lambda: "3" in second.payloads)
    assert second.payloads == ["3"]


def test_messages_of_many_devices_come_in_batches_and_in_each_devices_order(
    own_broker: Broker, start_bridge: StartBridge, function: Function
) -> None:
    function.may_return.clear()
    bridge = start_bridge(function)
    wait_until(lambda: bridge.connected)
    devices = [f"cab-{n}" for n in range(10)]
    for device in devices:
        own_broker.add_device(device)
    senders = [
        threading.Thread(
            target=send,
            args=(own_broker, *(f"{device} {n:02}" for n in range(50))),
            kwargs={"device": device},
        )
        for device in devices
    ]
    for sender in senders:
        sender.start()
    for sender in senders:
        sender.join()
    function.may_return.set()
    wait_until(lambda: bridge.counters.delivered == 500)

    for device in devices:
        mine = [p for p in function.payloads if p.startswith(f"{device} ")]
        assert mine == [f"{device} {n:02}" for n in range(50)]
    assert max(map(len, function.batches)) == 100
    assert len(function.events) < 20


def test_a_lone_message_goes_at_once(
    own_broker: Broker, start_bridge: StartBridge, function: Function
) -> None:
    bridge = start_bridge(function, bridge_batch_milliseconds=60_000)
    wait_until(lambda: bridge.connected)

    send(own_broker, "hello")

    function.wait_for(lambda: function.payloads == ["hello"])


def test_messages_that_follow_closely_wait_for_each_other(
    own_broker: Broker, start_bridge: StartBridge, function: Function
) -> None:
    bridge = start_bridge(function, bridge_batch_milliseconds=1000)
    wait_until(lambda: bridge.connected)

    send(own_broker, "1")
    function.wait_for(lambda: function.payloads == ["1"])
    send(own_broker, "2", "3")
    send(own_broker, "4")

    function.wait_for(lambda: len(function.payloads) == 4)
    assert function.batches == [["1"], ["2", "3", "4"]]


def test_a_batch_is_no_larger_than_a_function_can_take(
    own_broker: Broker, start_bridge: StartBridge, function: Function
) -> None:
    function.may_return.clear()
    bridge = start_bridge(function)
    wait_until(lambda: bridge.connected)
    send(own_broker, *[bytes([65 + n]) * 250_000 for n in range(20)])
    function.may_return.set()

    wait_until(lambda: bridge.counters.delivered == 20)
    assert max(len(json.dumps(event)) for event in function.events) < 3_500_000
    assert len(function.events) < 10


def test_more_messages_than_the_buffer_holds_are_fetched_later_and_in_order(
    own_broker: Broker, start_bridge: StartBridge, function: Function
) -> None:
    def invoke(event: dict[str, Any]) -> None:
        function(event)
        if len(function.events) == 2:  # there is room in the buffer again
            send(own_broker, "last")

    function.may_return.clear()
    bridge = start_bridge(invoke, bridge_buffer_messages=5, bridge_batch_size=3)
    wait_until(lambda: bridge.connected)
    sent = [f"{n:02}" for n in range(30)]
    send(own_broker, *sent)
    wait_until(lambda: not bridge.connected)
    function.may_return.set()

    function.wait_for(lambda: "last" in function.payloads)
    assert function.payloads == [*sent, "last"]


def test_an_idle_bridge_stops_at_once(start_bridge: StartBridge, function: Function) -> None:
    bridge = start_bridge(function)
    wait_until(lambda: bridge.connected)

    began = time.monotonic()
    bridge.stop()

    assert time.monotonic() - began < 1
    assert not bridge.alive


def test_a_bridge_leaves_no_thread_behind(start_bridge: StartBridge, function: Function) -> None:
    before = set(threading.enumerate())
    bridge = start_bridge(function)
    wait_until(lambda: bridge.connected)

    bridge.stop()

    wait_until(lambda: set(threading.enumerate()) <= before)


def test_the_process_reports_to_systemd_and_stops_on_sigterm(
    own_broker: Broker, tmp_path: Path
) -> None:
    settings = bridge_settings(own_broker, bridge_function_id="d4e-trigger")
    variables = {name.upper(): str(value) for name, value in settings if value is not None}
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as systemd:
        systemd.settimeout(DEADLINE_SECONDS)
        systemd.bind(str(tmp_path / "notify"))
        process = run_bridge(variables | {"NOTIFY_SOCKET": str(tmp_path / "notify")})
        try:
            assert systemd.recv(100) == b"READY=1"
            while systemd.recv(100) != b"WATCHDOG=1\nSTATUS=connected":
                pass
        finally:
            process.send_signal(signal.SIGTERM)
            output, _ = process.communicate(timeout=5)
        while systemd.recv(100) != b"STOPPING=1":
            pass

    assert process.returncode == 0
    assert json.loads(output.splitlines()[-1])["message"] == "the bridge has stopped"


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("MQTT_PORT", "none"),
        ("MQTT_CA_FILE", "/nowhere.pem"),
        ("BRIDGE_BATCH_SIZE", "0"),
        ("BRIDGE_FUNCTION_ID", ""),
    ],
)
def test_a_wrong_setting_is_named_and_the_exit_code_is_2(name: str, value: str) -> None:
    process = run_bridge({"BRIDGE_FUNCTION_ID": "d4e-trigger", name: value})

    output, _ = process.communicate(timeout=DEADLINE_SECONDS)

    assert process.returncode == 2
    [line] = output.splitlines()
    assert f"{name}: " in json.loads(line)["message"]


def run_bridge(variables: dict[str, str]) -> subprocess.Popen[bytes]:
    environment = {"PATH": os.environ["PATH"]} | variables  # noqa: TID251 - of the test, not ours
    return subprocess.Popen(
        [sys.executable, "-m", "bridge"],
        cwd=Path(__file__).parents[2],
        env=environment,
        stdout=subprocess.PIPE,
    )
