"""A simulated cabinet of three cells, its clock, commands to it and replies."""

import json
import random
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from typing import Any

from local.cabinet.hardware import Accumulator, Cell, Hardware, Message
from tests.unit.local.cabinet.native_v1_shapes import ENVELOPE, check_shape

START = datetime(2026, 11, 22, 10, 0, tzinfo=UTC)
RNG = random.Random(1)  # noqa: S311 - a simulation


class Clock:
    """A clock that the test moves."""

    def __init__(self) -> None:
        self.time = START

    def __call__(self) -> datetime:
        return self.time

    def forward(self, seconds: float) -> None:
        self.time += timedelta(seconds=seconds)


def make_hardware(now: Clock | None = None) -> Hardware:
    """Make a cabinet of three cells: a charged accumulator, a flat one, none."""
    cells = [
        Cell(1, Accumulator("A-0001", 97, 95)),
        Cell(2, Accumulator("A-0002", 12, 90)),
        Cell(3),
    ]
    return Hardware("C-001", cells, now=now or Clock(), rng=RNG)


def restart(hardware: Hardware, now: Clock) -> Hardware:
    """Store and load the hardware, as a restart of the local cloud does."""
    return Hardware.from_json(json.loads(json.dumps(hardware.to_json())), now=now, rng=RNG)


def command(kind: str = "unlock", command_id: str = "c-1", **fields: Any) -> Message:
    common = {"v": 1, "command_id": command_id, "issued_at": "2026-11-22T10:00:00.000Z"}
    return {**common, "kind": kind, "ttl_s": 15, **fields}


def reply(hardware: Hardware, asked: object) -> Message:
    """Send a command; return the only reply, after checking its shape."""
    [only] = hardware.handle(asked)
    message = only.make()
    check_shape(message)
    return message


def body(message: Message) -> Mapping[str, Any]:
    return {key: value for key, value in message.items() if key not in {*ENVELOPE, "type"}}


def sensed(hardware: Hardware, cell_number: int) -> Message:
    message = hardware.state_report()
    cell: Message = message["cells"][cell_number - 1]
    return cell
