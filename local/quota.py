"""The quota of concurrent calls in a zone, and each function's share, as Terraform deploys it."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Self

_SHARES = Path(__file__).parents[1] / "terraform" / "concurrency.json"


@dataclass(frozen=True)
class Quota:
    """How many calls may be in progress in a zone."""

    calls: int
    """Of all functions together."""
    limits: Mapping[str, int]
    """Of each function; one that is not here may use the whole quota."""

    @classmethod
    def deployed(cls, calls: int) -> Self:
        """Return the limits that Terraform sets for a zone with this quota (zone_concurrency)."""
        shares = json.loads(_SHARES.read_text())
        limits = {n: max(one["least"], int(one["share"] * calls)) for n, one in shares.items()}
        return cls(calls, limits)

    def allows(self, function: str, busy: Mapping[str, int]) -> bool:
        """Whether one more call may start while `busy` calls of each function are in progress."""
        own = busy.get(function, 0) < self.limits.get(function, self.calls)
        return own and sum(busy.values()) < self.calls
