"""Contractors: what they carry, since when, and their open bookings."""

from typing import Literal
from uuid import UUID

from pydantic import Field, JsonValue

from shared.models.accumulators import AccumulatorStatus, Cause
from shared.models.base import Model, Moment, Page, Time
from shared.models.bookings import BookingKind, BookingStatus

MAX_ITEMS = 50
"""Accumulators and bookings of one contractor that are shown."""


class HeldAccumulator(Model):
    """An accumulator with a contractor, and the movement that brought it there."""

    accumulator_id: str
    battery_charge: int | None
    status: AccumulatorStatus
    since: Time = Field(description="When the contractor got it")
    cause: Cause


class OpenBooking(Model):
    """An unfinished booking of a contractor."""

    booking_id: UUID
    cabinet_id: str
    kind: BookingKind
    status: BookingStatus
    created_at: Time
    expires_at: Time


class Contractor(Model):
    """A contractor who carries accumulators or has open bookings."""

    contractor_id: str
    accumulators_total: int
    held_since: Time | None = Field(description="Since when the contractor has the oldest one")
    accumulators: list[HeldAccumulator] = Field(
        description=f"Those held longest, up to {MAX_ITEMS}; the others:"
        " `GET /v1/accumulators?contractor_id=`"
    )
    open_bookings: list[OpenBooking] = Field(description=f"The newest, up to {MAX_ITEMS}")


class ContractorPage(Model):
    """A page of contractors, by id."""

    contractors: list[Contractor]
    next_cursor: str | None


class ContractorQuery(Page):
    """Filters of the list of contractors."""

    min_accumulators: int = Field(0, ge=0, le=1_000_000)
    held_since_before: Moment | None = Field(
        None, description="Has had an accumulator since before this time"
    )


RecordKind = Literal["accumulator", "booking", "command", "movement", "anomaly"]
"""What is stored about a contractor, in the order of the export."""


class ContractorRecord(Model):
    """Something that is stored about a contractor."""

    kind: RecordKind
    record: dict[str, JsonValue] = Field(description="As it is stored: columns by name")


class ContractorData(Model):
    """A page of everything that is stored about a contractor."""

    records: list[ContractorRecord]
    archived_months: list[str] = Field(
        description="Months of movements that are not here but in the archive, as 2026-11"
    )
    pseudonym: str | None = Field(description="Names the contractor in the archive")
    next_cursor: str | None


class Erasure(Model):
    """How far an erasure is."""

    status: Literal["erased", "erasing"] = Field(
        description="`erasing`: the rest follows in the next minutes"
    )
