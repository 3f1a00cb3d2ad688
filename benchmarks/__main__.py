"""Measure the service, its baselines and reference implementations; update docs/performance.md.

Figures are medians of several runs. Run nothing else on the machine at the same time.
"""

# ruff: noqa: T201 - its screen is its interface

import argparse
import importlib
import os
import sys
import time

from benchmarks import page
from benchmarks.figures import Measured
from local import signals

BENCHMARKS = [
    "cold_start",
    "unlock",
    "waiting",
    "booking",
    "statements",
    "ingest",
    "bridge",
    "scale",
    "reads",
    "day",
    "year",
]


def main() -> int:
    """Return 1 when a goal is not met, 130 after Ctrl-C or SIGTERM."""
    options = _options()
    missed = []
    signals.handle()
    try:
        for name in options.names or BENCHMARKS:
            began = time.monotonic()
            print(f"# {name} …", file=sys.stderr, flush=True)
            measured: Measured = importlib.import_module(f"benchmarks.{name}").measure(
                quick=options.quick
            )
            print(f"\n## {name}\n\n{measured}\n", flush=True)
            print(f"# {name}: {time.monotonic() - began:.0f} s", file=sys.stderr, flush=True)
            if not options.quick:
                page.write(name, measured)
            missed += [f"{name}: {f.work}" for f in measured.figures if f.met is False]
    except KeyboardInterrupt:
        print("interrupted", file=sys.stderr)
        return signals.INTERRUPTED
    load = ", ".join(f"{part:.1f}" for part in os.getloadavg())
    print(f"machine: {os.cpu_count()} cores, load {load}", file=sys.stderr)
    for line in missed:
        print(f"goal not met: {line}", file=sys.stderr)
    return int(bool(missed))


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__)
    parser.add_argument(
        "names", nargs="*", metavar="NAME", help=f"default: all of {', '.join(BENCHMARKS)}"
    )
    parser.add_argument(
        "--quick",
        action="store_true",
        help="few repetitions, only to check that it runs; write nothing",
    )
    options = parser.parse_args()
    unknown = sorted(set(options.names) - set(BENCHMARKS))
    if unknown:
        parser.error(
            f"no such benchmark: {', '.join(unknown)}; choose from {', '.join(BENCHMARKS)}"
        )
    return options


if __name__ == "__main__":
    sys.exit(main())
