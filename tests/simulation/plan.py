"""A run's schedule, made from its seed before anything happens.

A step is a word and some numbers that choose among what there is when its turn comes, so that
steps can be left out and the others still mean something.
"""

import random
from collections.abc import Callable
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
    ("cut", "ran"),
    ("cut", "commit"),
    ("cut", "committed"),
)
_ZEALS = (0.2, 0.5, 1, 1, 2, 5)
_CALM = Course()
_PAUSES: tuple[Point, ...] = ("begin", "commit", "committed", "publish", "published")


Numbers = tuple[int, int, int, int]


@dataclass(frozen=True)
class Step:
    """One step: `kind` is a function of people.py or faults.py."""

    kind: str
    numbers: Numbers
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
    """The schedule of a seed: each run has a bent of its own, and only some of the `rare` kinds.

    What is rare in all runs on average is common in some of them, and so are combinations.
    """
    rng = random.Random(seed)  # noqa: S311 - a simulation
    chosen = {
        kind: weight * rng.choice(_ZEALS)
        for kind, weight in weights.items()
        if kind not in rare or rng.random() < 0.4
    }
    habits = {kind: _habit(rng) for kind in weights}
    course = _courses(rng)
    kinds = rng.choices([*chosen], [*chosen.values()], k=STEPS)
    steps = tuple(Step(kind, _numbers(rng, habits[kind]), course()) for kind in kinds)
    honours_ttl = rng.random() < 0.6
    cabinets = rng.choice((1, 1, 2, 2, 3))
    return Plan(seed, cabinets, rng.randint(2, 4), rng.randint(1, 3), honours_ttl, steps)


def _habit(rng: random.Random) -> tuple[int | None, ...]:
    """Which of a kind's numbers are always the same in this run."""
    return tuple(rng.randrange(1000) if rng.random() < 0.15 else None for _ in range(4))


def _numbers(rng: random.Random, habit: tuple[int | None, ...]) -> Numbers:
    a, b, c, d = (rng.randrange(1000) if known is None else known for known in habit)
    return a, b, c, d


def _courses(rng: random.Random) -> Callable[[], Course]:
    """How this run's calls go: where they like to stop, and what befalls them."""
    pausing, failing = rng.choice((0, 0.1, 0.4)), rng.choice((0, 0.05, 0.2))
    stops = rng.sample(_PAUSES, rng.randint(1, len(_PAUSES)))
    faults = rng.sample(_FAULTS, rng.randint(1, len(_FAULTS)))

    def course() -> Course:
        pauses = (rng.randint(1, 20), rng.randint(1, 40)) if rng.random() < pausing else ()
        pause_at = (rng.choice(stops), rng.randint(1, 2)) if rng.random() < pausing else None
        fault = None
        if rng.random() < failing:
            effect, point = rng.choice(faults)
            nth = rng.randint(1, 9) if point == "statement" else rng.choice((1, 2, 2, 3))
            fault = Fault(effect, point, nth)
        return Course(pauses, pause_at, fault)

    return course
