"""The header Prefer (RFC 7240): how long the caller wants to wait for a command's outcome."""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from shared.api.headers import header
from shared.models.commands import Command

MAX_LENGTH = 1000
"""Characters of the header that are read."""
_PREFERENCE = re.compile(r"""(?:[^,"]|"(?:[^"\\]|\\.)*")+""")
_WAIT = re.compile(r"[0-9]{1,9}")


@dataclass(frozen=True)
class Preferences:
    """What the caller prefers; what the service does not know is ignored."""

    respond_async: bool = False
    wait: int | None = None
    """Seconds."""

    @property
    def max_wait_s(self) -> int | None:
        """How long to wait for the outcome, seconds; None: as long as without the header."""
        return 0 if self.wait is None and self.respond_async else self.wait

    def __str__(self) -> str:
        found = ["respond-async"] if self.respond_async else []
        return ", ".join([*found, *([] if self.wait is None else [f"wait={self.wait}"])])


@dataclass(frozen=True)
class Accepted:
    """202: the command was sent, and the caller does not wait for its outcome."""

    command: Command


def preferences_of(event: Mapping[str, Any]) -> Preferences:
    """Return the preferences of a request; of several values for one, the first counts."""
    found: dict[str, str] = {}
    for preference in _PREFERENCE.findall(header(event, "Prefer")[:MAX_LENGTH]):
        name, _, value = preference.partition(";")[0].partition("=")
        found.setdefault(name.strip().lower(), value.strip().strip('"'))
    wait = found.get("wait", "")
    return Preferences(
        respond_async="respond-async" in found,
        wait=int(wait) if _WAIT.fullmatch(wait) else None,
    )
