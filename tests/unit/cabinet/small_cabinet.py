"""A simulated cabinet of three cells, its clock, and what it is told and says."""

import json
import random
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from typing import Any

from local.cabinet.hardware import Accumulator, Cell, Hardware, Message
from tests.unit.cabinet.native_v1_shapes import ENVELOPE, check_shape

START = datetime(2026, 11, 22, 10, 0, tzinfo=UTC)
DICE = random.Random(1)  # noqa: S311 - nothing secret


class Clock:
    """A clock that moves when it is told to."""

    def __init__(self) -> None:
        self.time = START

    def __call__(self) -> datetime:
        return self.time

    def forward(self, seconds: float) -> None:
        self.time += timedelta(seconds=seconds)


def make_hardware(now: Clock | None = None) -> Hardware:
    """Three cells: a charged accumulator, a flat one, none."""
    cells = [
        Cell(1, Accumulator("A-0001", 97, 95)),
        Cell(2, Accumulator("A-0002", 12, 90)),
        Cell(3),
    ]
    return Hardware("C-001", cells, now=now or Clock(), rng=DICE)


def restart(hardware: Hardware, now: Clock) -> Hardware:
    """Write the hardware down and make it anew, as a restart of the local cloud does."""
    return Hardware.from_json(json.loads(json.dumps(hardware.to_json())), now=now, rng=DICE)


def command(kind: str = "unlock", command_id: str = "c-1", **fields: Any) -> Message:
    common = {"v": 1, "command_id": command_id, "issued_at": "2026-11-22T10:00:00.000Z"}
    return {**common, "kind": kind, "ttl_s": 15, **fields}


def answer(hardware: Hardware, asked: object) -> Message:
    """Give a command; return its only answer, which has to have the protocol's shape."""
    [reply] = hardware.handle(asked)
    message = reply.make()
    check_shape(message)
    return message


def body(message: Message) -> Mapping[str, Any]:
    return {key: value for key, value in message.items() if key not in {*ENVELOPE, "type"}}


def sensed(hardware: Hardware, cell_number: int) -> Message:
    message = hardware.state_report()
    cell: Message = message["cells"][cell_number - 1]
    return cell
