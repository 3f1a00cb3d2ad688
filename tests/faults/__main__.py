"""`python -m tests.faults`: kill parts of a whole local cloud under load, for as long as asked."""

import argparse
import random
import shutil
import sys
from pathlib import Path

from local import signals
from local.pgbouncer import find_pgbouncer
from tests.faults import campaign, report
from tests.faults.cloud import running


def main() -> int:
    """0 if nothing was lost, doubled or answered wrongly; 130 after Ctrl-C or SIGTERM."""
    parser = argparse.ArgumentParser(prog="python -m tests.faults", description=__doc__)
    parser.add_argument("--minutes", type=float, default=10)
    parser.add_argument("--seed", type=int, help="of the order of faults; default: a new one")
    parser.add_argument("--no-pooler", action="store_true", help="leave PgBouncer out")
    parser.add_argument("--keep", type=Path, help="copy all logs and data there at the end")
    args = parser.parse_args()
    seed = random.randrange(10**6) if args.seed is None else args.seed  # noqa: S311 - not a secret
    _say(f"seed {seed}")
    signals.heed()
    try:
        outcome = _played(args, seed)
    except KeyboardInterrupt:
        _say("interrupted")
        return signals.INTERRUPTED
    _say(report.table(outcome))
    return 1 if outcome.faults else 0


def _played(args: argparse.Namespace, seed: int) -> campaign.Outcome:
    with running(pooled=find_pgbouncer() is not None and not args.no_pooler) as cloud:
        try:
            return campaign.play(cloud, seed, args.minutes * 60, _say)
        finally:
            if args.keep:
                shutil.copytree(cloud.directory, args.keep, dirs_exist_ok=True)


def _say(line: str) -> None:
    sys.stdout.write(f"{line}\n")
    sys.stdout.flush()


if __name__ == "__main__":
    sys.exit(main())
