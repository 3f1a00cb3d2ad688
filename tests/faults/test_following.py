"""Programs that follow the feed, and the service that they follow, are killed under load."""

import json
import random
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from uuid import UUID

import pytest

from local.stack import API_KEYS
from shared import cursor
from tests.faults.cloud import CONNECTION, Cloud, running
from tests.faults.technicians import Load, Technician
from tests.support.command_line import environment
from tests.support.processes import ROOT
from tests.support.programs import skip_without
from tests.support.waiting import wait_until

PROGRAMS = {
    "example": ["examples/follow_events.py"],
    "tool": ["-m", "tools", "events", "--follow", "--json", "--cursor-file"],
}
TECHNICIANS = 6
KILLS = 2
"""How often a program is killed after each kill of a part."""
SECONDS_TO_RECOVER = 60


@pytest.fixture
def cloud() -> Iterator[Cloud]:
    skip_without("mosquitto")  # amqtt loses messages when it is killed
    with running() as cloud:
        yield cloud


class Reader:
    """A program that follows the feed. Each of its runs prints to a file of its own."""

    def __init__(self, cloud: Cloud, directory: Path, command: Sequence[str]) -> None:
        self._directory = directory
        directory.mkdir()
        self._file = directory / "cursor.txt"
        self._file.write_text(cloud.api("read").get("/v1/events")["cursor"])
        self._command = [sys.executable, *command, str(self._file)]
        names = {"SCOOTER_ACCUMULATOR_URL": cloud.url, "SCOOTER_ACCUMULATOR_KEY": API_KEYS["read"]}
        self._environment = environment(names)
        self.begun_after: list[int] = []
        """The position of the cursor at the start of each run."""
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def position(self) -> int:
        """The position of the saved cursor."""
        return position_of(self._file.read_text().strip())

    def start(self) -> None:
        self.begun_after.append(self.position)
        with self._output(-1).open("wb") as output, self._errors.open("ab") as errors:
            self._process = subprocess.Popen(
                self._command, cwd=ROOT, env=self._environment, stdout=output, stderr=errors
            )

    def kill(self) -> None:
        """Kill it with SIGKILL; it must not have ended by itself."""
        assert self._process is not None
        assert self._process.poll() is None, self._errors.read_text()
        self._process.kill()
        self._process.wait()

    def printed(self, run: int = -1) -> list[Any]:
        """Return the events that a run has printed; a line that was cut off does not count."""
        whole, _, _ = self._output(run).read_text().rpartition("\n")
        return [json.loads(line) for line in whole.splitlines()]

    def has_event_after(self, time: datetime) -> bool:
        """Whether the current run has printed an event of after this time."""
        return any(datetime.fromisoformat(event["at"]) > time for event in self.printed())

    @property
    def _errors(self) -> Path:
        return self._directory / "errors.txt"

    def _output(self, run: int) -> Path:
        return self._directory / f"{range(len(self.begun_after))[run]}.jsonl"


def position_of(text: str) -> int:
    """Return the position that a cursor names."""
    position, _ = cursor.decode(text, int, UUID)
    return int(position)


@contextmanager
def load(cloud: Cloud) -> Iterator[None]:
    """Technicians who work."""
    load = Load()
    technicians = [Technician(number, cloud, load, seed=1) for number in range(TECHNICIANS)]
    for one in technicians:
        one.start()
    try:
        yield
    finally:
        load.stopping.set()
        for one in technicians:
            one.join(SECONDS_TO_RECOVER)
    assert load.failures == []


@pytest.mark.slow
@pytest.mark.timeout(300)
def test_programs_that_follow_miss_nothing_whatever_is_killed(cloud: Cloud, tmp_path: Path) -> None:
    rng = random.Random(time.time_ns())  # noqa: S311 - not a secret
    readers = {name: Reader(cloud, tmp_path / name, PROGRAMS[name]) for name in PROGRAMS}
    with ExitStack() as stack:
        for reader in readers.values():
            reader.start()
            stack.callback(reader.kill)
        with load(cloud):
            for part in ["database", "functions", "gateway", CONNECTION]:
                kill(cloud, part, [*readers.values()], rng)
        end = position_of(cloud.api("read").get("/v1/events")["cursor"])
        for reader in readers.values():
            wait_until(lambda: reader.position >= end, seconds=SECONDS_TO_RECOVER)  # noqa: B023 - called at once
    positions = {
        str(event_id): position
        for event_id, position in cloud.sql("SELECT event_id, position FROM events")
    }
    for name, reader in readers.items():
        received, doubled = check(reader, positions, end)
        print(f"{name}: {received} received, {doubled} doubled")  # noqa: T201 - figures for -s


def kill(cloud: Cloud, part: str, readers: list[Reader], rng: random.Random) -> None:
    """Kill a part, and the programs several times; wait until what happens then is printed."""
    cloud.kill(part, rng)
    killed_at = datetime.now(UTC)
    for reader in readers * KILLS:
        before = len(reader.printed())
        wait_until(lambda: len(reader.printed()) > before, seconds=SECONDS_TO_RECOVER)  # noqa: B023 - called at once
        reader.kill()
        reader.start()
    for reader in readers:
        wait_until(lambda: reader.has_event_after(killed_at), seconds=SECONDS_TO_RECOVER)  # noqa: B023 - called at once


def check(reader: Reader, positions: dict[str, int], end: int) -> tuple[int, int]:
    """Check what was printed; return how many events, and how many of them were doubled.

    Each run must print every event from its cursor on, in order. So nothing is missed, and what is
    doubled was printed by a run that was killed before it saved its cursor.
    """
    printed: list[int] = []
    for run, after in enumerate(reader.begun_after):
        found = [positions[event["event_id"]] for event in reader.printed(run)]
        assert found == [*range(after + 1, after + 1 + len(found))]
        assert run == 0 or after <= max([reader.begun_after[0], *printed])
        printed += found
    wanted = {*range(reader.begun_after[0] + 1, end + 1)}
    assert wanted <= {*printed}
    return len({*printed}), len(printed) - len({*printed})
