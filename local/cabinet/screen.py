"""`python -m local cabinet …`: the control interface for people."""

import argparse
import inspect
import json
import sys
import types
import typing
from collections.abc import Callable
from typing import Any, Literal

from local.cabinet.actions import ACTIONS
from local.cabinet.control import Control, Refused

EVERY = "all"
WRONG = 2  # the exit code of a request that makes no sense


def add_commands(parser: argparse.ArgumentParser) -> None:
    """Teach a parser `cabinet [show]` and every action."""
    parser.add_argument("cabinet", help=f"its id, or {EVERY!r} for each of them")
    commands = parser.add_subparsers(dest="action", metavar="action")
    commands.add_parser("show", help="Show the cells as they really are; so without an action.")
    for name, action in ACTIONS.items():
        text = inspect.getdoc(action)
        _add_arguments(commands.add_parser(name, help=text, description=text), action)


def run(args: argparse.Namespace, control: Control) -> int:
    """Do what the arguments say; 0, or 2 after one line on what was wrong."""
    try:
        if args.action not in (None, "show"):
            given = {name: getattr(args, name) for name in _parameters(ACTIONS[args.action])}
            every = args.cabinet == EVERY
            ids = [one["cabinet_id"] for one in control.cabinets()] if every else [args.cabinet]
            for cabinet_id in ids:
                print(control.act(cabinet_id, args.action, **given))
        elif args.cabinet == EVERY:
            print(_list(control.cabinets()))
        else:
            print(_picture(control.cabinet(args.cabinet)))
    except Refused as error:
        print(error, file=sys.stderr)
        return WRONG
    return 0


def _parameters(action: Callable[..., str]) -> dict[str, inspect.Parameter]:
    parameters = inspect.signature(action).parameters
    return {n: p for n, p in parameters.items() if p.kind is not p.POSITIONAL_ONLY}


def _add_arguments(parser: argparse.ArgumentParser, action: Callable[..., str]) -> None:
    for name, parameter in _parameters(action).items():
        if parameter.annotation is bool:
            parser.add_argument(f"--{name}", action="store_true")
            continue
        words: dict[str, Any] = {"type": _plain(parameter.annotation)}
        if typing.get_origin(parameter.annotation) is Literal:
            words["choices"] = typing.get_args(parameter.annotation)
        if parameter.default is not parameter.empty:
            words["default"] = parameter.default
        if parameter.kind is parameter.KEYWORD_ONLY:
            parser.add_argument(f"--{name}", **words)
        else:
            parser.add_argument(name, nargs="?" if "default" in words else None, **words)


def _plain(annotation: Any) -> type:
    """Return what the command line converts to: `int | None` is int, a word or any value str."""
    if isinstance(annotation, types.UnionType):
        annotation = typing.get_args(annotation)[0]
    return annotation if annotation in (int, float) else str


def _list(cabinets: list[dict[str, Any]]) -> str:
    rows = [
        [
            cabinet["cabinet_id"],
            "online" if cabinet["online"] else "offline",
            cabinet["cells"],
            cabinet["accumulators"],
            ", ".join(map(str, cabinet["open_doors"])) or "-",
        ]
        for cabinet in cabinets
    ]
    return _table(["cabinet", "network", "cells", "accumulators", "open doors"], rows)


def _picture(cabinet: dict[str, Any]) -> str:
    late = f" after {cabinet['delay_s']:g} s" if cabinet["delay_s"] else ""
    head = (
        f"{cabinet['cabinet_id']}  {'online' if cabinet['online'] else 'offline'}"
        f"  answers: {cabinet['answer']}{late}  alarms: {', '.join(cabinet['alarms']) or 'none'}"
        f"  boot: {cabinet['boot_id']}"
    )
    rows = [
        [cell["cell_number"], cell["door"], *_inside(cell["accumulator"]), _notes(cell)]
        for cell in cabinet["cells"]
    ]
    bags = [f"{name} carries {', '.join(bag)}" for name, bag in cabinet["bags"].items() if bag]
    table = _table(["cell", "door", "accumulator", "charge", "remarks"], rows)
    return "\n".join([head, "", table, *bags])


def _inside(accumulator: dict[str, Any] | None) -> list[str]:
    if accumulator is None:
        return ["-", "-"]
    charge = accumulator["battery_charge"]
    return [accumulator["accumulator_id"], "?" if charge is None else f"{charge} %"]


def _notes(cell: dict[str, Any]) -> str:
    notes = [f"lock {cell['lock']}"] if cell["lock"] != "ok" else []
    notes += ["switched off"] if cell["disabled"] else []
    notes += [f"fault {cell['fault']}"] if cell["fault"] else []
    notes += [f"senses {field} = {json.dumps(value)}" for field, value in cell["senses"].items()]
    return ", ".join(notes)


def _table(head: list[str], rows: list[list[Any]]) -> str:
    lines = [head, *([str(field) for field in row] for row in rows)]
    widths = [max(len(line[column]) for line in lines) for column in range(len(head))]
    return "\n".join(
        "  ".join(field.ljust(width) for field, width in zip(line, widths, strict=True)).rstrip()
        for line in lines
    )
