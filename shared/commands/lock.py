"""Lock: lock cells remotely, where the hardware can."""

from typing import ClassVar, Literal

from pydantic import Field

from shared.commands import Command
from shared.values import CellNumber


class Lock(Command):
    """Lock cells whose doors are closed."""

    kind: Literal["lock"] = "lock"
    cells: list[CellNumber] = Field(min_length=1, max_length=50)
    cell_result: ClassVar[str | None] = "locked"
