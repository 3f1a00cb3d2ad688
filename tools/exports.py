"""`export`: cabinets, accumulators, or the movements of a period, to a file or standard output."""

import argparse
import csv
import json
import os
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Any, TextIO

from pydantic import BaseModel, ValidationError

from tools import ToolError, service
from tools.progress import counting
from tools.service import Service

_DESCRIPTION = """\
Write all cabinets, all accumulators, or the movements of a period, as CSV or JSON Lines.

A CSV file of cabinets or of accumulators can be imported again. A movement is the change of an
accumulator's place: the chain of custody. A period contains its beginning, and not its end.

examples:
  python -m tools export accumulators --output accumulators.csv
  python -m tools export movements --from 2026-11-01 --to 2026-12-01 --output november.jsonl
  python -m tools export cabinets --excel --output cabinets.csv
"""
_PLACE = ("cabinet_id", "cell_number", "contractor_id", "scooter_id")

Item = Mapping[str, Any]


@dataclass(frozen=True)
class _List:
    """A list of the API, and its columns in a CSV file."""

    path: str
    limit: int
    columns: Sequence[str]
    row: Callable[[Item], Item]


class _Page(BaseModel):
    items: list[dict[str, Any]]
    next_cursor: str | None


def _cabinet(item: Item) -> Item:
    stock = item["accumulators"]
    return {**item, **item["coords"], **stock, "accumulators": stock["total"]}


def _movement(item: Item) -> Item:
    places = {side: item[side] or {} for side in ("from", "to")}
    return {
        **item,
        **{f"{side}_{name}": place.get(name) for side, place in places.items() for name in _PLACE},
    }


LISTS: dict[str, _List] = {
    "cabinets": _List(
        "/v1/cabinets",
        200,
        (
            *("cabinet_id", "device_id", "lat", "lon", "address", "cells_total", "protocol"),
            *("status", "status_reason", "requested_by", "online", "last_seen_at"),
            *("accumulators", "available", "held", "free_cells", "faulty_cells"),
        ),
        _cabinet,
    ),
    "accumulators": _List(
        "/v1/accumulators",
        200,
        (
            *("accumulator_id", "battery_charge", *_PLACE),
            *("charge_at", "state_of_health", "status", "requested_by"),
        ),
        lambda item: item,
    ),
    "movements": _List(
        "/v1/movements",
        1_000,
        (
            *("movement_id", "at", "accumulator_id", "cause"),
            *(f"from_{name}" for name in _PLACE),
            *(f"to_{name}" for name in _PLACE),
            *("battery_charge", "booking_id", "command_id", "swap_id", "transfer_id"),
            *("discrepancy", "reason", "requested_by"),
        ),
        _movement,
    ),
}


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the arguments of `export`."""
    parser.description = _DESCRIPTION
    parser.formatter_class = argparse.RawDescriptionHelpFormatter
    parser.add_argument("what", choices=LISTS, help="what to write")
    text = "of movements: at this time or later; a date, or a time such as 2026-11-01T08:00+03:00"
    parser.add_argument("--from", dest="since", type=_time, metavar="TIME", help=f"{text}")
    text = "of movements: before this time; without an offset, times are UTC"
    parser.add_argument("--to", dest="until", type=_time, metavar="TIME", help=text)
    text = "default: jsonl if the output's name ends so, else csv"
    parser.add_argument("--format", choices=("csv", "jsonl"), help=text)
    text = "semicolons, decimal commas and a byte-order mark, as Excel in Europe opens CSV files"
    parser.add_argument("--excel", action="store_true", help=text)
    text = "the file to write, once everything is there; default: standard output"
    parser.add_argument("--output", type=Path, metavar="FILE", help=text)
    service.add_connection(parser)


def run(args: argparse.Namespace) -> int:
    """Write the list; return 0."""
    if args.what != "movements" and (args.since or args.until):
        raise ToolError(f"--from and --to are for movements, not for {args.what}")
    if args.since and args.until and args.since >= args.until:
        raise ToolError("the period is empty: --from is not before --to")
    _write(args)
    return 0


def _write(args: argparse.Namespace) -> None:
    wanted = LISTS[args.what]
    with service.connect(args) as client:
        client.require("read")
        with _opened(args.output) as output, counting(args.what) as counter:
            client.notify = counter.say
            write = _writer(args, wanted, output)
            for page in pages(client, args.what, since=args.since, until=args.until):
                write(page)
                counter.add(len(page))
    if args.output:
        print(f"{counter.done:,} {args.what}: {args.output}", file=sys.stderr)


def pages(
    client: Service, what: str, *, since: datetime | None = None, until: datetime | None = None
) -> Iterator[Sequence[Item]]:
    """Yield the pages of a list, each asked for again if the connection is lost."""
    wanted = LISTS[what]
    query: dict[str, Any] = {"limit": wanted.limit}
    query |= {"since": since and since.isoformat(), "until": until and until.isoformat()}
    while True:
        body = client.get(wanted.path, query)
        try:
            page = _Page(items=body[what], next_cursor=body["next_cursor"])
        except (KeyError, TypeError, ValidationError):
            raise ToolError(f"unexpected answer of GET {wanted.path}: no list of {what}") from None
        yield page.items
        if page.next_cursor is None:
            return
        if page.next_cursor == query.get("cursor"):
            raise ToolError(f"unexpected answer of GET {wanted.path}: the same page again")
        query["cursor"] = page.next_cursor


def _writer(
    args: argparse.Namespace, wanted: _List, output: TextIO
) -> Callable[[Sequence[Item]], None]:
    """Return what writes a page."""
    is_lines = args.output is not None and args.output.suffix in {".jsonl", ".ndjson"}
    if (args.format or ("jsonl" if is_lines else "csv")) == "jsonl":
        if args.excel:
            raise ToolError("--excel is for CSV, not for JSON Lines")
        return lambda page: output.writelines(
            f"{json.dumps(item, ensure_ascii=False)}\n" for item in page
        )
    if args.excel:
        output.write("\ufeff")
    delimiter = ";" if args.excel else ","
    writer = csv.writer(output, delimiter=delimiter, lineterminator="\n")
    writer.writerow(wanted.columns)

    def write(page: Sequence[Item]) -> None:
        for item in page:
            try:
                row = wanted.row(item)
            except (AttributeError, KeyError, TypeError):
                raise ToolError(f"unexpected answer of GET {wanted.path}: {item!r:.200}") from None
            writer.writerow(_cell(row.get(name), args.excel) for name in wanted.columns)

    return write


def _cell(value: Any, excel: Any) -> Any:
    if isinstance(value, bool):
        return str(value).lower()
    return str(value).replace(".", ",") if excel and isinstance(value, float) else value


@contextmanager
def _opened(path: Path | None) -> Iterator[TextIO]:
    """Open the output. A file gets its name when everything is in it, and not before."""
    if path is None:
        yield sys.stdout
        sys.stdout.flush()
        return
    target = path.resolve()
    is_special = target.exists() and not target.is_file()  # a pipe, or /dev/stdout
    part = target if is_special else target.with_name(f".{target.name}.{os.getpid()}.part")
    try:
        with part.open("w", encoding="utf-8", errors="backslashreplace", newline="") as file:
            yield file
        if not is_special:
            part.replace(target)
    except BrokenPipeError:
        raise
    except OSError as error:
        raise ToolError(f"{path} cannot be written: {error.strerror}") from None
    finally:
        if not is_special:
            part.unlink(missing_ok=True)


def _time(text: str) -> datetime:
    """Return a date's midnight, or a time; UTC unless an offset is given."""
    try:
        found = datetime.fromisoformat(text)
    except ValueError:
        example = date(2026, 11, 1)
        raise argparse.ArgumentTypeError(
            f"{text!r} is not a date or a time; examples: {example}, {example}T08:00+03:00"
        ) from None
    return found if found.tzinfo else found.replace(tzinfo=UTC)
