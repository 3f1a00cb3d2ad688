"""The makes of cabinets: how commands become bytes and bytes become messages.

A protocol is one module in this folder with `encode` and `decode`; `cabinets.protocol` names it.
"""

import importlib
import pkgutil
from datetime import datetime
from functools import lru_cache
from typing import Protocol, cast
from uuid import UUID

from shared.commands import Command
from shared.messages import AnyMessage


class Undecodable(ValueError):
    """The bytes are no message of this protocol; says why, in words for the log."""


class Codec(Protocol):
    """What a protocol's module offers."""

    NAME: str

    def encode(
        self, command: Command, *, command_id: UUID, issued_at: datetime, ttl_s: float
    ) -> bytes:
        """The bytes that tell a cabinet to do `command`."""

    def decode(self, payload: bytes) -> AnyMessage:
        """The message in `payload`. Raises Undecodable."""


@lru_cache(maxsize=1)
def codecs() -> dict[str, Codec]:
    """Every protocol by its name."""
    modules = (
        importlib.import_module(f"{__name__}.{found.name}")
        for found in pkgutil.iter_modules(__path__)
    )
    return {module.NAME: cast(Codec, module) for module in modules}
