"""`events`: print what happens, one line for each event, and follow the feed."""

import argparse
import json
import os
import sys
import time
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, NamedTuple

from tools import ToolError, service
from tools.service import Refused, Service, Unreachable

PAUSE_SECONDS = 2
"""Between two requests at the end of the feed."""
_PATH = "/v1/events"
_LIMIT = 1_000
_GONE = 410
_TOLD = ("kind", "cause", "reason", "door", "content")
"""Fields of a resource that a line of text has."""

_DESCRIPTION = """\
Print the events of the feed, one line for each, oldest first.

Events are printed from the cursor on, or from now on if there is none. At the end, the command says
with which option the same command continues. An event may be printed again if it was interrupted.

examples:
  python -m tools events --follow
  python -m tools events --follow --types booking.completed,anomaly.raised --cabinet C-001
  python -m tools events --follow --cursor-file cursor.txt --json >>events.jsonl
"""


class Page(NamedTuple):
    """Events in order, and the cursor after them."""

    events: list[dict[str, Any]]
    cursor: str


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the arguments of `events`."""
    parser.description = _DESCRIPTION
    parser.formatter_class = argparse.RawDescriptionHelpFormatter
    text = f"at the end of the feed, ask every {PAUSE_SECONDS} s for more, until Ctrl-C"
    parser.add_argument("--follow", action="store_true", help=text)
    begin = parser.add_mutually_exclusive_group()
    begin.add_argument("--after", metavar="CURSOR", help="continue after this cursor")
    text = "continue after the cursor in this file, if it exists; the file is kept up to date"
    begin.add_argument("--cursor-file", type=Path, metavar="FILE", help=text)
    text = "only these types, separated by commas; docs/event-types.md lists them"
    parser.add_argument("--types", metavar="TYPE,…", help=text)
    parser.add_argument("--cabinet", metavar="ID", help="only events of this cabinet")
    text = "only changes that requests of this API key made"
    parser.add_argument("--requested-by", metavar="NAME", help=text)
    text = "print each event as JSON, as the API returns it"
    parser.add_argument("--json", action="store_true", help=text)
    service.add_connection(parser)


def run(args: argparse.Namespace) -> int:
    """Print events; return 0 at the end of the feed. With --follow, end with Ctrl-C."""
    reached = None
    try:
        with service.connect(args) as client:
            start = _stored(args.cursor_file) if args.cursor_file else args.after
            client.require("read")
            for page in _pages(client, start, args):
                _print(page, as_json=args.json)
                if args.cursor_file and page.cursor != reached:
                    _store(args.cursor_file, page.cursor)
                reached = page.cursor
    except BrokenPipeError:  # the reader, such as head, has what it wanted
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    finally:
        if reached:
            given = (
                f"--cursor-file {args.cursor_file}" if args.cursor_file else f"--after {reached}"
            )
            print(f"to continue: {given}", file=sys.stderr)
    return 0


def _pages(client: Service, cursor: str | None, args: argparse.Namespace) -> Iterator[Page]:
    """Yield the pages after a cursor, to the end of the feed; with --follow, for ever."""
    filters = {
        "types": args.types,
        "cabinet_id": args.cabinet,
        "requested_by": args.requested_by,
        "limit": _LIMIT,
    }
    while True:
        try:
            page = _page(client, {**filters, "after": cursor})
        except Unreachable as error:
            if not args.follow:
                raise
            client.notify(str(error))
            continue
        yield page
        if page.cursor == cursor:
            if not args.follow:
                return
            time.sleep(PAUSE_SECONDS)
        cursor = page.cursor


def _page(client: Service, query: Mapping[str, Any]) -> Page:
    try:
        body = client.get(_PATH, query)
        return Page(body["events"], body["cursor"])
    except Refused as error:
        if error.status == _GONE:
            raise ToolError(
                "the events after this cursor are not kept any more; start without it, from now on,"
                " and then read the present state, for example with `export`"
            ) from None
        raise
    except (KeyError, TypeError):
        raise ToolError(f"unexpected answer of GET {_PATH}: no events") from None


def _print(page: Page, *, as_json: bool) -> None:
    render = _json if as_json else _text
    sys.stdout.writelines(f"{render(event)}\n" for event in page.events)
    sys.stdout.flush()


def _json(event: Mapping[str, Any]) -> str:
    return json.dumps(event, ensure_ascii=False)


def _text(event: Mapping[str, Any]) -> str:
    """Return a line: time, type, subject, what is particular to it, and who caused it."""
    found = (event["resource"].get(name) for name in _TOLD)
    told = "".join(f"  {' '.join(str(value).split())}" for value in found if value)
    caused_by = event["caused_by"]
    return f"{event['at']:<27}  {event['type']:<27}  {event['subject']}{told}  by {caused_by}"


def _stored(file: Path) -> str | None:
    try:
        return file.read_text(encoding="utf-8").strip() or None
    except FileNotFoundError:
        return None
    except (OSError, UnicodeDecodeError) as error:
        raise ToolError(f"the cursor file {file} cannot be read: {error}") from None


def _store(file: Path, cursor: str) -> None:
    """Replace the file in one step, so that it never has half a cursor."""
    new = file.with_name(f".{file.name}.new")
    try:
        with new.open("w", encoding="utf-8") as stream:
            stream.write(f"{cursor}\n")
            stream.flush()
            os.fsync(stream.fileno())
        new.replace(file)
    except OSError as error:
        raise ToolError(f"the cursor file {file} cannot be written: {error.strerror}") from None
