"""`python -m tools`: import, export, follow events, manage logins, test a cabinet or broker."""

import argparse
import importlib
import io
import os
import sys
from collections.abc import Sequence
from types import ModuleType
from typing import NamedTuple

from local import signals
from tools import ToolError, printable

EXIT_USAGE = 2


class Tool(NamedTuple):
    """A command: the module that has its `add_arguments` and `run`, and its line in the help."""

    module: str
    help: str


TOOLS: dict[str, Tool] = {
    "import": Tool("tools.imports", "Take cabinets and accumulators into service from a file"),
    "export": Tool("tools.exports", "Write cabinets, accumulators or movements to a file"),
    "events": Tool("tools.events", "Print what happens, as it happens"),
    "logins": Tool(
        "tools.logins.command_line", "Add, rotate, revoke and list devices' logins at the broker"
    ),
    "broker": Tool("tools.broker", "Test a broker of your own before the service uses it"),
    "conformance": Tool(
        "tools.conformance.command_line", "Test a cabinet's firmware against the protocol"
    ),
}


def main(argv: Sequence[str] | None = None) -> int:
    """Run a tool; return its exit code: 2 after one line about what is wrong, 130 after Ctrl-C."""
    arguments = [*(sys.argv[1:] if argv is None else argv)]
    chosen = arguments[0] if arguments and arguments[0] in TOOLS else None
    args = _parser(chosen).parse_args(arguments)
    signals.handle()
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):  # a name in Cyrillic, on a terminal without it
            stream.reconfigure(errors="backslashreplace")
    try:
        return _run(args)
    except KeyboardInterrupt:
        print("interrupted", file=sys.stderr)
        return signals.INTERRUPTED
    except ToolError as error:
        print(f"tools: {printable(str(error))}", file=sys.stderr)
        return EXIT_USAGE


def _run(args: argparse.Namespace) -> int:
    try:
        code = int(args.run(args))
        sys.stdout.flush()
    except BrokenPipeError:  # the reader, such as head, has what it wanted
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 0
    return code


def _parser(chosen: str | None) -> argparse.ArgumentParser:
    """Return the parser. Only the chosen tool is imported, so that help and errors are fast."""
    parser = argparse.ArgumentParser(prog="python -m tools", description=__doc__)
    commands = parser.add_subparsers(required=True, metavar="tool")
    for name, tool in TOOLS.items():
        command = commands.add_parser(name, help=tool.help, description=tool.help)
        if name == chosen:
            module: ModuleType = importlib.import_module(tool.module)
            module.add_arguments(command)
            command.set_defaults(run=module.run)
    return parser


if __name__ == "__main__":
    sys.exit(main())
