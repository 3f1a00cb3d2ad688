"""`python -m local`: the whole cloud on this machine."""

# ruff: noqa: PLC0415 - commands import what they need late, so that help and errors are fast

import argparse
import math
import sys
from collections.abc import Callable, Sequence
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from local import CannotStart, addresses, signals
from local.api import UnexpectedStatus
from local.broker import DEVICE_PASSWORD
from local.cabinet import command_line
from local.cabinet.command_line import EXIT_USAGE
from local.cabinet.control import Control, ControlError
from local.children import HOST
from shared.config import SettingsInvalid

if TYPE_CHECKING:
    from local.stack import Stack

_SETTINGS = """\
The functions' settings are environment variables with the deployment's defaults, for example
UNLOCK_WAIT_SECONDS=3 or BOOKING_SECONDS=60: docs/settings.md has them all. With DATABASE_URL the
functions use that database, and no other is started. More: docs/local-cloud.md"""

_EXIT_WITHOUT_PROVIDER = 3


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line; return 2 after a one-line error if it cannot start."""
    args = _parser().parse_args(arguments)
    try:
        code: int = args.run(args)
    except (CannotStart, SettingsInvalid, UnexpectedStatus) as error:
        print(f"python -m local {args.command}: {error}", file=sys.stderr)
        return EXIT_USAGE
    except KeyboardInterrupt:
        return signals.INTERRUPTED
    return code


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m local", description=__doc__)
    commands = parser.add_subparsers(dest="command", required=True, metavar="command")
    _add_up(commands.add_parser("up", help="Start everything; Ctrl-C stops it", epilog=_SETTINGS))
    demo = commands.add_parser("demo", help="Play a technician's shift, each step checked")
    demo.add_argument("--url", help="URL of a running stack; default: start one")
    text = "Wait after each step, to watch it in the console; default: %(const)s s"
    demo.add_argument(
        "--slow",
        type=_number(float, 0, 10),
        nargs="?",
        const=3.0,
        default=0.0,
        metavar="SECONDS",
        help=text,
    )
    _add_data_dir(demo)
    demo.set_defaults(run=_demo)
    cabinet = commands.add_parser("cabinet", help="Act on a simulated cabinet of a running stack")
    _add_data_dir(cabinet)
    _add_cabinet(cabinet)
    server = commands.add_parser(
        "server", help="Stop or start the database or broker of a running stack"
    )
    _add_data_dir(server)
    server.add_argument("server", nargs="?", help="database or broker; omitted: list them")
    server.add_argument(
        "verb",
        nargs="?",
        choices=("stop", "start"),
        help="A stopped server stays stopped until it is started",
    )
    server.set_defaults(run=_server)
    text = "Keep a fake of the Yandex Cloud API up, for terraform apply without an account"
    _add_cloud(commands.add_parser("cloud", help=text))
    _add_rehearse(commands.add_parser("rehearse", help="Run here what Terraform has applied"))
    documents = commands.add_parser("documents", help="Generate the documents in docs/")
    documents.add_argument("--check", action="store_true", help="Only check that they are current")
    documents.set_defaults(run=_documents)
    return parser


def _add_up(parser: argparse.ArgumentParser) -> None:
    text = "default: %(default)s"
    port = _number(int, 0, 65535)
    parser.add_argument("--http-port", type=port, default=8080, help=f"0: any free port; {text}")
    hosts = "0.0.0.0: all of this computer, for a board on the network"
    parser.add_argument("--mqtt-host", default=HOST, help=f"{hosts}; {text}")
    parser.add_argument("--mqtt-port", type=port, default=1883, help=f"0: any free port; {text}")
    parser.add_argument(
        "--cabinets", type=_number(int, 0, 2000), default=12, help=f"Simulated cabinets; {text}"
    )
    parser.add_argument(
        "--cells", type=_number(int, 1, 1000), default=12, help=f"Cells per cabinet; {text}"
    )
    parser.add_argument(
        "--seed", type=int, default=1, help=f"Random seed of their contents; {text}"
    )
    parser.add_argument(
        "--poll-seconds",
        type=_number(float, 0.1, 86400),
        default=60,
        help=f"Seconds between two runs of poll_cabinets; {text}",
    )
    text = "Put PgBouncer between the functions and the database; it must be installed"
    parser.add_argument("--pgbouncer", action="store_true", help=text)
    text = "Enforce no rate limit, of the gateway or of an API key: for load tests"
    parser.add_argument("--no-rate-limits", dest="rate_limits", action="store_false", help=text)
    text = "Quota of concurrent calls and each function's share, as in a zone; default: no quota"
    parser.add_argument(
        "--zone-concurrency", type=_number(int, 10, 10_000), metavar="CALLS", help=text
    )
    _add_data_dir(parser)
    parser.set_defaults(run=_up)


def _number(kind: type[int] | type[float], least: float, most: float) -> Callable[[str], float]:
    """Return a converter for argparse: a number within these bounds."""

    def convert(text: str) -> float:
        value = kind(text)
        if not (math.isfinite(value) and least <= value <= most):
            raise argparse.ArgumentTypeError(f"{text} is not between {least} and {most}")
        return value

    convert.__name__ = "number"
    return convert


def _add_data_dir(parser: argparse.ArgumentParser) -> None:
    text = "Directory of all data of the stack; default: %(default)s"
    parser.add_argument("--data-dir", type=Path, default=Path(".local"), help=text)


def _add_cloud(parser: argparse.ArgumentParser) -> None:
    text = "Of the API; Object Storage and Message Queue have the next one; 0: any free ports; "
    parser.add_argument(
        "--port", type=_number(int, 0, 65534), default=8443, help=f"{text}default: %(default)s"
    )
    text = "Directory of the cloud's state; default: %(default)s"
    parser.add_argument("--data-dir", type=Path, default=Path(".local/cloud"), help=text)
    shown = parser.add_mutually_exclusive_group()
    text = "Only print the variables for Terraform of the cloud that runs, for eval"
    shown.add_argument("--environment", action="store_true", help=text)
    text = "Only list what is in the cloud, running or not"
    shown.add_argument("--list", action="store_true", help=text)
    parser.set_defaults(run=_cloud)


def _add_rehearse(parser: argparse.ArgumentParser) -> None:
    text = (
        "Output of `terraform show -json`: a state, or a plan made after the first apply; default:"
    )
    text += " deploy to a fake cloud first, with the real provider"
    parser.add_argument("--topology", type=Path, metavar="FILE", help=text)
    text = "Directory of the packages; default: %(default)s"
    parser.add_argument("--packages", type=Path, default=Path("dist"), help=text)
    parser.set_defaults(run=_rehearse)


def _add_cabinet(parser: argparse.ArgumentParser) -> None:
    command_line.add_commands(parser)
    parser.set_defaults(run=_cabinet)


def _up(args: argparse.Namespace) -> int:
    from local.stack import Options, Stack

    given = {name: getattr(args, name) for name in Options.__dataclass_fields__}
    terminal = sys.stdout  # the stack redirects standard output to its log

    def print_line(line: str) -> None:
        with suppress(BrokenPipeError):  # the reader has closed the pipe
            print(line, file=terminal, flush=True)

    signals.handle()
    with Stack(Options(**given), print_line) as stack:
        print_line(_summary(stack))
        print_line(f"ready: {stack.gateway.url}")
        try:
            stack.watch()
        except KeyboardInterrupt:
            signals.ignore()
            print_line("stopping")
    return 0


def _summary(stack: "Stack") -> str:
    from console import fetch
    from local.stack import API_KEYS

    url, broker = stack.gateway.url, stack.broker
    rows = {
        "console": f"{url}/" if fetch.is_complete() else "its files are missing: run make console",
        "API": f"{url}/v1",
        "docs": f"{url}/docs  (try each request)",
        "keys": ", ".join(API_KEYS.values()),
        "broker": f"{broker.address}:{broker.port} ({broker.engine}); a device logs in with its id"
        f" and password {DEVICE_PASSWORD}",
        "database": _without_password(stack.database_url),
        "cabinets": f"{len(stack.fleet.by_id)} simulated; act on them: python -m local cabinet",
        "log": str(stack.log_file),
        "example": f"curl -H 'Authorization: Bearer {API_KEYS['read']}' {url}/v1/cabinets",
    }
    return "\n".join(f"{name:<9} {text}" for name, text in rows.items())


def _without_password(url: str) -> str:
    password = urlsplit(url).password
    return url.replace(f":{password}@", ":…@") if password else url


def _demo(args: argparse.Namespace) -> int:
    from local import demo

    signals.handle()
    return demo.main(url=args.url, data_dir=args.data_dir, pause=args.slow)


def _cloud(args: argparse.Namespace) -> int:
    from local import cloud

    if args.environment:
        print("\n".join(cloud.exports(cloud.environment_of(args.data_dir))))
    elif args.list:
        print("\n".join(cloud.listing(args.data_dir)))
    else:
        signals.handle()
        cloud.run(args.data_dir, args.port)
    return 0


def _rehearse(args: argparse.Namespace) -> int:
    from local.rehearsal import deployment, rehearsal

    signals.handle()
    if args.topology:
        return rehearsal.main(topology=args.topology, packages=args.packages)
    try:
        return deployment.main()
    except deployment.NoProvider as error:
        print(f"python -m local rehearse: {error}", file=sys.stderr)
        return _EXIT_WITHOUT_PROVIDER


def _cabinet(args: argparse.Namespace) -> int:
    return command_line.run(args, Control(addresses.read(args.data_dir)["control_url"]))


def _server(args: argparse.Namespace) -> int:
    control = Control(addresses.read(args.data_dir)["control_url"])
    try:
        if args.server and args.verb:
            switch = control.stop_server if args.verb == "stop" else control.start_server
            print(switch(args.server))
        for name, pid in control.servers().items() if not args.verb else ():
            print(f"{name:<9} {f'up, process {pid}' if pid else 'down'}")
    except ControlError as error:
        raise CannotStart(str(error)) from None
    return 0


def _documents(args: argparse.Namespace) -> int:
    from local import documents

    return documents.main(["--check"] if args.check else [])


if __name__ == "__main__":
    sys.exit(main())
