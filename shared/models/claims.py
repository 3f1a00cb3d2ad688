"""Undoing what a cabinet has claimed."""

from typing import Literal

from pydantic import Field

from shared.models.base import Model, Moment, Reason, Request

KeptBecause = Literal["moved_since", "booked", "place_taken", "place_gone"]


class UndoRequest(Request):
    """Since when what a cabinet claimed is to be undone, and why."""

    since: Moment
    reason: Reason


class KeptClaim(Model):
    """An accumulator that stays where it is."""

    accumulator_id: str
    because: KeptBecause


class UndoneClaims(Model):
    """What became of the accumulators that the cabinet had claimed, in the order of the claims."""

    restored: list[str] = Field(
        description="Back in the place that they had before the cabinet's first claim"
    )
    kept: list[KeptClaim]
    put_in_service: list[str] = Field(
        description="Had been quarantined by the claim alone, whether or not they were restored"
    )
    has_more: bool = Field(description="There are more than 1,000: send the request again")
