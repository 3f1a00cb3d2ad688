"""Run seeds until one breaks a rule, and describe the failure."""

import hashlib
import random
import time
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path

import pytest

from tests.simulation.calls import Disruption
from tests.simulation.case import Case
from tests.simulation.database import Database
from tests.simulation.mutations import MUTATIONS
from tests.simulation.plan import Step
from tests.simulation.runner import Result, plan_of, run
from tests.simulation.shrink import shrink
from tests.simulation.transitions import Coverage

ROOT = Path(__file__).parents[2]
CODE = ("functions", "shared", "tests/simulation")


@dataclass
class Search:
    """The progress and the result of a search."""

    seeds: int = 0
    steps: int = 0
    found: Result | None = None
    coverage: Coverage = field(default_factory=Coverage)


def fresh_seed() -> int:
    """Return a random first seed."""
    return random.SystemRandom().randrange(10**9)


def seed_from_code() -> int:
    """Return a first seed that changes whenever the code or a case changes."""
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
        result = run(plan_of(seed), simulated)
        progress.seeds += 1
        progress.steps += result.steps
        progress.coverage.add(result.coverage)
        if result.violation is not None:
            progress.found = result
            break
    return progress


def for_seconds(seconds: float, first: int) -> Iterator[int]:
    """Yield consecutive seeds until the time is over."""
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        yield first
        first += 1


def describe_failure(result: Result, simulated: Database, *, seconds: float = 45) -> str:
    """Return the history of a failure, shrunk, and the command that reproduces it."""
    small = shrink(result, lambda schedule: run(schedule, simulated), seconds=seconds)
    command = f"python -m tests.simulation --seed {result.plan.seed}{_picked(result, small)}"
    return "\n".join([*small.history, f"reproduce: {command}"])


def replayed(kept: Case, simulated: Database, *, mutated: bool = False) -> Result:
    """Run a case, on the unchanged service or with the case's deliberate bug."""
    with pytest.MonkeyPatch.context() as patch:
        if mutated:
            MUTATIONS[kept.bug](patch)
        return run(kept.plan, simulated)


def find_bug(
    simulated: Database, bug: str, seeds: Iterable[int], *, small: bool
) -> tuple[Search, Case | None]:
    """Run random seeds against a deliberate bug; return a case of the first that finds it."""
    with pytest.MonkeyPatch.context() as patch:
        MUTATIONS[bug](patch)
        progress = search(simulated, seeds)
        if progress.found is None:
            return progress, None
        found = f"seed {progress.found.plan.seed}, after {progress.seeds} seeds"
        seconds = 45 if small else 0
        least = shrink(progress.found, lambda plan: run(plan, simulated), seconds=seconds)
        assert least.violation is not None
        return progress, Case(bug, least.plan, least.violation.rule, found, least.history, bug=bug)


def _picked(result: Result, small: Result) -> str:
    """Return the numbers of the steps that are left; `c` marks one without its disruption."""
    numbers, steps = [], list(result.plan.steps)
    position = 0
    for step in small.plan.steps:
        whole = [replace(s, disruption=step.disruption) for s in steps[position:]]
        position += whole.index(step) + 1
        numbers.append(f"{position}{'' if steps[position - 1] == step else 'c'}")
    return f" --steps {','.join(numbers)}"


def pick_steps(steps: tuple[Step, ...], numbers: str) -> tuple[Step, ...]:
    """Return the steps that a failure printed."""
    return tuple(_pick(steps, number) for number in numbers.split(","))


def _pick(steps: tuple[Step, ...], number: str) -> Step:
    step = steps[int(number.removesuffix("c")) - 1]
    return replace(step, disruption=Disruption()) if number.endswith("c") else step
