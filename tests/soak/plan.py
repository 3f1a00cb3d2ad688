"""What a soak is asked for."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Plan:
    """How long, how much, and how much of it goes wrong."""

    seconds: float
    cabinets: int
    rate: float
    seed: int
    spoilt_share: float = 0.02
    """Of the cabinets answer late, twice or not at all, each for `spoilt_seconds`."""
    spoilt_seconds: float = 60.0
    settle_seconds: float = 180.0
