"""`python -m local`: the whole cloud on this machine."""

import argparse
import signal
import sys
from collections.abc import Sequence
from pathlib import Path
from threading import Event
from typing import Any

from local import CannotStart
from shared.config import SettingsInvalid

WRONG = 2


def main(arguments: Sequence[str] | None = None) -> int:
    """Do what the command line says; 2 after one clear line if it cannot."""
    args = _parser().parse_args(arguments)
    try:
        code: int = args.run(args)
    except (CannotStart, SettingsInvalid) as error:
        print(f"python -m local {args.command}: {error}", file=sys.stderr)
        return WRONG
    return code


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m local", description=__doc__)
    commands = parser.add_subparsers(dest="command", required=True, metavar="command")
    _add_up(commands.add_parser("up", help="Start everything; Ctrl-C stops it"))
    demo = commands.add_parser("demo", help="Play a technician's shift, each step checked")
    demo.add_argument("--url", help="Of a running stack; otherwise one is started for the demo")
    demo.add_argument("--data-dir", type=Path, default=Path(".local"), help="That stack's")
    demo.set_defaults(run=_demo)
    cabinet = commands.add_parser("cabinet", help="Act on a simulated cabinet of a running stack")
    cabinet.add_argument("--data-dir", type=Path, default=Path(".local"), help="The stack's")
    _add_cabinet(cabinet)
    documents = commands.add_parser("documents", help="Write docs/openapi.json and asyncapi.json")
    documents.add_argument("--check", action="store_true", help="Only say whether they are current")
    documents.set_defaults(run=_documents)
    return parser


def _add_up(parser: argparse.ArgumentParser) -> None:
    text = "default: %(default)s"
    parser.add_argument("--http-port", type=int, default=8080, help=f"0: a free one; {text}")
    parser.add_argument("--mqtt-port", type=int, default=1883, help=f"0: a free one; {text}")
    parser.add_argument("--cabinets", type=int, default=12, help=f"0: bring your own; {text}")
    parser.add_argument("--cells", type=int, default=12, help=f"of each cabinet; {text}")
    parser.add_argument("--seed", type=int, default=1, help=f"of what is in them; {text}")
    parser.add_argument("--poll-seconds", type=float, default=60, help=text)
    parser.add_argument("--data-dir", type=Path, default=Path(".local"), help=text)
    parser.set_defaults(run=_up)


def _add_cabinet(parser: argparse.ArgumentParser) -> None:
    from local.cabinet import screen  # noqa: PLC0415 - only this command needs it

    screen.add_commands(parser)
    parser.set_defaults(run=_cabinet)


def _up(args: argparse.Namespace) -> int:
    from local.stack import Options, Stack  # noqa: PLC0415 - so that help and errors come at once

    given = {name: getattr(args, name) for name in Options.__dataclass_fields__}
    stopped = Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda *_: stopped.set())
    screen = sys.stdout

    def say(line: str) -> None:
        print(line, file=screen, flush=True)

    with Stack(Options(**given), say) as stack:
        say(_table(stack))
        say(f"ready: {stack.gateway.url}")
        stopped.wait()
        say("stopping")
    return 0


def _table(stack: Any) -> str:
    from local.broker import DEVICE_PASSWORD  # noqa: PLC0415
    from local.stack import API_KEYS  # noqa: PLC0415

    url, broker = stack.gateway.url, stack.broker
    rows = {
        "API": f"{url}/v1  (try it: {url}/docs)",
        "keys": ", ".join(API_KEYS.values()),
        "broker": f"{broker.host}:{broker.port} ({broker.engine}); a device logs in with its id"
        f" and password {DEVICE_PASSWORD}",
        "database": stack.database_url,
        "cabinets": f"{len(stack.fleet.by_id)} simulated; act on them: python -m local cabinet",
        "log": str(stack.log_file),
        "example": f"curl -H 'Authorization: Bearer local-read' {url}/v1/cabinets",
    }
    return "\n".join(f"{name:<9} {text}" for name, text in rows.items())


def _demo(args: argparse.Namespace) -> int:
    from local import demo  # noqa: PLC0415

    return int(demo.main(url=args.url, data_dir=args.data_dir))


def _cabinet(args: argparse.Namespace) -> int:
    from local.cabinet import screen  # noqa: PLC0415
    from local.cabinet.control import Control  # noqa: PLC0415
    from local.stack import addresses_of  # noqa: PLC0415

    return screen.run(args, Control(addresses_of(args.data_dir)["control_url"]))


def _documents(args: argparse.Namespace) -> int:
    from local import documents  # noqa: PLC0415

    return documents.main(["--check"] if args.check else [])


if __name__ == "__main__":
    sys.exit(main())
