"""Commands to cabinets, and their outcomes."""

from typing import Any, Literal
from uuid import UUID

from shared.models.base import Model, Time
from shared.models.bookings import BookingStatus

CommandStatus = Literal[
    "pending",
    "published",
    "succeeded",
    "partially_succeeded",
    "failed",
    "rejected",
    "not_published",
    "no_answer",
    "not_executed",
    "unresolved",
]


class CellResult(Model):
    """The outcome of a command for one cell."""

    cell_number: int
    accumulator_id: str | None = None
    battery_charge: int | None = None
    result: str


class Command(Model):
    """A command and its outcome."""

    command_id: UUID
    cabinet_id: str | None
    kind: str
    status: CommandStatus
    booking_id: UUID | None
    payload: dict[str, Any]
    cells: list[CellResult]
    created_at: Time
    published_at: Time | None
    finished_at: Time | None
    late: bool
    inferred: bool
    reason: str | None


class Unlock(Model):
    """The outcome of an unlock."""

    booking_id: UUID
    command_id: UUID
    status: BookingStatus
    cells: list[CellResult]
    late: bool
