"""The soak by hand: python -m tests.soak --minutes 60 --cabinets 1000 --rate 20 --seed 1."""

# ruff: noqa: T201 - its screen is its interface

import argparse
import sys
import tempfile
from pathlib import Path

from local import signals
from tests.e2e.running import starting
from tests.processes import ROOT
from tests.soak import screen
from tests.soak.plan import Plan
from tests.soak.soak import Findings, run

SECONDS_TO_START = 240
SECONDS_TO_STOP = 60
# Else glibc keeps a heap a core and more, each as large as its busiest moment: growth, but no leak.
SETTINGS = {"MALLOC_ARENA_MAX": "2"}


def main() -> int:
    """Exit 1 when a verdict fails, 130 after Ctrl-C, 2 where nothing can be measured."""
    options = _options()
    if not Path("/proc/self/smaps_rollup").exists():
        print("a soak reads the processes' memory from Linux's /proc: it is not here")
        return 2
    signals.heed()
    plan = Plan(options.minutes * 60, options.cabinets, options.rate, options.seed)
    try:
        findings = _soaked(plan)
    except KeyboardInterrupt:  # before there was anything to tell
        return signals.INTERRUPTED
    if findings.interrupted:
        return signals.INTERRUPTED
    return 0 if all(verdict.holds for verdict in findings.verdicts()) else 1


def _soaked(plan: Plan) -> Findings:
    up = ("--cabinets", str(plan.cabinets), "--seed", str(plan.seed))
    with (
        tempfile.TemporaryDirectory(prefix="accumulator-soak-") as directory,
        starting(Path(directory), *up, settings=SETTINGS, root=ROOT) as stack,
    ):
        print(f"starting a local cloud with {plan.cabinets} cabinets", flush=True)
        try:
            stack.wait_ready(seconds=SECONDS_TO_START)
            findings = run(stack, plan, lambda found: print(screen.row(found), flush=True))
            print(*screen.whole(findings), sep="\n", flush=True)
        finally:
            stack.process.terminate()
            stack.process.wait(SECONDS_TO_STOP)
    return findings


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m tests.soak", description=__doc__)
    parser.add_argument("--minutes", type=float, default=60)
    parser.add_argument("--cabinets", type=int, default=1000)
    parser.add_argument("--rate", type=float, default=20, help="requests a second")
    parser.add_argument("--seed", type=int, default=1)
    return parser.parse_args()


if __name__ == "__main__":
    sys.exit(main())
