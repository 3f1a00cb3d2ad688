"""Commands to cabinets, and their outcomes."""

from typing import Any, Literal
from uuid import UUID

from pydantic import Field

from shared.models.base import CallerName, Model, Moment, Page, Time, by_key
from shared.models.bookings import BookingStatus
from shared.values import Id

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
    requested_by: str | None = by_key("that sent it first")


class CommandPage(Model):
    """A page of commands, newest first."""

    commands: list[Command]
    next_cursor: str | None


class CommandQuery(Page):
    """Filters of the list of commands."""

    cabinet_id: Id | None = None
    booking_id: UUID | None = None
    kind: Id | None = Field(None, examples=["unlock"])
    status: CommandStatus | None = None
    since: Moment | None = Field(None, description="Created at this time or later")
    requested_by: CallerName | None = Field(None, description="Sent by this API key")


class Unlock(Model):
    """The outcome of an unlock."""

    booking_id: UUID
    command_id: UUID
    status: BookingStatus
    cells: list[CellResult]
    late: bool
