"""The parameters of a soak."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Plan:
    """Duration, number of cabinets, requests a second, and faulty cabinets."""

    seconds: float
    cabinets: int
    rate: float
    seed: int
    faulty_share: float = 0.02
    """The share of cabinets that reply late, twice or not at all, each for `faulty_seconds`."""
    faulty_seconds: float = 60.0
    settle_seconds: float = 180.0
