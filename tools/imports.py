"""`import`: cabinets and accumulators from a file, after a dry run that is shown first."""

import argparse
import json
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any, TextIO

from tools import ToolError, printable, service
from tools.fleet import upload
from tools.fleet.file import FleetFile
from tools.fleet.records import KINDS, Failure, Kind
from tools.fleet.upload import RESULTS, Outcome, Result
from tools.progress import counting
from tools.service import Service

_SHOWN = 10
_AGAIN = "run the same command again: nothing is imported twice"
_DESCRIPTION = """\
Take cabinets and accumulators into service from a CSV, JSON or JSON Lines file.

First everything is checked, and a dry run shows what would happen; then it asks. What fails is
written to a file that can be mended and imported again. The same file twice changes nothing.
Columns of a CSV file: cabinet_id, device_id, lat, lon, address, cells_total, protocol for cabinets;
accumulator_id, battery_charge, contractor_id, scooter_id for accumulators. docs/tools.md has more.

examples:
  python -m tools import fleet.csv
  python -m tools import fleet.csv --dry-run
  python -m tools import fleet.csv --yes --json --url https://api.example.com --key-file key.txt
"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the arguments of `import`."""
    parser.description = _DESCRIPTION
    parser.formatter_class = argparse.RawDescriptionHelpFormatter
    parser.add_argument("file", type=Path, metavar="FILE", help="CSV, JSON or JSON Lines")
    parser.add_argument("--yes", action="store_true", help="do not ask after the dry run")
    parser.add_argument("--dry-run", action="store_true", help="import nothing")
    parser.add_argument("--json", action="store_true", help="print the result as JSON")
    text = "where to write what failed; default: NAME.failures.csv beside a NAME.csv"
    parser.add_argument("--failures", type=Path, metavar="FILE", help=text)
    service.add_connection(parser)


def run(args: argparse.Namespace) -> int:
    """Import a file; return 0, or 1 if some records failed."""
    screen = sys.stderr if args.json else sys.stdout
    file = FleetFile.load(args.file)
    failures_path = args.failures or file.failures_path()
    if failures_path.resolve() == args.file.resolve():
        raise ToolError("--failures must be another file than the one to import")
    _print_file(file, screen)
    with service.connect(args) as client:
        client.require("operator")
        started = time.monotonic()
        outcome = _upload(client, file, dry_run=True)
        _print_counts(outcome, screen, ("create", "update", "unchanged", "fail"))
        _print_failures(outcome.failures, screen)
        imports = not args.dry_run and _is_wanted(outcome, asks=not args.yes, screen=screen)
        if imports:
            started = time.monotonic()
            expected, outcome = outcome, _upload(client, file, dry_run=False)
            _print_counts(outcome, screen, RESULTS)
            if outcome.failures != expected.failures:
                _print_failures(outcome.failures, screen)
            print(f"imported in {time.monotonic() - started:.1f} s", file=screen)
    seconds = time.monotonic() - started
    if outcome.failures:
        file.write_failures(outcome.failures, failures_path)
        print(f"what failed: {failures_path}; mend it and import that file", file=screen)
    if args.json:
        written = str(failures_path) if outcome.failures else None
        print(_result(outcome, dry_run=not imports, seconds=seconds, failures_file=written))
    if imports is None:
        raise ToolError("nothing was imported: there is no terminal to ask at; add --yes to import")
    return 1 if outcome.failures else 0


def _upload(client: Service, file: FleetFile, *, dry_run: bool) -> Outcome:
    items = file.checked.items
    outcome = Outcome()
    outcome.fail(file.checked.failures)
    try:
        with counting("checking" if dry_run else "importing", len(items)) as counter:
            client.notify = counter.say
            upload.send(client, items, outcome, dry_run=dry_run, advance=counter.add)
    except (KeyboardInterrupt, ToolError):
        if not dry_run:
            answered = sum(outcome.counts.values()) - len(file.checked.failures)
            print(f"stopped after {answered:,} of {len(items):,}; {_AGAIN}", file=sys.stderr)
        raise
    return outcome


def _is_wanted(outcome: Outcome, *, asks: bool, screen: TextIO) -> bool | None:
    """Whether to import; None if nobody can be asked."""
    count = outcome.total("created", "updated")
    if count == 0:
        print("nothing to import", file=screen)
        return False
    if not asks:
        return True
    if not sys.stdin.isatty():
        return None
    print(f"Import {count:,}? [y/N] ", end="", file=sys.stderr, flush=True)
    if sys.stdin.readline().strip().lower() in {"y", "yes"}:
        return True
    print("nothing was imported", file=screen)
    return False


def _print_file(file: FleetFile, screen: TextIO) -> None:
    kinds = [item.kind for item in file.checked.items]
    amounts = ", ".join(_amount(kinds.count(kind), kind) for kind in KINDS)
    failed = f", {len(file.checked.failures):,} with mistakes" if file.checked.failures else ""
    print(f"{file.path}: {file.description}: {amounts}{failed}", file=screen)
    if file.checked.ignored:
        print(f"not imported: {', '.join(file.checked.ignored)}", file=screen)


def _amount(count: int, kind: Kind) -> str:
    return f"{count:,} {kind}" if count == 1 else f"{count:,} {kind}s"


def _print_counts(outcome: Outcome, screen: TextIO, names: Sequence[str]) -> None:
    """Print a table by kind and result. `names`: how the results are called."""
    print("\n" + " " * 14, *(f"{name:>9}" for name in names), file=screen)
    kinds = {kind for kind, _ in outcome.counts}
    for kind in (*KINDS, None):
        if kind in kinds:
            counts = (outcome.counts[kind, result] for result in RESULTS)
            label = f"{kind}s" if kind else "unclear"
            print(f"{label:<14}", *(f"{count:>9,}" for count in counts), file=screen)
    print(file=screen)


def _print_failures(failures: Sequence[Failure], screen: TextIO) -> None:
    lines = [
        f"{failure.record.where}{_name_of(failure)}: {fault}"
        for failure in failures
        for fault in failure.faults
    ]
    for line in lines[:_SHOWN]:
        print(printable(line), file=screen)
    if len(lines) > _SHOWN:
        print(f"… and {len(lines) - _SHOWN:,} more", file=screen)
    if lines:
        print(file=screen)


def _name_of(failure: Failure) -> str:
    """Return a record's id after a space; empty if it has none that can be printed."""
    item_id = failure.item_id or ""
    return f" {item_id}" if item_id.isprintable() and item_id else ""


def _result(outcome: Outcome, *, dry_run: bool, seconds: float, failures_file: str | None) -> str:
    """Return the result as JSON."""
    counts: dict[str, dict[Result, int]] = {
        f"{kind}s": {result: outcome.counts[kind, result] for result in RESULTS} for kind in KINDS
    }
    result: dict[str, Any] = {
        "dry_run": dry_run,
        "counts": {result: outcome.total(result) for result in RESULTS},
        **counts,
        "seconds": round(seconds, 3),
        "failures": [
            {
                "where": failure.record.where,
                "kind": failure.kind,
                "id": failure.item_id,
                "column": fault.column or None,
                "code": fault.code,
                "message": fault.message,
            }
            for failure in outcome.failures
            for fault in failure.faults
        ],
        "failures_file": failures_file,
    }
    return json.dumps(result, ensure_ascii=False, indent=1)
