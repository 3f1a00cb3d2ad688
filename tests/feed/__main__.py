"""Write events in the worst order, read them as fast as possible, and count what goes wrong."""

# ruff: noqa: T201 - a command-line program prints

import argparse
import sys
import time

from benchmarks.database import settings
from local import signals
from tests.feed.load import Plan
from tests.feed.run import FEED, run
from tests.support import database


def main() -> int:
    """Return 1 if a reader of the feed missed anything, 130 after Ctrl-C."""
    options = _options()
    signals.handle()
    database.POOLED = options.pgbouncer
    plan = Plan(
        events=options.events,
        hang_seconds=options.hang,
        writers=options.writers,
        cabinets=options.cabinets,
        most_cabinets_at_once=options.at_once,
        seed=options.seed,
    )
    try:
        with database.fast_directory() as directory, database.server(directory) as server:
            template = database.make_template(server)
            with (
                database.cloned(server, template) as url,
                settings(DATABASE_URL=database.for_functions(url)),
            ):
                began = time.monotonic()
                written, verdicts = run(url, plan, simple_ways=options.simple_ways)
                took = time.monotonic() - began
    except KeyboardInterrupt:
        return signals.INTERRUPTED
    print(
        f"{len(written.commits):,} events committed, {written.rollbacks:,} transactions rolled"
        f" back, in {took:.0f} s ({len(written.commits) / took:,.0f} events/s)"
    )
    for reader, verdict in verdicts.items():
        print(f"{reader}: {verdict}")
    return 0 if all(verdicts[reader].is_right for reader in FEED) else 1


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m tests.feed", description=__doc__)
    parser.add_argument("--events", type=int, default=1_000_000)
    parser.add_argument("--hang", type=float, default=20, help="seconds that one transaction hangs")
    parser.add_argument("--writers", type=int, default=8)
    parser.add_argument("--cabinets", type=int, default=2000)
    parser.add_argument("--at-once", type=int, default=100, help="most cabinets in a transaction")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--pgbouncer", action="store_true", help="connect through PgBouncer")
    parser.add_argument(
        "--simple-ways", action="store_true", help="also show how readers without positions fail"
    )
    return parser.parse_args()


if __name__ == "__main__":
    sys.exit(main())
