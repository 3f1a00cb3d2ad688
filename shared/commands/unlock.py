"""Unlock: open cells."""

from typing import ClassVar, Literal

from pydantic import Field

from shared.commands import Command
from shared.values import CellNumber


class Unlock(Command):
    """Open cells for a contractor."""

    kind: Literal["unlock"] = "unlock"
    cells: list[CellNumber] = Field(min_length=1, max_length=50)
    cell_result: ClassVar[str | None] = "opened"
