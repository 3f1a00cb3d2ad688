"""Load a local cloud for a long time, and check that nothing is lost and nothing grows."""

# ruff: noqa: T201 - a command-line program prints

import argparse
import sys
import tempfile
from pathlib import Path

from local import signals
from tests.soak import report
from tests.soak.plan import Plan
from tests.soak.soak import Findings, run
from tests.support.local_cloud import starting
from tests.support.processes import ROOT

SECONDS_TO_START = 240
SECONDS_TO_STOP = 60
# By default glibc keeps several heaps at their largest size: memory grows without a leak.
SETTINGS = {"MALLOC_ARENA_MAX": "2"}


def main() -> int:
    """Return 1 if a verdict fails, 2 if memory cannot be measured, 130 after Ctrl-C."""
    options = _options()
    if not Path("/proc/self/smaps_rollup").exists():
        print("a soak needs Linux: it reads the memory of processes from /proc")
        return 2
    signals.handle()
    plan = Plan(options.minutes * 60, options.cabinets, options.rate, options.seed)
    try:
        findings = _run(plan)
    except KeyboardInterrupt:  # before the first minute
        return signals.INTERRUPTED
    if findings.interrupted:
        return signals.INTERRUPTED
    return 0 if all(verdict.holds for verdict in findings.verdicts()) else 1


def _run(plan: Plan) -> Findings:
    up = ("--cabinets", str(plan.cabinets), "--seed", str(plan.seed), "--no-rate-limits")
    with (
        tempfile.TemporaryDirectory(prefix="accumulator-soak-") as directory,
        starting(Path(directory), *up, settings=SETTINGS, root=ROOT) as stack,
    ):
        print(f"starting a local cloud with {plan.cabinets} cabinets", flush=True)
        try:
            stack.wait_ready(seconds=SECONDS_TO_START)
            findings = run(stack, plan, lambda found: print(report.row(found), flush=True))
            print(*report.summary(findings), sep="\n", flush=True)
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
