"""The feed of events: what happened to which resource, and how the API showed it then."""

from typing import Annotated, Any, Literal, get_args
from uuid import UUID

from pydantic import BeforeValidator, Field, WithJsonSchema

from shared.models.accumulators import Accumulator, Movement
from shared.models.anomalies import AnomalyRecord
from shared.models.base import CallerName, Model, Request, Time, by_key
from shared.models.bookings import Booking
from shared.models.cabinets import Cabinet, Cell
from shared.models.commands import Command
from shared.values import Id

BookingEventType = Literal[
    "booking.created",
    "booking.changed",
    "booking.active",
    "booking.unlocking",
    "booking.returning",
    "booking.completed",
    "booking.partially_completed",
    "booking.failed",
    "booking.cancelled",
    "booking.expired",
]
CommandEventType = Literal[
    "command.pending",
    "command.published",
    "command.succeeded",
    "command.partially_succeeded",
    "command.failed",
    "command.rejected",
    "command.not_published",
    "command.no_answer",
    "command.not_executed",
    "command.unresolved",
]
CabinetEventType = Literal[
    "cabinet.changed", "cabinet.online", "cabinet.offline", "cabinet.removed"
]

TYPES: tuple[str, ...] = (
    *get_args(BookingEventType),
    *get_args(CommandEventType),
    "accumulator.moved",
    "accumulator.changed",
    *get_args(CabinetEventType),
    "cell.changed",
    "anomaly.raised",
)
"""All types of events."""


class _Event(Model):
    event_id: UUID
    type: str
    subject: str = Field(description="The resource's id; of a cell, `cabinet_id/cell_number`")
    cabinet_id: str | None
    at: Time = Field(description="When the change was made. The feed's order is not by this time")
    caused_by: str = Field(
        description="Name of the API key, id of the device, `poll`, or `service` if none of them"
    )
    requested_by: str | None = by_key(
        "whose request made the change; null: a cabinet's message or the time did"
    )


class BookingEvent(_Event):
    """A booking was made, or its status, its cells or its command changed."""

    type: BookingEventType
    resource: Booking


class CommandEvent(_Event):
    """A command got a new status, or its outcome was corrected."""

    type: CommandEventType
    resource: Command


class MovementEvent(_Event):
    """An accumulator changed its place."""

    type: Literal["accumulator.moved"]
    resource: Movement


class AccumulatorEvent(_Event):
    """An accumulator is new, or its status changed, or its charge by a request."""

    type: Literal["accumulator.changed"]
    resource: Accumulator


class CabinetEvent(_Event):
    """A cabinet was registered, changed or removed, or went online or offline."""

    type: CabinetEventType
    resource: Cabinet = Field(description="`distance_m` is null; of a removed one, as it was last")


class CellEvent(_Event):
    """The door, the content or the health of a cell changed."""

    type: Literal["cell.changed"]
    resource: Cell


class AnomalyEvent(_Event):
    """Something unexpected happened for the first time; repetitions have no event."""

    type: Literal["anomaly.raised"]
    resource: AnomalyRecord = Field(description="`GET /v1/anomalies` also has its message")


Event = Annotated[
    BookingEvent
    | CommandEvent
    | MovementEvent
    | AccumulatorEvent
    | CabinetEvent
    | CellEvent
    | AnomalyEvent,
    Field(discriminator="type"),
]
"""A change of a resource, and the resource as the API showed it right after."""


class EventPage(Model):
    """Events in order, and the cursor for the next request."""

    events: list[Event]
    cursor: str = Field(description="Send it as `after`; it is unchanged at the end of the feed")


_TYPE = rf"({'|'.join(TYPES).replace('.', '[.]')})"


def _split(value: object) -> object:
    """Split "a,b", and check that the types exist."""
    if not isinstance(value, str):
        return value
    types = [part.strip() for part in value.split(",")]
    unknown = sorted({name for name in types if name not in TYPES})
    if unknown:
        listed = ", ".join(repr(name) for name in unknown)
        raise ValueError(f"no such type: {listed}; there are {', '.join(TYPES)}")
    return types


class EventQuery(Request):
    """Where in the feed to go on, and which events to return."""

    after: str | None = Field(
        None, max_length=500, description="`cursor` of the previous page; default: from now"
    )
    types: (
        Annotated[
            list[str],
            BeforeValidator(_split),
            WithJsonSchema({"type": "string", "pattern": f"^{_TYPE}(,{_TYPE})*$"}),
        ]
        | None
    ) = Field(
        None,
        description="Types of events, comma-separated",
        examples=["booking.completed,accumulator.moved"],
    )
    cabinet_id: Id | None = Field(None, description="Only events of this cabinet")
    requested_by: CallerName | None = Field(
        None, description="Only changes that requests of this API key made"
    )
    limit: int = Field(100, ge=1, le=1000)

    def conditions(self) -> dict[str, Any]:
        """Return the filters as parameters of the query."""
        cabinet_ids = None if self.cabinet_id is None else [self.cabinet_id]
        return {
            "types": self.types,
            "cabinet_ids": cabinet_ids,
            "requested_by": self.requested_by,
        }
