"""A run's schedule, made from its seed before anything happens.

A step is a word and some numbers that choose among what there is when its turn comes, so that
steps can be left out and the others still mean something.
"""

import random
from dataclasses import dataclass

from tests.simulation.calls import Course, Effect, Fault, Point

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
    ("cut", "commit"),
    ("cut", "committed"),
)
_CALM = Course()
_PAUSES: tuple[Point, ...] = ("begin", "commit", "committed", "publish", "published")


@dataclass(frozen=True)
class Step:
    """One step: `kind` is a function of people.py or faults.py."""

    kind: str
    numbers: tuple[int, int, int, int]
    course: Course = _CALM


@dataclass(frozen=True)
class Plan:
    """All that a run does; the numbers say what there is."""

    seed: int
    cabinets: int
    cells: int
    contractors: int
    honours_ttl: bool
    """Whether the cabinets refuse commands that are too old; then the broker may be slow."""
    steps: tuple[Step, ...]


def make(seed: int, weights: dict[str, int], rare: frozenset[str]) -> Plan:
    """The schedule of a seed: each run has a bent of its own, and only some of the `rare` kinds."""
    rng = random.Random(seed)  # noqa: S311 - a simulation
    chosen = {
        kind: weight for kind, weight in weights.items() if kind not in rare or rng.random() < 0.4
    }
    pausing, failing = rng.choice((0, 0.1, 0.4)), rng.choice((0, 0.05, 0.2))
    kinds = rng.choices([*chosen], [*chosen.values()], k=STEPS)
    steps = tuple(
        Step(
            kind,
            (rng.randrange(1000), rng.randrange(1000), rng.randrange(1000), rng.randrange(1000)),
            _course(rng, pausing, failing),
        )
        for kind in kinds
    )
    honours_ttl = rng.random() < 0.6
    return Plan(seed, rng.randint(1, 2), rng.randint(2, 4), rng.randint(1, 3), honours_ttl, steps)


def _course(rng: random.Random, pausing: float, failing: float) -> Course:
    pauses = (rng.randint(1, 20), rng.randint(1, 40)) if rng.random() < pausing else ()
    pause_at = (rng.choice(_PAUSES), rng.randint(1, 2)) if rng.random() < pausing else None
    fault = None
    if rng.random() < failing:
        effect, point = rng.choice(_FAULTS)
        nth = rng.randint(1, 9) if point == "statement" else rng.choice((1, 2, 2))
        fault = Fault(effect, point, nth)
    return Course(pauses, pause_at, fault)
