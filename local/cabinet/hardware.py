"""A cabinet without its network: what its cells, sensors and firmware do. No I/O, clock or thread.

It reads the protocol by itself (docs/protocol.md) and shares no code with the service, so that the
tests compare two readings of it.
"""

import random
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from functools import partial
from typing import Any, Literal, NamedTuple, Self

from local.cabinet.cells import Accumulator, Cell, Impossible, Message

__all__ = ["Accumulator", "Cell", "Firmware", "Hardware", "Impossible", "Message", "Reply"]

SPREAD_SECONDS = 20  # of the answers to a broadcast that does not say
ANSWERS_KEPT = 32


@dataclass(frozen=True)
class Firmware:
    """How the cabinet's program behaves; the defaults are what the protocol asks for."""

    version: str = "1.4.2"
    executes_once: bool = True  # off: a command that arrives twice opens twice
    honours_ttl: bool = True
    knows_all_commands: bool = True  # off: a strange kind is rejected, not acknowledged
    refuses: str | None = None  # the reason: busy, maintenance, updating, alarm, …
    substitutes: Mapping[int, int] = field(default_factory=dict)  # opens another cell than asked
    claims: Mapping[int, str | None] = field(default_factory=dict)  # a result; null: none at all
    omits: frozenset[int] = frozenset()  # cells that are left out of state reports


class Reply(NamedTuple):
    """An answer to give so many seconds from now; `make` it only then: it reports that moment."""

    after_s: float
    make: Callable[[], Message]


class Hardware:
    """One cabinet: hands and commands change it, its messages say what its sensors see."""

    def __init__(
        self,
        cabinet_id: str,
        cells: Iterable[Cell],
        *,
        now: Callable[[], datetime],
        rng: random.Random,
    ) -> None:
        self.cabinet_id = cabinet_id
        self.cells = {cell.cell_number: cell for cell in cells}
        self.alarms: set[str] = set()
        self.firmware = Firmware()
        self.clock_skew_s = 0.0
        self.boots = 0
        self.double_openings = 0  # commands that opened a door a second time
        self.ignored = 0  # commands that cannot even be answered
        self._now = now
        self._rng = rng
        self._answers: dict[str, Message] = {}
        self.reboot()

    # What hands, time and power do

    def insert(self, cell_number: int, accumulator: Accumulator) -> None:
        """Put an accumulator into an open, empty cell."""
        cell = self._open_cell(cell_number)
        if cell.accumulator:
            raise Impossible(
                f"cell {cell_number} already holds {cell.accumulator.accumulator_id}: take it first"
            )
        cell.accumulator, cell.charging_s = accumulator, 0.0

    def remove(self, cell_number: int) -> Accumulator:
        """Take the accumulator out of an open cell."""
        cell = self._open_cell(cell_number)
        if not cell.accumulator:
            raise Impossible(f"cell {cell_number} is empty")
        accumulator, cell.accumulator = cell.accumulator, None
        return accumulator

    def close_door(self, cell_number: int) -> None:
        """Push the door shut; it locks by itself."""
        self._open_cell(cell_number).door = "closed"

    def pry_open(self, cell_number: int) -> None:
        """Break the door open: no lock withstands, no command is involved."""
        cell = self.cell(cell_number)
        if cell.door == "open":
            raise Impossible(f"the door of cell {cell_number} is open already")
        cell.door = "open"

    def charge(self, seconds: float) -> None:
        """Let so much time pass for everything that charges."""
        for cell in self.cells.values():
            cell.charge(seconds)

    def reboot(self) -> None:
        """Power up: a new boot_id, and the numbering of messages starts again."""
        self.boots += 1
        # The time as well: a lost state file must not bring an old boot_id back.
        self.boot_id = f"b-{self.boots}-{self._now():%Y%m%dT%H%M%S%f}"
        self.seq = 0
        self._told = self._signs()

    def cell(self, cell_number: int) -> Cell:
        """Return the cell, so that tests and the control interface may break it."""
        if cell_number not in self.cells:
            known = f"{min(self.cells)}…{max(self.cells)}"
            raise Impossible(f"{self.cabinet_id} has no cell {cell_number}, only {known}")
        return self.cells[cell_number]

    # What the firmware does with a command

    def handle(self, command: object, *, broadcast: bool = False) -> list[Reply]:
        """Execute a command as it came off the wire; return the answers to give, and when."""
        if not isinstance(command, dict) or not isinstance(command.get("command_id"), str):
            self.ignored += 1
            return []
        command_id = command["command_id"]
        if command.get("kind") == "report_state" and _well_formed(command):
            spread_s = command.get("spread_s", SPREAD_SECONDS if broadcast else 0)
            return [Reply(self._rng.uniform(0, spread_s), partial(self.state_report, command_id))]
        answer = self._answers.get(command_id)
        if answer is None or not self.firmware.executes_once:
            answer = self._execute(command)
            repeated = self._answers.pop(command_id, None) is not None
            if repeated and any(cell["result"] == "opened" for cell in answer.get("cells", [])):
                self.double_openings += 1
            self._answers[command_id] = answer
            self._answers = dict(list(self._answers.items())[-ANSWERS_KEPT:])
            self._told = self._signs()
        message = self._message("command_result", command_id=command_id, **answer)
        return [Reply(0.0, lambda: message)]

    def _execute(self, command: Message) -> Message:
        if not _well_formed(command):
            return {"status": "rejected", "reason": "invalid"}
        kind, firmware = command["kind"], self.firmware
        if firmware.honours_ttl and self._too_old(command):
            return {"status": "expired"}
        if firmware.refuses is not None:
            return {"status": "rejected", "reason": firmware.refuses}
        if kind in ("unlock", "lock"):
            return self._turn(kind, command.get("cells"))
        if not firmware.knows_all_commands:
            return {"status": "rejected", "reason": "unknown_command"}
        return {"status": "done", "cells": []}

    def _turn(self, kind: Literal["unlock", "lock"], asked: object) -> Message:
        if not isinstance(asked, list) or not all(type(number) is int for number in asked):
            return {"status": "rejected", "reason": "invalid"}
        results = []
        for wanted in dict.fromkeys(asked):
            number = self.firmware.substitutes.get(wanted, wanted)
            cell = self.cells.get(number)
            if cell is None:
                result: Message = {"cell_number": number, "result": "unknown_cell"}
            else:
                result = cell.unlock() if kind == "unlock" else cell.engage()
            if number in self.firmware.claims:
                result["result"] = self.firmware.claims[number]
            if result["result"] is not None:
                results.append(result)
        return {"status": "done", "cells": results}

    def _too_old(self, command: Message) -> bool:
        age_s = (self._device_time() - datetime.fromisoformat(command["issued_at"])).total_seconds()
        return bool(age_s > command["ttl_s"])

    # What it says

    def hello(self) -> Message:
        """Announce a power-up."""
        return self._message("hello", firmware=self.firmware.version, cells_total=len(self.cells))

    def state_report(self, command_id: str | None = None) -> Message:
        """Tell everything the sensors see; `command_id` when it was asked for."""
        asked_by = {} if command_id is None else {"command_id": command_id}
        cells = [
            cell.seen()
            for cell in self.cells.values()
            if cell.cell_number not in self.firmware.omits
        ]
        return self._message("state_report", **asked_by, alarms=sorted(self.alarms), cells=cells)

    def cell_event(self, cell_number: int) -> Message:
        """Tell what the sensors of one cell see."""
        return self._message("cell_event", cell=self.cell(cell_number).seen())

    def noticed(self) -> list[Message]:
        """Tell what the sensors saw change, other than by a command, since this was last asked."""
        told, self._told = self._told, self._signs()
        messages = [self.cell_event(n) for n in self.cells if told[n] != self._told[n]]
        if told["alarms"] != self._told["alarms"]:
            messages.append(self.state_report())
        return messages

    def _signs(self) -> dict[int | str, object]:
        signs: dict[int | str, object] = {"alarms": sorted(self.alarms)}
        for number, cell in self.cells.items():
            seen = cell.seen()
            signs[number] = [seen.get(key) for key in ("door", "accumulator_id", "fault")]
        return signs

    def _message(self, kind: str, **fields: Any) -> Message:
        self.seq += 1
        sent_at = self._device_time().isoformat(timespec="milliseconds").replace("+00:00", "Z")
        envelope = {"v": 1, "type": kind, "boot_id": self.boot_id, "seq": self.seq}
        return {**envelope, "sent_at": sent_at, **fields}

    def _device_time(self) -> datetime:
        return self._now() + timedelta(seconds=self.clock_skew_s)

    def _open_cell(self, cell_number: int) -> Cell:
        cell = self.cell(cell_number)
        if cell.door == "closed":
            raise Impossible(f"the door of cell {cell_number} is closed: unlock it or pry it open")
        return cell

    # What survives a restart of the simulation

    def to_json(self) -> Message:
        """Write the physical state down; a new boot_id comes with the next power-up anyway."""
        return {
            "cabinet_id": self.cabinet_id,
            "boots": self.boots,
            "alarms": sorted(self.alarms),
            "clock_skew_s": self.clock_skew_s,
            "double_openings": self.double_openings,
            "answers": self._answers,
            "cells": [cell.to_json() for cell in self.cells.values()],
        }

    @classmethod
    def from_json(cls, data: Message, *, now: Callable[[], datetime], rng: random.Random) -> Self:
        """Power the cabinet that `to_json` wrote down up again."""
        cells = [Cell.from_json(cell) for cell in data["cells"]]
        hardware = cls(data["cabinet_id"], cells, now=now, rng=rng)
        hardware.alarms = set(data["alarms"])
        hardware.clock_skew_s = data["clock_skew_s"]
        hardware.double_openings = data["double_openings"]
        hardware.boots = data["boots"]
        hardware._answers = dict(data["answers"])
        hardware.reboot()
        return hardware


def _well_formed(command: Message) -> bool:
    """Whether the fields that every command has are there and of their types."""
    try:
        aware = datetime.fromisoformat(command["issued_at"]).tzinfo is not None
        numbers = [command["ttl_s"], command.get("spread_s", 0)]
        counted = all(type(number) in (int, float) and number >= 0 for number in numbers)
        return command["v"] == 1 and isinstance(command["kind"], str) and aware and counted
    except (KeyError, TypeError, ValueError):
        return False
