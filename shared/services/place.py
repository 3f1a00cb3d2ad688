"""Places and accumulators as the API shows them."""

from collections.abc import Mapping
from typing import Any

from shared.models.accumulators import Accumulator, Movement
from shared.models.places import InCell, InScooter, Nowhere, Place, WithContractor
from shared.repo.accumulators import NOWHERE, Location


def place(row: Mapping[str, Any], prefix: str = "") -> Place | None:
    """The place that a row's columns name; None is nowhere known."""
    if row[f"{prefix}cabinet_id"] is not None:
        return InCell(
            cabinet_id=row[f"{prefix}cabinet_id"], cell_number=row[f"{prefix}cell_number"]
        )
    if row[f"{prefix}contractor_id"] is not None:
        return WithContractor(contractor_id=row[f"{prefix}contractor_id"])
    if row[f"{prefix}scooter_id"] is not None:
        return InScooter(scooter_id=row[f"{prefix}scooter_id"])
    return None


def location(wanted: Place | Nowhere) -> Location:
    """The columns of a place."""
    return NOWHERE if isinstance(wanted, Nowhere) else Location(**wanted.model_dump())


def of(row: Mapping[str, Any]) -> Location:
    """The columns of the place that an accumulator's row names."""
    return Location(**{name: row[name] for name in Location._fields})


def accumulator(row: Mapping[str, Any]) -> Accumulator:
    """An accumulator's row as the API shows it."""
    return Accumulator.model_validate({**row, "place": place(row)})


def movement(row: Mapping[str, Any]) -> Movement:
    """A movement's row as the API shows it."""
    return Movement.model_validate({**row, "from": place(row, "from_"), "to": place(row, "to_")})
