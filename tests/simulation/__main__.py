"""The simulation by hand: many seeds, one seed again, or the deliberate bugs."""

# ruff: noqa: T201 - its screen is its interface

import argparse
import random
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import pytest

from local.postgres import Postgres
from tests import database
from tests.simulation.calls import Course
from tests.simulation.database import Database, prepared
from tests.simulation.mutations import MUTATIONS
from tests.simulation.plan import Step
from tests.simulation.runner import Outcome, plan_of, run
from tests.simulation.shrink import smallest

SEEDS = Path(__file__).with_name("seeds.txt")


def main() -> int:
    """Exit 1 when something was found."""
    options = _options()
    try:
        with running() as simulated:
            if options.mutations is not None:
                return _mutations(simulated, options.mutations, options.tries)
            if options.seed is not None:
                return _one(simulated, options.seed, options.steps)
            return _many(simulated, options.seeds, options.first)
    except KeyboardInterrupt:
        return 130


@contextmanager
def running() -> Iterator[Database]:
    """A server and a database of its own."""
    with (
        database.fast_directory() as directory,
        Postgres(directory, durable=False) as server,
        prepared(server) as simulated,
    ):
        yield simulated


def remembered() -> list[int]:
    """The seeds that failed once."""
    lines = (line.partition("#")[0].strip() for line in SEEDS.read_text().splitlines())
    return [int(line) for line in lines if line]


def told(outcome: Outcome, simulated: Database, *, seconds: float = 45) -> str:
    """A failure, made small, and how to have it again."""
    small = smallest(outcome, lambda schedule: run(schedule, simulated), seconds=seconds)
    kept = _kept(outcome, small)
    again = f"python -m tests.simulation --seed {outcome.plan.seed}{kept}"
    return "\n".join([*small.history, f"again: {again}"])


def _kept(outcome: Outcome, small: Outcome) -> str:
    """The numbers of the steps that are left, if each is as it was in the whole schedule."""
    numbers, steps = [], list(outcome.plan.steps)
    position = 0
    for step in small.plan.steps:
        whole = [replace(s, course=step.course) for s in steps[position:]]
        position += whole.index(step) + 1
        numbers.append(f"{position}{'' if steps[position - 1] == step else 'c'}")
    return f" --steps {','.join(numbers)}"


def _one(simulated: Database, seed: int, steps: str | None) -> int:
    schedule = plan_of(seed)
    if steps:
        schedule = replace(
            schedule, steps=tuple(_pick(schedule.steps, n) for n in steps.split(","))
        )
    outcome = run(schedule, simulated)
    print("\n".join(outcome.history))
    return int(outcome.violation is not None)


def _many(simulated: Database, count: int, first: int | None) -> int:
    seeds = range(first, first + count) if first is not None else _fresh(count)
    began, steps, found = time.monotonic(), 0, 0
    for done, seed in enumerate(seeds, start=1):
        outcome = run(plan_of(seed), simulated)
        steps += outcome.steps
        if outcome.violation is not None:
            found += 1
            print(f"\nseed {seed}: {outcome.violation}\n{told(outcome, simulated)}", flush=True)
        speed = done / (time.monotonic() - began)
        end = "\n" if done == count else ""
        print(f"\r{done} of {count} seeds, {steps} steps, {found} found, {speed:.1f}/s", end=end)
        sys.stdout.flush()
    return int(found > 0)


def _mutations(simulated: Database, wanted: str, tries: int) -> int:
    survived = 0
    for name, mutate in MUTATIONS.items():
        if not any(word in name for word in wanted.split(",")):
            continue
        with pytest.MonkeyPatch.context() as patch:
            mutate(patch)
            caught = _first_failure(simulated, tries)
        survived += caught is None
        line = f"{caught.plan.seed} | {caught.steps} | {caught.violation}" if caught else "SURVIVED"
        print(f"{name} | {line}"[:200], flush=True)
    return int(survived > 0)


def _first_failure(simulated: Database, tries: int) -> Outcome | None:
    for seed in range(tries):
        outcome = run(plan_of(seed), simulated)
        if outcome.violation is not None:
            return outcome
    return None


def _pick(steps: tuple[Step, ...], number: str) -> Step:
    """A step by its number; with a `c` without its pauses and fault."""
    step = steps[int(number.removesuffix("c")) - 1]
    return replace(step, course=Course()) if number.endswith("c") else step


def _fresh(count: int) -> list[int]:
    return [random.SystemRandom().randrange(10**9) for _ in range(count)]


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m tests.simulation", description=__doc__)
    parser.add_argument("--seeds", type=int, default=1000, help="how many new seeds to run")
    parser.add_argument(
        "--first", type=int, help="run consecutive seeds from here, not random ones"
    )
    parser.add_argument("--seed", type=int, help="run this one, and show its history")
    parser.add_argument("--steps", help="only these steps of it, as a failure prints them")
    parser.add_argument(
        "--mutations", nargs="?", const="", help="try the deliberate bugs, or those so named"
    )
    parser.add_argument("--tries", type=int, default=60, help="seeds for each deliberate bug")
    return parser.parse_args()


if __name__ == "__main__":
    sys.exit(main())
