"""The simulation by hand: many seeds, one seed again, or the deliberate bugs."""

# ruff: noqa: T201 - its screen is its interface

import argparse
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace

from local import signals
from local.postgres import Postgres
from tests import database
from tests.simulation import case
from tests.simulation.case import Case
from tests.simulation.database import Database, prepared
from tests.simulation.mutations import MUTATIONS
from tests.simulation.runner import Outcome, plan_of, run
from tests.simulation.search import fresh_seed, hunt, pick, replayed, told
from tests.simulation.shrink import smallest

_SEEDS_A_LINE = 100
"""Of progress that goes to a file."""


def main() -> int:
    """Exit 1 when something was found."""
    options = _options()
    signals.heed()
    try:
        with running() as simulated:
            if options.mutations is not None:
                return _mutations(simulated, options)
            if options.case is not None:
                return _replay(simulated, case.kept()[options.case])
            if options.seed is not None:
                return _one(simulated, options)
            first = fresh_seed() if options.first is None else options.first
            return _many(simulated, range(first, first + options.seeds))
    except KeyboardInterrupt:
        return signals.INTERRUPTED


@contextmanager
def running() -> Iterator[Database]:
    """A server and a database of its own."""
    with (
        database.fast_directory() as directory,
        Postgres(directory, durable=False) as server,
        prepared(server) as simulated,
    ):
        yield simulated


def _one(simulated: Database, options: argparse.Namespace) -> int:
    schedule = plan_of(options.seed)
    if options.steps:
        schedule = replace(schedule, steps=pick(schedule.steps, options.steps))
    outcome = run(schedule, simulated)
    print("\n".join(outcome.history))
    if options.keep and outcome.violation is not None:
        print(f"kept: {_keep(simulated, outcome, options.keep)}")
    return int(outcome.violation is not None)


def _keep(simulated: Database, outcome: Outcome, why: str) -> str:
    small = smallest(outcome, lambda schedule: run(schedule, simulated), seconds=90)
    rule = small.violation.rule if small.violation else ""
    made = Case(why, small.plan, rule, f"seed {outcome.plan.seed}", small.history)
    return str(case.keep(made))


def _replay(simulated: Database, kept: Case) -> int:
    """A case on the service as it is, and with its deliberate bug."""
    as_it_is = replayed(kept, simulated)
    print("\n".join([kept.why, *as_it_is.history]))
    if kept.bug:
        print(
            "\n".join(
                ["", f"with the bug: {kept.bug}", *replayed(kept, simulated, mutated=True).history]
            )
        )
    return int(as_it_is.violation is not None)


def _many(simulated: Database, seeds: range) -> int:
    began, steps, found = time.monotonic(), 0, 0
    print(f"seeds {seeds.start} to {seeds.stop - 1}")
    for done, seed in enumerate(seeds, start=1):
        outcome = run(plan_of(seed), simulated)
        steps += outcome.steps
        if outcome.violation is not None:
            found += 1
            print(f"\nseed {seed}: {outcome.violation}\n{told(outcome, simulated)}", flush=True)
        last = done == len(seeds)
        if sys.stdout.isatty() or last or done % _SEEDS_A_LINE == 0:
            speed = done / (time.monotonic() - began)
            line = f"{done} of {len(seeds)} seeds, {steps} steps, {found} found, {speed:.1f}/s"
            rewritten = sys.stdout.isatty() and not last
            print(line, end="\r" if rewritten else "\n", flush=True)
    return int(found > 0)


def _mutations(simulated: Database, options: argparse.Namespace) -> int:
    """Random seeds against deliberate bugs; one that has no case yet gets one."""
    survived, cases = 0, {kept.bug for kept in case.kept().values()}
    first = fresh_seed() if options.first is None else options.first
    for bug in MUTATIONS:
        if not any(words in bug for words in options.mutations.split(",")):
            continue
        progress, made = hunt(
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
    parser.add_argument("--first", type=int, help="begin with this seed, not anywhere")
    parser.add_argument("--seed", type=int, help="run this one, and show its history")
    parser.add_argument("--steps", help="only these steps of it, as a failure prints them")
    parser.add_argument("--keep", metavar="WHY", help="make a case of it: small, in cases/")
    parser.add_argument("--case", metavar="NAME", help="run a case of cases/, and show its history")
    parser.add_argument(
        "--mutations", nargs="?", const="", help="try the deliberate bugs, or those so named"
    )
    parser.add_argument("--tries", type=int, default=400, help="seeds for each deliberate bug")
    return parser.parse_args()


if __name__ == "__main__":
    sys.exit(main())
