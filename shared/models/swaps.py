"""Swaps at scooters."""

from typing import Self
from uuid import UUID

from pydantic import Field, model_validator

from shared.models.accumulators import Accumulator
from shared.models.base import Model, Request, Time
from shared.values import Charge, Id


class SwapRequest(Request):
    """What a contractor did at a scooter."""

    scooter_id: Id
    contractor_id: Id
    installed_accumulator_id: Id
    removed_accumulator_id: Id | None = None
    removed_battery_charge: Charge | None = None
    reconcile: bool = Field(
        default=False, description="Record it as the fact it is, whatever was thought before"
    )

    @model_validator(mode="after")
    def _names_two(self) -> Self:
        if self.installed_accumulator_id == self.removed_accumulator_id:
            raise ValueError("the installed and the removed accumulator are the same")
        if self.removed_battery_charge is not None and self.removed_accumulator_id is None:
            raise ValueError("removed_battery_charge needs removed_accumulator_id")
        return self


class Swap(Model):
    """A swap that was recorded."""

    swap_id: UUID
    scooter_id: str
    contractor_id: str
    installed: Accumulator
    removed: Accumulator | None
    at: Time
