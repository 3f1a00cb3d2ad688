"""The bridge and its process stop in time, whatever they are doing."""

import json
import os
import signal
import socket
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest

from local.broker import Broker
from tests.integration.bridge.bridges import (
    DEADLINE_SECONDS,
    Function,
    StartBridge,
    bridge_settings,
    send,
)
from tests.support.waiting import slowdown, wait_until


def test_stop_waits_for_the_batch_in_flight_and_acknowledges_it(
    own_broker: Broker, start_bridge: StartBridge, function: Function
) -> None:
    function.may_return.clear()
    bridge = start_bridge(function)
    wait_until(lambda: bridge.is_connected)
    send(own_broker, "last")
    function.wait_for(lambda: function.payloads == ["last"])

    threading.Timer(0.2, function.may_return.set).start()
    bridge.stop()

    send(own_broker, "new")
    second = Function()
    successor = start_bridge(second)
    wait_until(lambda: successor.counters.delivered == 1)
    assert second.payloads == ["new"]


def test_stop_returns_at_its_time_limit_if_the_function_hangs(
    own_broker: Broker, start_bridge: StartBridge, function: Function
) -> None:
    function.may_return.clear()
    bridge = start_bridge(function)
    wait_until(lambda: bridge.is_connected)
    send(own_broker, "stuck")
    function.wait_for(lambda: function.payloads == ["stuck"])

    began = time.monotonic()
    bridge.stop(timeout_seconds=0.5)

    assert time.monotonic() - began < 5 * slowdown()
    function.may_return.set()
    wait_until(lambda: not bridge.is_alive)


def test_stop_returns_immediately_while_a_retry_is_pending(
    own_broker: Broker, start_bridge: StartBridge, function: Function
) -> None:
    function.failures.extend([RuntimeError("no database")] * 1000)
    bridge = start_bridge(function, bridge_retry_first_seconds=60, bridge_retry_max_seconds=60)
    wait_until(lambda: bridge.is_connected)
    send(own_broker, "again and again")
    wait_until(lambda: bridge.counters.failures == 1)

    began = time.monotonic()
    bridge.stop(timeout_seconds=60)

    assert time.monotonic() - began < 5 * slowdown()
    assert not bridge.is_alive


def test_an_idle_bridge_stops_at_once(start_bridge: StartBridge, function: Function) -> None:
    bridge = start_bridge(function)
    wait_until(lambda: bridge.is_connected)

    began = time.monotonic()
    bridge.stop(timeout_seconds=60)

    assert time.monotonic() - began < 5 * slowdown()
    assert not bridge.is_alive


def test_a_stopped_bridge_leaves_no_thread_behind(
    start_bridge: StartBridge, function: Function
) -> None:
    before = set(threading.enumerate())
    bridge = start_bridge(function)
    wait_until(lambda: bridge.is_connected)

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
            output, _ = process.communicate(timeout=DEADLINE_SECONDS)
        while systemd.recv(100) != b"STOPPING=1":
            pass

    assert process.returncode == 0
    assert json.loads(output.splitlines()[-1])["message"] == "bridge stopped"


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("MQTT_PORT", "none"),
        ("MQTT_CA_FILE", "/nowhere.pem"),
        ("BRIDGE_BATCH_SIZE", "0"),
        ("BRIDGE_FUNCTION_ID", ""),
    ],
)
def test_an_invalid_setting_is_named_and_the_exit_code_is_2(name: str, value: str) -> None:
    process = run_bridge({"BRIDGE_FUNCTION_ID": "d4e-trigger", name: value})

    output, _ = process.communicate(timeout=DEADLINE_SECONDS)

    assert process.returncode == 2
    [line] = output.splitlines()
    assert f"{name}: " in json.loads(line)["message"]


def run_bridge(variables: dict[str, str]) -> subprocess.Popen[bytes]:
    environment = {"PATH": os.environ["PATH"]} | variables  # noqa: TID251 - of the test
    return subprocess.Popen(
        [sys.executable, "-m", "bridge"],
        cwd=Path(__file__).parents[3],
        env=environment,
        stdout=subprocess.PIPE,
    )
