"""Bookings."""

from typing import Literal, Self
from uuid import UUID

from pydantic import ConfigDict, Field, model_validator

from shared.models.base import GIVEN, CallerName, Model, Page, Request, Time, by_key, refused
from shared.values import Charge, Id

BookingKind = Literal["issue", "return"]


BookingStatus = Literal[
    "active",
    "unlocking",
    "returning",
    "completed",
    "partially_completed",
    "failed",
    "cancelled",
    "expired",
]


class BookingRequest(Request):
    """What to hold for a contractor."""

    model_config = ConfigDict(
        json_schema_extra=refused({"kind": {"enum": ["return"]}, "min_charge": GIVEN})
    )

    cabinet_id: Id
    contractor_id: Id
    kind: BookingKind
    count: int = Field(ge=1, le=50, strict=True)
    min_charge: Charge | None = Field(
        None, description="Percent; default: the setting MIN_ISSUE_CHARGE"
    )
    allow_partial: bool = Field(
        default=False, description="Hold fewer than `count`, at least one, if there are fewer"
    )

    @model_validator(mode="after")
    def _check_min_charge(self) -> Self:
        if self.kind == "return" and self.min_charge is not None:
            raise ValueError("min_charge is only for kind issue")
        return self


class BookingCell(Model):
    """A cell of a booking."""

    cell_number: int
    accumulator_id: str | None
    battery_charge: int | None
    state: Literal["held", "opened", "inserted", "failed", "released"]
    reason: str | None


class Booking(Model):
    """Accumulators or empty cells held for a contractor."""

    booking_id: UUID
    cabinet_id: str
    contractor_id: str
    kind: BookingKind
    status: BookingStatus
    requested: int
    min_charge: int | None
    expires_at: Time
    created_at: Time
    command_id: UUID | None
    requested_by: str | None = by_key("that made it")
    cancelled_by: str | None = by_key("that cancelled it; null: nobody did")
    cells: list[BookingCell]


class BookingPage(Model):
    """A page of bookings, newest first."""

    bookings: list[Booking]
    next_cursor: str | None


class BookingQuery(Page):
    """Filters of the list of bookings."""

    cabinet_id: Id | None = None
    contractor_id: Id | None = None
    status: BookingStatus | None = None
    requested_by: CallerName | None = Field(None, description="Made or cancelled by this API key")
