"""Swaps at scooters."""

from typing import Self
from uuid import UUID

from pydantic import ConfigDict, Field, model_validator

from shared.models.accumulators import Accumulator
from shared.models.base import ABSENT, GIVEN, Model, Request, Time, by_key, refused
from shared.values import AccumulatorId, Charge, Id


class SwapRequest(Request):
    """A swap that a contractor made at a scooter; one of the two accumulators may be missing."""

    model_config = ConfigDict(
        json_schema_extra=refused(
            {"removed_battery_charge": GIVEN, "removed_accumulator_id": ABSENT},
            {"installed_accumulator_id": ABSENT, "removed_accumulator_id": ABSENT},
        )
    )

    scooter_id: Id
    contractor_id: Id
    installed_accumulator_id: AccumulatorId | None = None
    removed_accumulator_id: AccumulatorId | None = None
    removed_battery_charge: Charge | None = None
    reconcile: bool = Field(
        default=False, description="Record the swap even if it contradicts the records"
    )

    @model_validator(mode="after")
    def _check_accumulators(self) -> Self:
        if self.installed_accumulator_id is None and self.removed_accumulator_id is None:
            raise ValueError("name installed_accumulator_id, removed_accumulator_id, or both")
        if self.installed_accumulator_id == self.removed_accumulator_id:
            raise ValueError("the installed and the removed accumulator are the same")
        if self.removed_battery_charge is not None and self.removed_accumulator_id is None:
            raise ValueError("removed_battery_charge needs removed_accumulator_id")
        return self


class Swap(Model):
    """A recorded swap."""

    swap_id: UUID
    scooter_id: str
    contractor_id: str
    installed: Accumulator | None
    removed: Accumulator | None
    at: Time
    requested_by: str | None = by_key("that reported it first")
