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
from local.cabinet.control import Control, ControlError

ALL_CABINETS = "all"
EXIT_USAGE = 2


def add_commands(parser: argparse.ArgumentParser) -> None:
    """Add the arguments of `cabinet ID [show]` and of every action."""
    parser.add_argument("cabinet", help=f"Cabinet id, or {ALL_CABINETS!r} for every cabinet")
    commands = parser.add_subparsers(dest="action", metavar="action")
    commands.add_parser("show", help="Show the physical state; the default.")
    for name, action in ACTIONS.items():
        text = inspect.getdoc(action)
        _add_arguments(commands.add_parser(name, help=text, description=text), action)


def run(args: argparse.Namespace, control: Control) -> int:
    """Show cabinets or perform an action; return 2 after one line of error."""
    try:
        if args.action not in (None, "show"):
            given = {name: getattr(args, name) for name in _parameters(ACTIONS[args.action])}
            for cabinet_id in _cabinet_ids(args.cabinet, control):
                print(control.act(cabinet_id, args.action, **given))
        elif args.cabinet == ALL_CABINETS:
            print(_format_list(control.cabinets()))
        else:
            print(_format_cabinet(control.cabinet(args.cabinet)))
    except ControlError as error:
        print(error, file=sys.stderr)
        return EXIT_USAGE
    return 0


def _cabinet_ids(cabinet: str, control: Control) -> list[str]:
    if cabinet == ALL_CABINETS:
        return [each["cabinet_id"] for each in control.cabinets()]
    return [cabinet]


def _parameters(action: Callable[..., str]) -> dict[str, inspect.Parameter]:
    parameters = inspect.signature(action).parameters
    return {n: p for n, p in parameters.items() if p.kind is not p.POSITIONAL_ONLY}


def _add_arguments(parser: argparse.ArgumentParser, action: Callable[..., str]) -> None:
    for name, parameter in _parameters(action).items():
        if parameter.annotation is bool:
            parser.add_argument(f"--{name}", action="store_true")
            continue
        options: dict[str, Any] = {"type": _converter(parameter.annotation)}
        if typing.get_origin(parameter.annotation) is Literal:
            options["choices"] = typing.get_args(parameter.annotation)
        if parameter.default is not parameter.empty:
            options["default"] = parameter.default
        if parameter.kind is parameter.KEYWORD_ONLY:
            parser.add_argument(f"--{name}", **options)
        else:
            parser.add_argument(name, nargs="?" if "default" in options else None, **options)


def _converter(annotation: Any) -> type:
    """Return the type to convert an argument to: int for `int | None`, str for any other type."""
    if isinstance(annotation, types.UnionType):
        annotation = typing.get_args(annotation)[0]
    return annotation if annotation in (int, float) else str


def _format_list(cabinets: list[dict[str, Any]]) -> str:
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
    return _format_table(["cabinet", "network", "cells", "accumulators", "open doors"], rows)


def _format_cabinet(cabinet: dict[str, Any]) -> str:
    delay = f" after {cabinet['delay_s']:g} s" if cabinet["delay_s"] else ""
    head = (
        f"{cabinet['cabinet_id']}  {'online' if cabinet['online'] else 'offline'}"
        f"  replies: {cabinet['answer']}{delay}  alarms: {', '.join(cabinet['alarms']) or 'none'}"
        f"  boot: {cabinet['boot_id']}"
    )
    rows = [
        [
            cell["cell_number"],
            cell["door"],
            *_accumulator_fields(cell["accumulator"]),
            _notes(cell),
        ]
        for cell in cabinet["cells"]
    ]
    bags = [f"{name} carries {', '.join(bag)}" for name, bag in cabinet["bags"].items() if bag]
    table = _format_table(["cell", "door", "accumulator", "charge", "notes"], rows)
    return "\n".join([head, "", table, *bags])


def _accumulator_fields(accumulator: dict[str, Any] | None) -> list[str]:
    if accumulator is None:
        return ["-", "-"]
    charge = accumulator["battery_charge"]
    return [accumulator["accumulator_id"], "?" if charge is None else f"{charge} %"]


def _notes(cell: dict[str, Any]) -> str:
    notes = [f"lock {cell['lock']}"] if cell["lock"] != "ok" else []
    notes += ["disabled"] if cell["disabled"] else []
    notes += [f"fault {cell['fault']}"] if cell["fault"] else []
    notes += [f"sensor: {field} = {json.dumps(value)}" for field, value in cell["senses"].items()]
    return ", ".join(notes)


def _format_table(head: list[str], rows: list[list[Any]]) -> str:
    lines = [head, *([str(field) for field in row] for row in rows)]
    widths = [max(len(line[column]) for line in lines) for column in range(len(head))]
    return "\n".join(
        "  ".join(field.ljust(width) for field, width in zip(line, widths, strict=True)).rstrip()
        for line in lines
    )
