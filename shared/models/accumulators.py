"""Accumulators and their chain of custody."""

from collections.abc import Mapping
from typing import Any, Literal, Self
from uuid import UUID

from pydantic import ConfigDict, Field, model_validator

from shared.models.base import (
    GIVEN,
    CallerName,
    Model,
    Moment,
    Page,
    Reason,
    Request,
    Time,
    by_key,
    refused,
)
from shared.models.places import InCell, InScooter, Nowhere, Place, WithContractor, place_of
from shared.values import AccumulatorId, Charge, Id

AccumulatorStatus = Literal["in_service", "quarantined", "missing", "retired"]


Cause = Literal[
    "registered",
    "issued",
    "returned",
    "swapped",
    "transferred",
    "reported",
    "not_collected",
    "corrected",
]


class AccumulatorRequest(Request):
    """An accumulator to register."""

    model_config = ConfigDict(
        json_schema_extra=refused({"contractor_id": GIVEN, "scooter_id": GIVEN})
    )

    accumulator_id: AccumulatorId
    battery_charge: Charge | None = None
    contractor_id: Id | None = None
    scooter_id: Id | None = None

    @model_validator(mode="after")
    def _check_one_place(self) -> Self:
        if self.contractor_id and self.scooter_id:
            raise ValueError("name contractor_id or scooter_id, not both")
        return self


class AccumulatorChange(Request):
    """An operator's correction; absent fields stay as they are."""

    model_config = ConfigDict(json_schema_extra={"minProperties": 2})

    status: Literal["in_service", "quarantined", "missing"] | None = Field(
        None, description="DELETE retires an accumulator"
    )
    place: InCell | WithContractor | InScooter | Nowhere | None = None
    battery_charge: Charge | None = None
    reason: Reason

    @model_validator(mode="after")
    def _check_not_empty(self) -> Self:
        if self.model_fields_set <= {"reason"}:
            raise ValueError("name at least one of status, place, battery_charge")
        return self


class Accumulator(Model):
    """An accumulator and where it is."""

    accumulator_id: str
    place: Place | None
    cabinet_id: str | None
    cell_number: int | None
    contractor_id: str | None
    scooter_id: str | None
    battery_charge: int | None
    charge_at: Time | None = Field(description="When the charge last changed")
    state_of_health: int | None
    status: AccumulatorStatus
    requested_by: str | None = by_key(
        "that registered it, or corrected its status or charge last;"
        " null: a cabinet's report has changed the status since"
    )

    @classmethod
    def of(cls, row: Mapping[str, Any]) -> Self:
        """Build it from a row of `accumulators`."""
        return cls.model_validate({**row, "place": place_of(row)})


class AccumulatorPage(Model):
    """A page of accumulators, by id."""

    accumulators: list[Accumulator]
    next_cursor: str | None


class Movement(Model):
    """An entry of an accumulator's chain of custody."""

    model_config = ConfigDict(frozen=True, populate_by_name=True)

    movement_id: int
    accumulator_id: str
    at: Time
    cause: Cause
    from_: Place | None = Field(alias="from")
    to: Place | None
    battery_charge: int | None
    booking_id: UUID | None
    command_id: UUID | None
    swap_id: UUID | None
    transfer_id: UUID | None
    discrepancy: bool
    reason: str | None
    requested_by: str | None = by_key("that reported it; null: a cabinet's message did")

    @classmethod
    def of(cls, row: Mapping[str, Any]) -> Self:
        """Build it from a row of `movements`."""
        places = {"from": place_of(row, "from_"), "to": place_of(row, "to_")}
        return cls.model_validate({**row, **places})


class MovementPage(Model):
    """A page of movements, in the order of the list."""

    movements: list[Movement]
    next_cursor: str | None


class AccumulatorQuery(Page):
    """Filters of the list of accumulators."""

    contractor_id: Id | None = None
    cabinet_id: Id | None = None
    scooter_id: Id | None = None
    status: AccumulatorStatus | None = None
    min_charge: int | None = Field(None, ge=0, le=100)


class CustodyQuery(Page):
    """Filters of the list of one accumulator's movements."""

    requested_by: CallerName | None = Field(None, description="Reported by this API key")


class MovementQuery(Request):
    """Filters of the list of all movements."""

    accumulator_id: AccumulatorId | None = None
    cabinet_id: Id | None = Field(None, description="From or to a cell of this cabinet")
    contractor_id: Id | None = Field(None, description="From or to this contractor")
    scooter_id: Id | None = Field(None, description="From or to this scooter")
    requested_by: CallerName | None = Field(None, description="Reported by this API key")
    reported_by: Id | None = Field(None, description="By a message of this cabinet")
    since: Moment | None = Field(None, description="At this time or later")
    until: Moment | None = Field(None, description="Before this time")
    newest_first: bool = Field(default=False, description="The newest first, not the oldest")
    limit: int = Field(200, ge=1, le=1000)
    cursor: str | None = Field(
        None, max_length=500, description="`next_cursor` of the previous page"
    )
