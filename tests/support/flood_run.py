"""Measure a neighbour's messages at the deployed broker during a flood, and print them as JSON.

`python -m tests.support.flood_run SECONDS KIND...`: for each kind of tests.support.flood, or
`nothing`, the milliseconds of the neighbour's messages to the bridge, and to the function. It needs
a network namespace of its own, in which it applies the deployed limits.
"""

import base64
import json
import subprocess
import sys
import time
from datetime import datetime
from pathlib import Path
from statistics import median, quantiles
from typing import Any

from bridge.bridge import Bridge
from bridge.settings import read
from shared import log
from tests.integration.deployment.deployed_broker import bridge_environment, printed_login
from tests.support.database import fast_directory
from tests.support.deployment import RECIPE, Deployment
from tests.support.lockbox import Cloud
from tests.support.processes import ROOT
from tests.support.waiting import wait_until


class Function:
    """Takes as long as mqtt_trigger: 15 ms for a batch and 1 ms for each message."""

    def __init__(self) -> None:
        self.arrived: list[tuple[float, float]] = []
        self.messages = 0

    def __call__(self, event: dict[str, Any]) -> None:
        now = time.time()
        for message in event["messages"]:
            payload = base64.b64decode(message["details"]["payload"])
            if payload[:1].isdigit():
                sent = float(payload)
                at = datetime.fromisoformat(message["event_metadata"]["created_at"]).timestamp()
                self.arrived.append(((at - sent) * 1000, (now - sent) * 1000))
        self.messages += len(event["messages"])
        time.sleep(0.015 + 0.001 * len(event["messages"]))


def main() -> None:
    """Run the scenarios one after another."""
    seconds, *kinds = sys.argv[1:]
    log.configure("WARNING", sys.stderr)
    subprocess.run(["ip", "link", "set", "lo", "mtu", "1500", "up"], check=True)
    with fast_directory() as directory, Cloud() as cloud, Deployment(directory, cloud) as machine:
        assert machine.refresh().returncode == 0
        _limit(machine, directory)
        logins = [printed_login(machine.logins("add", name)) for name in ("neighbour", "flood")]
        assert machine.refresh().returncode == 0
        found = {kind: _measure(machine, kind, seconds, logins) for kind in kinds}
        print(json.dumps(found))  # noqa: T201 - a program


def _limit(machine: Deployment, directory: Path) -> None:
    rules = (RECIPE / "nftables.conf").read_text()
    rules = rules.replace("8883-8885", f"{{ {machine.port}, {machine.own_port} }}")
    rules = rules.replace("8883-8884", str(machine.port))
    file = directory / "nftables.conf"
    file.write_text(rules)
    subprocess.run(["nft", "-f", file], check=True)


def _measure(
    machine: Deployment, kind: str, seconds: str, logins: list[tuple[str, str]]
) -> dict[str, Any]:
    function = Function()
    given = {**bridge_environment(machine), "MQTT_PORT": str(machine.own_port)}
    bridge = Bridge(read(given), function)
    bridge.start()
    wait_until(lambda: bridge.is_connected)
    place = (machine.host, str(machine.port), str(machine.pki / "ca.pem"))
    clients = {}
    for name, login in zip(("neighbour", kind), logins, strict=True):
        if name != "nothing":
            command = [sys.executable, "-m", "tests.support.flood", name, *place, *login, seconds]
            clients[name] = subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, text=True)
    sent = {name: int(client.communicate()[0]) for name, client in clients.items()}
    wait_until(lambda: len(function.arrived) >= sent["neighbour"], seconds=30)
    wait_until(lambda: bridge.waiting == 0, seconds=30)
    bridge.stop()
    to_bridge, to_function = (sorted(column) for column in zip(*function.arrived, strict=True))
    return {
        "sent": sent,
        "neighbour": len(function.arrived),
        "invoked": function.messages,
        "bridge_ms": _summary(to_bridge),
        "function_ms": _summary(to_function),
    }


def _summary(milliseconds: list[float]) -> dict[str, float]:
    percent = quantiles(milliseconds, n=100)
    found = {"median": median(milliseconds), "p95": percent[94], "p99": percent[98]}
    return {name: round(value, 1) for name, value in found.items()}


if __name__ == "__main__":
    main()
