"""Transfers from one contractor to another."""

from typing import Self
from uuid import UUID

from pydantic import Field, model_validator

from shared.models.accumulators import Accumulator
from shared.models.base import Model, Request, Time, by_key
from shared.values import AccumulatorId, Id


class TransferRequest(Request):
    """Accumulators that one contractor handed over to another."""

    from_contractor_id: Id
    to_contractor_id: Id
    accumulator_ids: list[AccumulatorId] = Field(
        min_length=1, max_length=50, json_schema_extra={"uniqueItems": True}
    )
    reconcile: bool = Field(
        default=False, description="Record the transfer even if it contradicts the records"
    )

    @model_validator(mode="after")
    def _check_contractors_and_accumulators(self) -> Self:
        if self.from_contractor_id == self.to_contractor_id:
            raise ValueError("from_contractor_id and to_contractor_id are the same")
        repeated = {id_ for id_ in self.accumulator_ids if self.accumulator_ids.count(id_) > 1}
        if repeated:
            raise ValueError(f"accumulator_ids names twice: {', '.join(sorted(repeated))}")
        return self


class Transfer(Model):
    """A recorded transfer."""

    transfer_id: UUID
    from_contractor_id: str
    to_contractor_id: str
    accumulators: list[Accumulator]
    at: Time
    requested_by: str | None = by_key("that reported it first")
