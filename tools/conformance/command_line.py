"""`python -m tools conformance`: start a broker and the service, and test one cabinet."""

import argparse
import sys
from collections.abc import Callable
from contextlib import ExitStack, suppress
from pathlib import Path
from tempfile import TemporaryDirectory

from local import CannotStart, addresses, signals
from local.api import Api
from local.broker import DEVICE_PASSWORD, is_device_id
from local.stack import API_KEYS, Options, Stack
from shared.config import SettingsInvalid
from tools import ToolError
from tools.conformance import report
from tools.conformance.hand import Hand, Nobody, Person, Rig
from tools.conformance.proxy import Proxy
from tools.conformance.run import Result, conduct, print_summary
from tools.conformance.service import Service
from tools.conformance.steps import STEPS
from tools.conformance.transcript import Transcript
from tools.conformance.view import Target
from tools.conformance.walk import Pace, Walk

EXIT_BROKEN = 1
EXIT_NO_CABINET = 2
_NO_POLLS_SECONDS = 86_400
_OPTIONAL = ("long",)

Say = Callable[[str], None]


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the options."""
    add, text = parser.add_argument, "default: %(default)s"
    add("--device-id", default="CABINET-1", help=f"Device id and login of the cabinet; {text}")
    add("--cells", type=int, default=12, help=f"How many cells the cabinet has; {text}")
    hosts = "Address to listen at; 0.0.0.0: all of this computer, for a board on the network"
    add("--host", default="127.0.0.1", help=f"{hosts}; {text}")
    add("--port", type=int, default=1883, help=f"Port for the cabinet; 0: any free one; {text}")
    hand = parser.add_mutually_exclusive_group()
    hand.add_argument(
        "--unattended", action="store_true", help="Leave out what needs a hand at the cabinet"
    )
    hand.add_argument(
        "--hand",
        metavar="PROGRAM",
        help="Run PROGRAM close CELL, take CELL, insert CELL or power instead of asking a person",
    )
    names = ",".join(step.name for step in STEPS)
    add("--only", metavar="STEP,…", type=_steps, help=f"Make only these steps, of: {names}")
    add("--long", action="store_true", help="Also wait for the report of every ten minutes")
    directory = Path(".local/conformance")
    add("--report", type=Path, default=directory, help=f"Directory of the report; {text}")
    seconds = (
        ("--wait-seconds", 300.0, "to wait for the cabinet to connect"),
        ("--answer-seconds", 10.0, "to wait for an answer, an event or the first report"),
        ("--hand-seconds", 120.0, "to wait for a hand"),
        ("--spread-seconds", 5.0, "of spread_s in the commands to all cabinets"),
        ("--outage-seconds", 4.0, "that the connection is cut"),
    )
    for name, default, what in seconds:
        add(name, type=float, default=default, metavar="SECONDS", help=f"Seconds {what}; {text}")


def run(args: argparse.Namespace) -> int:
    """Test a cabinet; return 0 if no rule is broken, 1 if one is. Raises ToolError."""
    target = _target(args)
    report.prepare(args.report)
    terminal = sys.stdout  # the stack redirects standard output to its log

    def say(line: str) -> None:
        with suppress(BrokenPipeError):
            print(line, file=terminal, flush=True)

    say("starting a broker and the service …")
    with TemporaryDirectory(prefix="accumulator-conformance-") as directory:
        options = Options(
            http_port=0,
            mqtt_port=0,
            cabinets=0,
            poll_seconds=_NO_POLLS_SECONDS,
            data_dir=Path(directory),
        )
        try:
            with Stack(options) as stack:
                result = _test(args, target, stack, say)
                signals.ignore()
        except (CannotStart, SettingsInvalid) as error:
            raise ToolError(str(error)) from None
    print_summary(result, say)
    for path in report.write(result, args.report):
        say(f"written: {path}")
    return _exit_code(result)


def _test(args: argparse.Namespace, target: Target, stack: Stack, say: Say) -> Result:
    transcript = Transcript()
    host = stack.broker.host
    broker, services_broker = (host, stack.broker.port), (host, stack.broker.port_of("service"))
    api = Api(stack.gateway.url, API_KEYS["operator"])
    with Service(api, services_broker, target, transcript) as service, ExitStack() as parts:
        service.register()  # before the cabinet can connect: its login does not exist yet
        proxy = parts.enter_context(Proxy(broker, transcript, host=args.host, port=args.port))
        say(_instructions(proxy, target))
        walk = Walk(
            target=target,
            proxy=proxy,
            service=service,
            hand=_hand(args, say),
            transcript=transcript,
            pace=Pace(
                connect_s=args.wait_seconds,
                spread_s=args.spread_seconds,
                outage_s=args.outage_seconds,
            ),
            say=say,
        )
        return conduct(walk, _chosen(args), say)


def _exit_code(result: Result) -> int:
    if result.stopped == "interrupted":
        return signals.INTERRUPTED
    if not result.has_seen_cabinet:
        return EXIT_NO_CABINET
    return EXIT_BROKEN if result.of("broken") else 0


def _target(args: argparse.Namespace) -> Target:
    if not is_device_id(args.device_id):
        raise ToolError(
            f"--device-id {args.device_id!r}: use 1 to 64 characters of A-Z a-z 0-9 . _ -"
        )
    if not 1 <= args.cells <= 1000:  # noqa: PLR2004 - the protocol's limit
        raise ToolError(f"--cells {args.cells}: a cabinet has 1 to 1000 cells")
    seconds = args.answer_seconds
    return Target(
        device_id=args.device_id,
        cells=args.cells,
        answer_s=seconds,
        event_s=seconds,
        first_report_s=seconds,
    )


def _hand(args: argparse.Namespace, say: Say) -> Hand:
    if args.unattended:
        return Nobody()
    if args.hand:
        return Rig(args.hand, say, seconds=args.hand_seconds)
    return Person(say, seconds=args.hand_seconds)


def _chosen(args: argparse.Namespace) -> list[str]:
    if args.only:
        return [*args.only]
    return [step.name for step in STEPS if step.name not in _OPTIONAL or args.long]


def _steps(given: str) -> list[str]:
    names, known = given.split(","), [step.name for step in STEPS]
    unknown = [name for name in names if name not in known]
    if unknown:
        raise argparse.ArgumentTypeError(f"no step {unknown[0]!r}; there are {', '.join(known)}")
    return names


def _instructions(proxy: Proxy, target: Target) -> str:
    rows = {
        "host": addresses.reachable(proxy.host),
        "port": f"{proxy.port}, without TLS",
        "user name": target.device_id,
        "password": DEVICE_PASSWORD,
        "publishes to": f"{target.events} at QoS 1",
        "subscribes to": f"{target.commands} and {target.broadcasts} at QoS 0",
        "cells": f"1 to {target.cells}",
    }
    lines = [f"  {name:<14} {value}" for name, value in rows.items()]
    return "\n".join(["Configure the cabinet, and start it:", *lines])
