"""Commands to a cabinet. A new command is one new file in this folder.

A command is a pydantic model; `kind` names it, its other fields are its payload. Everything else
(encoding, id, storage, expiry, waiting, endpoint, documentation) is derived from it.
"""

import importlib
import pkgutil
from functools import lru_cache
from typing import Any, ClassVar

from pydantic import BaseModel, ConfigDict


class Command(BaseModel):
    """Base class of the commands."""

    model_config = ConfigDict(frozen=True, extra="forbid", defer_build=True)

    kind: str
    scope: ClassVar[str] = "operator"
    """The scope needed to send it by POST /v1/cabinets/{cabinet_id}/commands."""
    wait_seconds: ClassVar[float | None] = None
    """How long to wait for the cabinet's result; None: the setting UNLOCK_WAIT_SECONDS."""
    cell_result: ClassVar[str | None] = None
    """The result of each of its `cells` that succeeded; None: the command has no cells."""
    answered_by_report: ClassVar[bool] = False
    """Whether a state_report that carries the command's id is its result."""

    def payload(self) -> dict[str, Any]:
        """Return the fields other than `kind`, as JSON values."""
        return self.model_dump(mode="json", exclude={"kind"})


@lru_cache(maxsize=1)
def registry() -> dict[str, type[Command]]:
    """Return every command class by its kind, found in the files of this folder."""
    for module in pkgutil.iter_modules(__path__):
        importlib.import_module(f"{__name__}.{module.name}")
    kinds = {cls.model_fields["kind"].default: cls for cls in Command.__subclasses__()}
    return dict(sorted(kinds.items()))
