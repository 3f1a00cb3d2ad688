"""Seeds one after another until something is found, and what to say of it."""

import hashlib
import random
import time
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path

import pytest

from tests.simulation.calls import Course
from tests.simulation.case import Case
from tests.simulation.database import Database
from tests.simulation.mutations import MUTATIONS
from tests.simulation.plan import Step
from tests.simulation.runner import Outcome, plan_of, run
from tests.simulation.shrink import smallest

ROOT = Path(__file__).parents[2]
CODE = ("functions", "shared", "tests/simulation")


@dataclass
class Search:
    """How far a search has come."""

    seeds: int = 0
    steps: int = 0
    found: Outcome | None = None


def fresh_seed() -> int:
    """Where a search may begin that nobody has begun there."""
    return random.SystemRandom().randrange(10**9)


def seed_of_the_code() -> int:
    """Where to begin with this code: elsewhere after any change of it, else at the same seed."""
    digest = hashlib.sha256()
    for folder in CODE:
        for path in sorted((ROOT / folder).rglob("*")):
            if path.suffix in {".py", ".sql", ".txt"}:
                digest.update(path.read_bytes())
    return int(digest.hexdigest(), 16) % 10**9


def search(simulated: Database, seeds: Iterable[int]) -> Search:
    """Run seeds until one fails."""
    progress = Search()
    for seed in seeds:
        outcome = run(plan_of(seed), simulated)
        progress.seeds += 1
        progress.steps += outcome.steps
        if outcome.violation is not None:
            progress.found = outcome
            break
    return progress


def for_seconds(seconds: float, first: int) -> Iterator[int]:
    """Consecutive seeds for so long."""
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        yield first
        first += 1


def told(outcome: Outcome, simulated: Database, *, seconds: float = 45) -> str:
    """A failure, made small, and how to have it again."""
    small = smallest(outcome, lambda schedule: run(schedule, simulated), seconds=seconds)
    command = f"python -m tests.simulation --seed {outcome.plan.seed}{_picked(outcome, small)}"
    return "\n".join([*small.history, f"again: {command}"])


def replayed(kept: Case, simulated: Database, *, mutated: bool = False) -> Outcome:
    """A case once more, with the service as it is or with the case's bug in it."""
    with pytest.MonkeyPatch.context() as patch:
        if mutated:
            MUTATIONS[kept.bug](patch)
        return run(kept.plan, simulated)


def hunt(
    simulated: Database, bug: str, seeds: Iterable[int], *, small: bool
) -> tuple[Search, Case | None]:
    """Random seeds against a deliberate bug; the first that finds it, made small if wanted."""
    with pytest.MonkeyPatch.context() as patch:
        MUTATIONS[bug](patch)
        progress = search(simulated, seeds)
        if progress.found is None:
            return progress, None
        found = f"seed {progress.found.plan.seed}, after {progress.seeds} seeds"
        seconds = 45 if small else 0
        least = smallest(progress.found, lambda plan: run(plan, simulated), seconds=seconds)
        assert least.violation is not None
        return progress, Case(bug, least.plan, least.violation.rule, found, least.history, bug=bug)


def _picked(outcome: Outcome, small: Outcome) -> str:
    """The numbers of the steps that are left; with a `c` without its pauses and fault."""
    numbers, steps = [], list(outcome.plan.steps)
    position = 0
    for step in small.plan.steps:
        whole = [replace(s, course=step.course) for s in steps[position:]]
        position += whole.index(step) + 1
        numbers.append(f"{position}{'' if steps[position - 1] == step else 'c'}")
    return f" --steps {','.join(numbers)}"


def pick(steps: tuple[Step, ...], numbers: str) -> tuple[Step, ...]:
    """The steps that a failure named."""
    return tuple(_pick(steps, number) for number in numbers.split(","))


def _pick(steps: tuple[Step, ...], number: str) -> Step:
    step = steps[int(number.removesuffix("c")) - 1]
    return replace(step, course=Course()) if number.endswith("c") else step
