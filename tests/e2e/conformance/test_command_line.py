"""`python -m tools conformance` as a maker runs it."""

import html
import json
import shlex
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import IO, Any

import pytest
from paho.mqtt.enums import MQTTProtocolVersion

from local.cabinet.control import ControlServer
from local.cabinet.fleet import Fleet
from tests.e2e.conformance.faulty import FaultyDevice, SimulatedHand, run_kit
from tests.e2e.conformance.mistakes import MISTAKES
from tests.support.command_line import environment
from tests.support.local_cloud import LocalCloud
from tests.support.processes import ROOT
from tests.support.programs import needs
from tools.conformance.hand import Nobody
from tools.conformance.hand import Result as Done

pytestmark = pytest.mark.slow

CABINET = "C-001"
CELLS = 4
_SECONDS = ("--answer-seconds", "5", "--spread-seconds", "1", "--outage-seconds", "1.5")


class Kit:
    """A running kit."""

    def __init__(self, directory: Path, *options: str) -> None:
        self.directory = directory
        self.printed: list[str] = []
        command = [sys.executable, "-m", "tools", "conformance", "--device-id", CABINET]
        numbers = ["--cells", str(CELLS), "--port", "0", "--report", str(directory), *_SECONDS]
        self.process = subprocess.Popen(
            [*command, *numbers, *options],
            cwd=ROOT,
            env=environment({}),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            start_new_session=True,
        )

    def read_to(self, words: str) -> str:
        """Read what it prints until a line with these words, and return the line."""
        for line in self._output:
            self.printed.append(line)
            if words in line:
                return line
        raise AssertionError(f"not printed: {words}\n{self.text}")

    def end(self) -> int:
        """Read the rest; return the exit code."""
        self.printed += self._output
        return self.process.wait()

    @property
    def text(self) -> str:
        return "".join(self.printed)

    @property
    def report(self) -> Any:
        return json.loads((self.directory / "report.json").read_text())

    @property
    def _output(self) -> IO[str]:
        assert self.process.stdout
        return self.process.stdout


@contextmanager
def kit(directory: Path, *options: str) -> Iterator[Kit]:
    running = Kit(directory, *options)
    try:
        yield running
    finally:
        running.process.kill()
        running.process.wait()
        running._output.close()


@pytest.fixture
def fleet() -> Iterator[Fleet]:
    """A simulated cabinet that is switched off, and that knows which commands it knows."""
    fleet = Fleet(1, CELLS)
    hardware = fleet.by_id[CABINET].hardware
    hardware.firmware = replace(hardware.firmware, knows_all_commands=False)
    yield fleet
    fleet.stop()


@pytest.fixture
def hand(fleet: Fleet) -> Iterator[str]:
    """The program that is the hand at the simulated cabinet."""
    control = ControlServer(fleet)
    control.start()
    yield shlex.join([sys.executable, "-I", simulated_hand_path(), control.url, CABINET])
    control.stop()


def simulated_hand_path() -> str:
    return str(Path(__file__).with_name("simulated_hand.py"))


def test_the_simulated_cabinet_keeps_every_rule(tmp_path: Path, fleet: Fleet, hand: str) -> None:
    with kit(tmp_path, "--hand", hand) as running:
        port = int(running.read_to("port").split()[1].rstrip(","))
        running.read_to("step 1")
        fleet.start("127.0.0.1", port)
        assert running.end() == 0, running.text
    rules = {one["id"]: one for one in running.report["rules"]}
    assert running.report["summary"]["broken"] == 0
    assert [name for name, one in rules.items() if one["status"] != "held"] == ["ten-minutes"]
    assert rules["once"]["evidence"]
    page = (tmp_path / "report.html").read_text()
    assert all(html.escape(one["title"]) in page for one in rules.values())
    assert "src=" not in page
    assert "://" not in page


def test_ctrl_c_ends_the_kit_with_a_report(tmp_path: Path) -> None:
    with kit(tmp_path) as running:
        running.read_to("step 1")
        running.process.send_signal(signal.SIGINT)
        assert running.end() == 130
    assert "stopped: interrupted" in running.text
    assert running.report["stopped"] == "interrupted"
    assert "Traceback" not in running.text


def test_without_a_hand_the_kit_says_what_was_not_checked(stack: LocalCloud) -> None:
    result = run_kit(stack, ["doors", "repeat", "power"], hand=lambda _: Nobody())
    assert result.of("broken") == []
    assert {"doors": "needs a hand", "power": "needs a hand"}.items() <= (
        result.steps_without_end().items()
    )
    left_out = {rule.id for rule, _ in result.of("not_checked")}
    assert {"once", "door-event", "content-event", "new-boot-id"} <= left_out


def test_a_change_that_only_a_report_shows_was_made_but_not_told(stack: LocalCloud) -> None:
    class SlowHand(SimulatedHand):
        def do(self, action: str, cell: int | None, is_seen: Callable[[float], bool]) -> Done:
            super().do(action, cell, is_seen)
            return "not_done"

    planted = MISTAKES["says_nothing_when_a_door_is_closed"]
    result = run_kit(stack, planted.steps, planted.plant, hand=SlowHand)
    assert [rule.id for rule, _ in result.of("broken")] == ["door-event"]


@needs("mosquitto")
def test_a_cabinet_that_speaks_mqtt_5_keeps_the_same_rules(stack: LocalCloud) -> None:
    def speak_5(device: FaultyDevice) -> None:
        device.protocol = MQTTProtocolVersion.MQTTv5

    result = run_kit(stack, ["lock", "cut"], speak_5)
    assert result.of("broken") == []
    lines = {rule.id: verdict.line for rule, verdict in result.of("held")}
    assert lines["version"] == "MQTT 5"
    assert {"will", "clean-session", "subscribe-qos", "publish-qos", "reconnects"} <= set(lines)
