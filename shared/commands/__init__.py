"""Commands to a cabinet: the axis of change. A new command is one new file in this folder.

A command is a pydantic model whose `kind` names it; its other fields are its payload. Everything
else (encoding, id, storage, expiry, waiting, endpoint, documentation) comes by itself.
"""

import importlib
import pkgutil
from functools import lru_cache
from typing import Any, ClassVar

from pydantic import BaseModel, ConfigDict


class Command(BaseModel):
    """What all commands share."""

    model_config = ConfigDict(frozen=True, extra="forbid", defer_build=True)

    kind: str
    scope: ClassVar[str] = "operator"
    """The API scope that may send it through POST /v1/cabinets/{cabinet_id}/commands."""
    wait_seconds: ClassVar[float | None] = None
    """How long to wait for the cabinet's answer; None: the setting UNLOCK_WAIT_SECONDS."""
    cell_result: ClassVar[str | None] = None
    """What a cabinet says of each of its `cells` that succeeded; None: it is simply done."""
    answered_by_report: ClassVar[bool] = False
    """Whether a state_report that carries the command's id is its answer."""

    def payload(self) -> dict[str, Any]:
        """The fields beside `kind`, as JSON values."""
        return self.model_dump(mode="json", exclude={"kind"})


@lru_cache(maxsize=1)
def registry() -> dict[str, type[Command]]:
    """Every command class by its kind, read from the files in this folder."""
    for module in pkgutil.iter_modules(__path__):
        importlib.import_module(f"{__name__}.{module.name}")
    kinds = {cls.model_fields["kind"].default: cls for cls in Command.__subclasses__()}
    return dict(sorted(kinds.items()))
