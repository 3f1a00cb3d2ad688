"""Places of accumulators."""

from collections.abc import Mapping
from typing import Any, Literal

from pydantic import ConfigDict

from shared.models.base import Model, Request
from shared.values import NOWHERE, CellNumber, Id, Location


class InCell(Model):
    """In a cell of a cabinet."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    cabinet_id: Id
    cell_number: CellNumber


class WithContractor(Model):
    """In a contractor's bag."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    contractor_id: Id


class InScooter(Model):
    """In a scooter."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    scooter_id: Id


class Nowhere(Request):
    """Nowhere known, in a correction."""

    nowhere: Literal[True]


Place = InCell | WithContractor | InScooter
"""Where an accumulator is; None: nowhere known."""


def place_of(row: Mapping[str, Any], prefix: str = "") -> Place | None:
    """Return the place that the columns of a row name; their names begin with `prefix`."""
    if row[f"{prefix}cabinet_id"] is not None:
        return InCell(
            cabinet_id=row[f"{prefix}cabinet_id"], cell_number=row[f"{prefix}cell_number"]
        )
    if row[f"{prefix}contractor_id"] is not None:
        return WithContractor(contractor_id=row[f"{prefix}contractor_id"])
    if row[f"{prefix}scooter_id"] is not None:
        return InScooter(scooter_id=row[f"{prefix}scooter_id"])
    return None


def location_of(place: Place | Nowhere) -> Location:
    """Return a place as database columns."""
    return NOWHERE if isinstance(place, Nowhere) else Location(**place.model_dump())
