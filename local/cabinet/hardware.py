"""A cabinet without its network: cells, sensors and firmware. No I/O, clock or thread.

It implements docs/protocol.md without any code of the service, so that the tests compare two
independent implementations.
"""

import random
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from functools import partial
from typing import Any, Literal, NamedTuple, Self

from local.cabinet.cells import Accumulator, ActionImpossible, Cell, Message

__all__ = ["Accumulator", "ActionImpossible", "Cell", "Firmware", "Hardware", "Message", "Reply"]

DEFAULT_SPREAD_SECONDS = 20  # of the replies to a broadcast without spread_s
RESULTS_KEPT = 32
_SEQ_WRAPS_AT = 1 << 16


@dataclass(frozen=True)
class Firmware:
    """Switches of the firmware's behaviour; the defaults conform to the protocol."""

    version: str = "1.4.2"
    executes_once: bool = True  # off: a command that arrives twice is executed twice
    honours_ttl: bool = True
    knows_all_commands: bool = True  # off: a command of unknown kind is rejected, not acknowledged
    refuses: str | None = None  # rejects commands for this reason: busy, maintenance, …
    substitutes: Mapping[int, int] = field(default_factory=dict)  # requested cell: opened cell
    claims: Mapping[int, str | None] = field(default_factory=dict)  # cell: false result; None: none
    omits: frozenset[int] = frozenset()  # cells missing in state reports
    # restarts: a reboot keeps the boot_id; wraps: seq has 16 bits
    numbering: Literal["counts", "restarts", "wraps", "stands_still"] = "counts"
    # to unlock and lock; parts: one result for each cell; report: a state report with command_id
    answers: Literal["result", "parts", "report"] = "result"
    corrects: bool = False  # sends a second result when a door opens after all


class Reply(NamedTuple):
    """A reply to send in `after_s` seconds. Call `make` then: it reports the state of that time."""

    after_s: float
    make: Callable[[], Message]


class Hardware:
    """A cabinet: people and commands change it, its messages report what its sensors show."""

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
        self.boot_id = self.session = ""
        self.seq = 0
        self.double_openings = 0  # commands that opened a door a second time
        self.ignored_commands = 0  # without a command_id to reply with
        self._now = now
        self._rng = rng
        self._results: dict[str, Message] = {}
        self._corrections: list[Message] = []
        self._connections = 0
        self.reboot()

    # --- What people, time and power do -------------------------------------------------------

    def insert(self, cell_number: int, accumulator: Accumulator) -> None:
        """Put an accumulator into an open, empty cell."""
        cell = self._open_cell(cell_number)
        if cell.accumulator:
            raise ActionImpossible(
                f"cell {cell_number} already holds {cell.accumulator.accumulator_id}: take it first"
            )
        cell.accumulator, cell.charging_s = accumulator, 0.0

    def remove(self, cell_number: int) -> Accumulator:
        """Take the accumulator out of an open cell."""
        cell = self._open_cell(cell_number)
        if not cell.accumulator:
            raise ActionImpossible(f"cell {cell_number} is empty")
        accumulator, cell.accumulator = cell.accumulator, None
        return accumulator

    def close_door(self, cell_number: int) -> None:
        """Close the door; it locks by itself."""
        cell = self._open_cell(cell_number)
        cell.door, cell.loosened_by = "closed", None

    def pry_open(self, cell_number: int) -> None:
        """Open the door by force, without a command and whatever state its lock is in."""
        cell = self.cell(cell_number)
        if cell.door == "open":
            raise ActionImpossible(f"the door of cell {cell_number} is open already")
        cell.door, cell.loosened_by = "open", None

    def pull_open(self, cell_number: int) -> None:
        """Open a door whose lock a command has moved, although the command reported a failure."""
        cell = self.cell(cell_number)
        if cell.door == "open" or cell.loosened_by is None:
            raise ActionImpossible(f"the door of cell {cell_number} does not yield")
        command_id, cell.door, cell.loosened_by = cell.loosened_by, "open", None
        if self.firmware.corrects:
            result = {"status": "done", "cells": [cell.opened_result()]}
            self._corrections.append(
                self._message("command_result", command_id=command_id, **result)
            )

    def charge(self, seconds: float) -> None:
        """Charge the accumulators of all cells for this time."""
        for cell in self.cells.values():
            cell.charge(seconds)

    def reboot(self) -> None:
        """Start with a new boot_id, and number messages from 1."""
        if not (self.boot_id and self.firmware.numbering == "restarts"):
            self.boots += 1
            # With the time, because `boots` starts from 0 if the state file is lost.
            self.boot_id = f"b-{self.boots}-{self._now():%Y%m%dT%H%M%S%f}"
        self.seq = 0
        self._corrections.clear()
        self._polled = self._sensor_state()

    def connect(self) -> Message:
        """Begin a connection; return its last will."""
        self._connections += 1
        self.session = f"s-{self._connections}-{self._now():%Y%m%dT%H%M%S%f}"
        will = {"v": 1, "type": "goodbye", "boot_id": self.boot_id}
        return {**will, "session": self.session}

    def cell(self, cell_number: int) -> Cell:
        """Return a cell. Raises ActionImpossible if there is none with this number."""
        if cell_number not in self.cells:
            known = f"{min(self.cells)}…{max(self.cells)}"
            raise ActionImpossible(f"{self.cabinet_id} has no cell {cell_number}, only {known}")
        return self.cells[cell_number]

    # --- Commands -----------------------------------------------------------------------------

    def handle(self, command: object, *, broadcast: bool = False) -> list[Reply]:
        """Execute a decoded command; return the replies. Any JSON value is accepted."""
        if not isinstance(command, dict) or not isinstance(command.get("command_id"), str):
            self.ignored_commands += 1
            return []
        command_id = command["command_id"]
        if command.get("kind") == "report_state" and _is_well_formed(command):
            spread_s = command.get("spread_s", DEFAULT_SPREAD_SECONDS if broadcast else 0)
            return [Reply(self._rng.uniform(0, spread_s), partial(self.state_report, command_id))]
        result = self._results.get(command_id)
        if result is None or not self.firmware.executes_once:
            result = self._execute(command)
            is_repeated = self._results.pop(command_id, None) is not None
            if is_repeated and any(cell["result"] == "opened" for cell in result.get("cells", [])):
                self.double_openings += 1
            self._results[command_id] = result
            self._results = dict(list(self._results.items())[-RESULTS_KEPT:])
            self._polled = self._sensor_state()
        return [Reply(0.0, partial(dict, message)) for message in self._replies(command_id, result)]

    def _replies(self, command_id: str, result: Message) -> list[Message]:
        """Return the messages that report a command's result."""
        cells = result.get("cells", [])
        if cells and self.firmware.answers == "report":
            return [self.state_report(command_id)]
        parts = [[cell] for cell in cells] if self.firmware.answers == "parts" else []
        return [
            self._message("command_result", command_id=command_id, **result | {"cells": part})
            for part in parts
        ] or [self._message("command_result", command_id=command_id, **result)]

    def _execute(self, command: Message) -> Message:
        if not _is_well_formed(command):
            return {"status": "rejected", "reason": "invalid"}
        kind, firmware = command["kind"], self.firmware
        if firmware.honours_ttl and self._is_expired(command):
            return {"status": "expired"}
        if firmware.refuses is not None:
            return {"status": "rejected", "reason": firmware.refuses}
        if kind in ("unlock", "lock"):
            return self._operate_locks(kind, command.get("cells"), command["command_id"])
        if not firmware.knows_all_commands:
            return {"status": "rejected", "reason": "unknown_command"}
        return {"status": "done", "cells": []}

    def _operate_locks(
        self, kind: Literal["unlock", "lock"], requested: object, command_id: str
    ) -> Message:
        if not isinstance(requested, list) or any(type(number) is not int for number in requested):
            return {"status": "rejected", "reason": "invalid"}
        results = []
        for requested_number in dict.fromkeys(requested):
            number = self.firmware.substitutes.get(requested_number, requested_number)
            cell = self.cells.get(number)
            if cell is None:
                result: Message = {"cell_number": number, "result": "unknown_cell"}
            else:
                result = cell.unlock(command_id) if kind == "unlock" else cell.engage_lock()
            if number in self.firmware.claims:
                result["result"] = self.firmware.claims[number]
            if result["result"] is not None:
                results.append(result)
        return {"status": "done", "cells": results}

    def _is_expired(self, command: Message) -> bool:
        age_s = (self._device_time() - datetime.fromisoformat(command["issued_at"])).total_seconds()
        return bool(age_s > command["ttl_s"])

    # --- Messages -----------------------------------------------------------------------------

    def hello(self) -> Message:
        """Return the message of a boot."""
        session = {"session": self.session} if self.session else {}
        return self._message(
            "hello", firmware=self.firmware.version, cells_total=len(self.cells), **session
        )

    def state_report(self, command_id: str | None = None) -> Message:
        """Return a report of all sensors; `command_id`: of the command that requested it."""
        request = {} if command_id is None else {"command_id": command_id}
        cells = [
            cell.sensor_readings()
            for cell in self.cells.values()
            if cell.cell_number not in self.firmware.omits
        ]
        return self._message("state_report", **request, alarms=sorted(self.alarms), cells=cells)

    def cell_event(self, cell_number: int) -> Message:
        """Return the event of one cell."""
        return self._message("cell_event", cell=self.cell(cell_number).sensor_readings())

    def poll_sensors(self) -> list[Message]:
        """Return the messages on what changed since the last call, except by a command."""
        before, self._polled = self._polled, self._sensor_state()
        messages, self._corrections = self._corrections, []
        messages += [self.cell_event(n) for n in self.cells if before[n] != self._polled[n]]
        if before["alarms"] != self._polled["alarms"]:
            messages.append(self.state_report())
        return messages

    def _sensor_state(self) -> dict[int | str, object]:
        """Return what causes a message when it changes: by cell number, and `alarms`."""
        state: dict[int | str, object] = {"alarms": sorted(self.alarms)}
        for number, cell in self.cells.items():
            readings = cell.sensor_readings()
            state[number] = [readings.get(key) for key in ("door", "accumulator_id", "fault")]
        return state

    def _message(self, kind: str, **fields: Any) -> Message:
        if not (self.seq and self.firmware.numbering == "stands_still"):
            self.seq += 1
        if self.firmware.numbering == "wraps":
            self.seq %= _SEQ_WRAPS_AT
        sent_at = self._device_time().isoformat(timespec="milliseconds").replace("+00:00", "Z")
        envelope = {"v": 1, "type": kind, "boot_id": self.boot_id, "seq": self.seq}
        return {**envelope, "sent_at": sent_at, **fields}

    def _device_time(self) -> datetime:
        return self._now() + timedelta(seconds=self.clock_skew_s)

    def _open_cell(self, cell_number: int) -> Cell:
        cell = self.cell(cell_number)
        if cell.door == "closed":
            raise ActionImpossible(f"the door of cell {cell_number} is closed: open it first")
        return cell

    # --- State file ---------------------------------------------------------------------------

    def to_json(self) -> Message:
        """Return the physical state. The boot_id is not part of it: `from_json` makes a new one."""
        return {
            "cabinet_id": self.cabinet_id,
            "boots": self.boots,
            "alarms": sorted(self.alarms),
            "clock_skew_s": self.clock_skew_s,
            "double_openings": self.double_openings,
            "answers": self._results,
            "cells": [cell.to_json() for cell in self.cells.values()],
        }

    @classmethod
    def from_json(cls, data: Message, *, now: Callable[[], datetime], rng: random.Random) -> Self:
        """Return a cabinet in the state that `to_json` returned, after a reboot."""
        cells = [Cell.from_json(cell) for cell in data["cells"]]
        hardware = cls(data["cabinet_id"], cells, now=now, rng=rng)
        hardware.alarms = set(data["alarms"])
        hardware.clock_skew_s = data["clock_skew_s"]
        hardware.double_openings = data["double_openings"]
        hardware.boots = data["boots"]
        hardware._results = dict(data["answers"])
        hardware.reboot()
        return hardware


def _is_well_formed(command: Message) -> bool:
    """Return whether the command has the common fields of all commands, with valid values."""
    try:
        is_aware = datetime.fromisoformat(command["issued_at"]).tzinfo is not None
        numbers = [command["ttl_s"], command.get("spread_s", 0)]
        are_numbers = all(type(number) in (int, float) and number >= 0 for number in numbers)
        return command["v"] == 1 and isinstance(command["kind"], str) and is_aware and are_numbers
    except (KeyError, TypeError, ValueError):
        return False
