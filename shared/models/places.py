"""Where an accumulator is."""

from typing import Literal

from pydantic import ConfigDict

from shared.models.base import Model, Request
from shared.values import CellNumber, Id


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
    """Nowhere known, as a correction says it."""

    nowhere: Literal[True]


Place = InCell | WithContractor | InScooter
"""Where an accumulator is; None is nowhere known."""
