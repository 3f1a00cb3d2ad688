"""Accumulators and their chain of custody."""

from typing import Literal, Self
from uuid import UUID

from pydantic import ConfigDict, Field, model_validator

from shared.models.base import Model, Page, Reason, Request, Time
from shared.models.places import InCell, InScooter, Nowhere, Place, WithContractor
from shared.values import Charge, Id

AccumulatorStatus = Literal["in_service", "quarantined", "missing", "retired"]


Cause = Literal[
    "registered", "issued", "returned", "swapped", "reported", "not_collected", "corrected"
]


class AccumulatorRequest(Request):
    """An accumulator to be registered."""

    accumulator_id: Id
    battery_charge: Charge | None = None
    contractor_id: Id | None = None
    scooter_id: Id | None = None

    @model_validator(mode="after")
    def _is_in_one_place(self) -> Self:
        if self.contractor_id and self.scooter_id:
            raise ValueError("name contractor_id or scooter_id, not both")
        return self


class AccumulatorChange(Request):
    """A person's correction; a field that is absent stays."""

    status: AccumulatorStatus | None = None
    place: InCell | WithContractor | InScooter | Nowhere | None = None
    battery_charge: Charge | None = None
    reason: Reason

    @model_validator(mode="after")
    def _says_something(self) -> Self:
        if self.model_fields_set <= {"reason"}:
            raise ValueError("name at least one of status, place, battery_charge")
        if self.status == "retired":
            raise ValueError("retire an accumulator with DELETE")
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
    charge_at: Time | None = Field(description="Since when this charge is known")
    state_of_health: int | None
    status: AccumulatorStatus


class AccumulatorPage(Model):
    """Accumulators by id."""

    accumulators: list[Accumulator]
    next_cursor: str | None


class Movement(Model):
    """One link of an accumulator's chain of custody."""

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
    discrepancy: bool
    reason: str | None


class MovementPage(Model):
    """The chain of custody, newest first."""

    movements: list[Movement]
    next_cursor: str | None


class AccumulatorQuery(Page):
    """Which accumulators."""

    contractor_id: Id | None = None
    cabinet_id: Id | None = None
    scooter_id: Id | None = None
    status: AccumulatorStatus | None = None
    min_charge: int | None = Field(None, ge=0, le=100)
