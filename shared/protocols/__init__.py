"""Protocols of cabinets: encode commands to bytes, decode bytes to messages.

A protocol is a module, or a package, in this folder with `NAME`, `encode` and `decode`;
`cabinets.protocol` names it. Lenient reading of what devices send belongs here: behind a protocol,
messages are typed and strict.
"""

import importlib
import pkgutil
from datetime import datetime
from functools import lru_cache
from typing import NamedTuple, Protocol, cast
from uuid import UUID

from shared.commands import Command
from shared.messages import AnyMessage


class Undecodable(ValueError):
    """The bytes are not a message of this protocol; the text says why."""


class UnreadableValue(NamedTuple):
    """A value that a device sent and that was not understood: it is taken for unknown."""

    cell_number: int | None
    field: str
    value: str

    def __str__(self) -> str:
        where = "" if self.cell_number is None else f"cell {self.cell_number}: "
        return f"{where}{self.field} is {self.value}"


class Decoded(NamedTuple):
    """A message, and which of its values were not understood."""

    message: AnyMessage
    unreadable: tuple[UnreadableValue, ...] = ()


class Codec(Protocol):
    """The interface of a protocol's module."""

    NAME: str

    def encode(
        self, command: Command, *, command_id: UUID, issued_at: datetime, ttl_s: float
    ) -> bytes:
        """Encode a command for the cabinet."""

    def decode(self, payload: bytes) -> Decoded:
        """Decode a message. Raises Undecodable, and nothing else."""


@lru_cache(maxsize=1)
def codecs() -> dict[str, Codec]:
    """Return every protocol by its name."""
    modules = (
        importlib.import_module(f"{__name__}.{found.name}")
        for found in pkgutil.iter_modules(__path__)
    )
    return {module.NAME: cast(Codec, module) for module in modules}
