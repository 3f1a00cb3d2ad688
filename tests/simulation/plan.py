"""The plan of a run, generated from its seed before the run begins.

A step is a kind and four numbers. The numbers choose among the cabinets, bookings and so on that
exist when the step is taken. Any step can therefore be left out, and the others still work.
"""

import random
from collections.abc import Callable
from dataclasses import dataclass

from tests.simulation.calls import Disruption, Effect, Fault, Point

STEPS = 130
_FAULTS: tuple[tuple[Effect, Point], ...] = (
    ("kill", "statement"),
    ("kill", "begin"),
    ("kill", "commit"),
    ("kill", "committed"),
    ("kill", "committed"),
    ("kill", "committed"),
    ("kill", "publish"),
    ("kill", "published"),
    ("kill", "wait"),
    ("cut", "statement"),
    ("cut", "begin"),
    ("cut", "ran"),
    ("cut", "commit"),
    ("cut", "committed"),
)
_WEIGHT_FACTORS = (0.2, 0.5, 1, 1, 2, 5)
_UNDISTURBED = Disruption()
_PAUSES: tuple[Point, ...] = ("begin", "commit", "committed", "publish", "published")


Numbers = tuple[int, int, int, int]


@dataclass(frozen=True)
class Step:
    """One step: `kind` names a function in people.py, carriers.py, faults.py or cabinets.py."""

    kind: str
    numbers: Numbers
    disruption: Disruption = _UNDISTURBED


@dataclass(frozen=True)
class Plan:
    """All steps of a run, and how many cabinets, cells and contractors there are."""

    seed: int
    cabinets: int
    cells: int
    contractors: int
    honours_ttl: bool
    """Whether the cabinets refuse expired commands. If not, the broker keeps their order."""
    steps: tuple[Step, ...]


def make(seed: int, weights: dict[str, int], rare: frozenset[str]) -> Plan:
    """Generate the plan of a seed, with weights of its own and only some of the `rare` kinds.

    So what is rare on average is common in some runs, and so are combinations.
    """
    rng = random.Random(seed)  # noqa: S311 - a simulation
    chosen = {
        kind: weight * rng.choice(_WEIGHT_FACTORS)
        for kind, weight in weights.items()
        if kind not in rare or rng.random() < 0.4
    }
    fixed = {kind: _fixed_numbers(rng) for kind in weights}
    disruption = _disruptions(rng)
    kinds = rng.choices([*chosen], [*chosen.values()], k=STEPS)
    steps = tuple(Step(kind, _numbers(rng, fixed[kind]), disruption()) for kind in kinds)
    honours_ttl = rng.random() < 0.6
    cabinets = rng.choice((1, 1, 2, 2, 3))
    return Plan(seed, cabinets, rng.randint(2, 4), rng.randint(1, 3), honours_ttl, steps)


def _fixed_numbers(rng: random.Random) -> tuple[int | None, ...]:
    """Choose which of a kind's numbers are fixed in this run."""
    return tuple(rng.randrange(1000) if rng.random() < 0.15 else None for _ in range(4))


def _numbers(rng: random.Random, fixed: tuple[int | None, ...]) -> Numbers:
    a, b, c, d = (rng.randrange(1000) if known is None else known for known in fixed)
    return a, b, c, d


def _disruptions(rng: random.Random) -> Callable[[], Disruption]:
    """Return a function that generates the disruption of each call of this run."""
    pausing, failing = rng.choice((0, 0.1, 0.4)), rng.choice((0, 0.05, 0.2))
    stops = rng.sample(_PAUSES, rng.randint(1, len(_PAUSES)))
    faults = rng.sample(_FAULTS, rng.randint(1, len(_FAULTS)))

    def disruption() -> Disruption:
        pauses = (rng.randint(1, 20), rng.randint(1, 40)) if rng.random() < pausing else ()
        pause_at = (rng.choice(stops), rng.randint(1, 2)) if rng.random() < pausing else None
        fault = None
        if rng.random() < failing:
            effect, point = rng.choice(faults)
            nth = rng.randint(1, 9) if point == "statement" else rng.choice((1, 2, 2, 3))
            fault = Fault(effect, point, nth)
        return Disruption(pauses, pause_at, fault)

    return disruption
