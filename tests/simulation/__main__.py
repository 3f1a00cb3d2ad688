"""Run the simulation: many seeds, one seed again, one kept case, or the deliberate bugs."""

# ruff: noqa: T201 - a command-line program prints

import argparse
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace

from local import signals
from local.postgres import Postgres
from tests.simulation import case
from tests.simulation.case import Case
from tests.simulation.database import Database, prepared
from tests.simulation.mutations import MUTATIONS
from tests.simulation.runner import Result, plan_of, run
from tests.simulation.search import (
    describe_failure,
    find_bug,
    fresh_seed,
    pick_steps,
    replayed,
)
from tests.simulation.shrink import shrink
from tests.simulation.transitions import Coverage
from tests.support import database

_SEEDS_A_LINE = 100
"""How often progress is printed if the output is not a terminal."""


def main() -> int:
    """Return 1 if a rule was broken or a transition was never taken, else 0."""
    options = _options()
    signals.handle()
    try:
        with running() as simulated:
            if options.mutations is not None:
                return _run_mutations(simulated, options)
            if options.case is not None:
                return _run_case(simulated, case.kept()[options.case])
            if options.seed is not None:
                return _run_seed(simulated, options)
            first = fresh_seed() if options.first is None else options.first
            return _run_seeds(simulated, range(first, first + options.seeds))
    except KeyboardInterrupt:
        return signals.INTERRUPTED


@contextmanager
def running() -> Iterator[Database]:
    """A PostgreSQL server and a migrated database for the simulation alone."""
    with (
        database.fast_directory() as directory,
        Postgres(directory, durable=False) as server,
        prepared(server) as simulated,
    ):
        yield simulated


def _run_seed(simulated: Database, options: argparse.Namespace) -> int:
    schedule = plan_of(options.seed)
    if options.steps:
        schedule = replace(schedule, steps=pick_steps(schedule.steps, options.steps))
    result = run(schedule, simulated)
    print("\n".join(result.history))
    if options.keep and result.violation is not None:
        print(f"kept: {_keep(simulated, result, options.keep)}")
    return int(result.violation is not None)


def _keep(simulated: Database, result: Result, why: str) -> str:
    small = shrink(result, lambda schedule: run(schedule, simulated), seconds=90)
    rule = small.violation.rule if small.violation else ""
    made = Case(why, small.plan, rule, f"seed {result.plan.seed}", small.history)
    return str(case.keep(made))


def _run_case(simulated: Database, kept: Case) -> int:
    """Run a case on the unchanged service, then with its deliberate bug."""
    unchanged = replayed(kept, simulated)
    print("\n".join([kept.why, *unchanged.history]))
    if kept.bug:
        mutated = replayed(kept, simulated, mutated=True)
        print("\n".join(["", f"with the bug: {kept.bug}", *mutated.history]))
    return int(unchanged.violation is not None)


def _run_seeds(simulated: Database, seeds: range) -> int:
    began, steps, found, coverage = time.monotonic(), 0, 0, Coverage()
    print(f"seeds {seeds.start} to {seeds.stop - 1}")
    for done, seed in enumerate(seeds, start=1):
        result = run(plan_of(seed), simulated)
        steps += result.steps
        coverage.add(result.coverage)
        if result.violation is not None:
            found += 1
            print(
                f"\nseed {seed}: {result.violation}\n{describe_failure(result, simulated)}",
                flush=True,
            )
        last = done == len(seeds)
        if sys.stdout.isatty() or last or done % _SEEDS_A_LINE == 0:
            speed = done / (time.monotonic() - began)
            line = f"{done} of {len(seeds)} seeds, {steps} steps, {found} found, {speed:.1f}/s"
            rewritten = sys.stdout.isatty() and not last
            print(line, end="\r" if rewritten else "\n", flush=True)
    return int(found > 0 or not _are_all_taken(simulated, coverage))


def _are_all_taken(simulated: Database, coverage: Coverage) -> bool:
    """Print the rarest transitions; return whether the seeds and the kept cases take all."""
    print(coverage.summary())
    missed = coverage.never_taken()
    if missed:
        print(f"not taken by these seeds: {', '.join(map(str, missed))}")
        for kept in case.kept().values():
            coverage.add(replayed(kept, simulated).coverage)
    never = coverage.never_taken()
    if never:
        print(f"NEVER TAKEN, not by the kept cases either: {', '.join(map(str, never))}")
    return not never


def _run_mutations(simulated: Database, options: argparse.Namespace) -> int:
    """Run random seeds against deliberate bugs; keep a case for each bug that has none yet."""
    survived, cases = 0, {kept.bug for kept in case.kept().values()}
    first = fresh_seed() if options.first is None else options.first
    for bug in MUTATIONS:
        if not any(words in bug for words in options.mutations.split(",")):
            continue
        progress, made = find_bug(
            simulated, bug, range(first, first + options.tries), small=bug not in cases
        )
        survived += progress.found is None
        line = f"{made.found} | {made.shows}" if made else f"SURVIVED {progress.seeds} seeds"
        print(f"{bug} | {line}", flush=True)
        if made and bug not in cases:
            case.keep(made)
    return int(survived > 0)


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m tests.simulation", description=__doc__)
    parser.add_argument("--seeds", type=int, default=1000, help="how many seeds to run")
    parser.add_argument("--first", type=int, help="the first seed; random if not given")
    parser.add_argument("--seed", type=int, help="run one seed and print its history")
    parser.add_argument(
        "--steps", help="with --seed: only these steps, in the notation that a failure prints"
    )
    parser.add_argument(
        "--keep", metavar="WHY", help="with --seed: shrink a failure and keep it in cases/"
    )
    parser.add_argument("--case", metavar="NAME", help="run a case of cases/ and print its history")
    parser.add_argument(
        "--mutations",
        metavar="NAME",
        nargs="?",
        const="",
        help="run against all deliberate bugs, or those whose names contain NAME",
    )
    parser.add_argument("--tries", type=int, default=400, help="seeds for each deliberate bug")
    return parser.parse_args()


if __name__ == "__main__":
    sys.exit(main())
