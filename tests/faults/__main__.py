"""Kill parts of a local cloud under load, then compare its records with the physical truth."""

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
    """Return 0 without a fault, 1 with one, 130 after Ctrl-C or SIGTERM."""
    parser = argparse.ArgumentParser(prog="python -m tests.faults", description=__doc__)
    parser.add_argument("--minutes", type=float, default=10)
    parser.add_argument("--seed", type=int, help="seed of the order of the kills; default: random")
    parser.add_argument("--no-pooler", action="store_true", help="run without PgBouncer")
    parser.add_argument(
        "--bridges", type=int, choices=(1, 2), default=1, help="2: one stands by for the other"
    )
    parser.add_argument(
        "--only", default=[], nargs="+", metavar="PART", help='kill these: "active bridge", broker'
    )
    parser.add_argument("--keep", type=Path, help="directory for a copy of all logs and data")
    args = parser.parse_args()
    seed = random.randrange(10**6) if args.seed is None else args.seed  # noqa: S311 - not a secret
    _say(f"seed {seed}")
    signals.handle()
    try:
        result = _run(args, seed)
    except KeyboardInterrupt:
        _say("interrupted")
        return signals.INTERRUPTED
    _say(report.table(result))
    return 1 if result.faults else 0


def _run(args: argparse.Namespace, seed: int) -> campaign.Result:
    pooled = find_pgbouncer() is not None and not args.no_pooler
    with running(pooled=pooled, bridges=args.bridges) as cloud:
        try:
            return campaign.run(cloud, seed, args.minutes * 60, _say, parts=args.only)
        finally:
            if args.keep:
                shutil.copytree(cloud.directory, args.keep, dirs_exist_ok=True)


def _say(line: str) -> None:
    sys.stdout.write(f"{line}\n")
    sys.stdout.flush()


if __name__ == "__main__":
    sys.exit(main())
