"""`python -m tools logins`: add, rotate, revoke and list devices' logins at the broker."""

import argparse
import os
import sys
from collections.abc import Callable
from pathlib import Path

from tools import ToolError, service
from tools.logins import certificates, devices, usage
from tools.logins.deployment import DeployedLogins, read_outputs
from tools.logins.devices import Device, shown
from tools.logins.handover import Handover
from tools.logins.issue import Order, check_format, issue, without_login
from tools.logins.local_cloud import LocalLogins
from tools.logins.store import Store
from tools.progress import counting

_EPILOG = """\
Without --local: the broker of the deployment that Terraform's state or --outputs describes. It
needs an IAM token in YC_TOKEN, or a configured `yc`. The service is the one that belongs to the
broker, unless --url names another. More: docs/cabinet-credentials.md"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the commands and their arguments."""
    commands = parser.add_subparsers(required=True, metavar="add | rotate | revoke | list")
    for name, run_command, purpose in (
        ("add", _issue, "Create logins"),
        ("rotate", _issue, "Replace passwords; the old ones are refused"),
        ("revoke", _revoke, "Remove logins and disconnect their devices"),
        ("list", _list, "List logins"),
    ):
        command = commands.add_parser(name, help=purpose, description=purpose, epilog=_EPILOG)
        command.set_defaults(run_logins=run_command, action=name)
        if name != "list":
            devices.add_selection(command)
        if name in ("add", "rotate"):
            _add_handover(command, name)
        _add_broker(command)
        service.add_connection(command)
    text = "only those that were never used, and why"
    commands.choices["list"].add_argument("--unused", action="store_true", help=text)


def run(args: argparse.Namespace) -> int:
    """Run a command; return its exit code. Raises ToolError."""
    command: Callable[[argparse.Namespace], int] = args.run_logins
    return command(args)


def _add_broker(parser: argparse.ArgumentParser) -> None:
    group = parser.add_argument_group("the broker")
    text = "the broker of a running local cloud"
    group.add_argument("--local", action="store_true", help=text)
    text = "its data directory; default: %(default)s"
    group.add_argument("--data-dir", type=Path, default=Path(".local"), help=text)
    text = "a file with the output of `terraform output -json`; default: run that"
    group.add_argument("--outputs", type=Path, metavar="FILE", help=text)


def _add_handover(parser: argparse.ArgumentParser, action: str) -> None:
    text = "where the passwords go: FILE.csv, FILE.json, FILE.html to print, or - for CSV on the"
    text += " screen; default for one login: the screen"
    parser.add_argument("--handover", type=Path, metavar="FILE", help=text)
    text = "replace a file that exists"
    parser.add_argument("--force", action="store_true", help=text)
    text = "client certificates instead of passwords; not with --local"
    parser.add_argument("--certificate", action="store_true", help=text)
    if action == "add":
        text = "leave out devices that have a login"
        parser.add_argument("--without-login", action="store_true", help=text)


def _store(args: argparse.Namespace) -> Store:
    if args.local:
        return LocalLogins(args.data_dir)
    return DeployedLogins(read_outputs(args.outputs))


def _selected(args: argparse.Namespace, store: Store) -> list[Device]:
    if not args.all_cabinets:
        return devices.selected(args, None)
    with _service(args, store) as client:
        found = devices.selected(args, client)
    simulated = store.simulated() if isinstance(store, LocalLogins) else set()
    return [one for one in found if one.device_id not in simulated]


def _service(args: argparse.Namespace, store: Store) -> service.Service:
    """Return the broker's own service, unless --url names another."""
    environment = {**os.environ, **store.service()}  # noqa: TID251 - a tool's settings
    client = service.connect(args, environment)
    client.require("read")
    return client


def _issue(args: argparse.Namespace) -> int:
    store = _store(args)
    chosen = _selected(args, store)
    file: Path | None = args.handover
    if args.certificate:
        return _issue_certificates(args, store, chosen)
    if file is None and len(chosen) > 1:
        raise ToolError(f"{len(chosen)} logins need a file for their passwords: --handover FILE")
    on_screen = file is None or file == Path("-")
    if file is not None and not on_screen:
        check_format(file)
        if args.list is not None and args.list.resolve() == file.resolve():
            raise ToolError(f"{file} is the list of devices: name another file for --handover")
    target = None if on_screen else file
    if args.action == "add":
        chosen = _without_certificate(args, chosen)
        if args.without_login:
            chosen = without_login(store, chosen, target)
    if not chosen:
        _say("There is nothing to do.")
        return 0
    order = Order(action=args.action, devices=chosen, handover=target, is_forced=args.force)
    with counting("logins", len(chosen)) as progress:
        made = issue(store, order, progress.add)
    _report(made, file, store)
    return 0


def _without_certificate(args: argparse.Namespace, chosen: list[Device]) -> list[Device]:
    """Leave out devices that log in with a certificate, or refuse them."""
    certified = set() if args.local else certificates.certified()
    taken = [one.device_id for one in chosen if one.device_id in certified]
    if taken and not args.without_login:
        raise ToolError(f"login exists already, with a certificate: {shown(taken)}")
    return [one for one in chosen if one.device_id not in certified]


def _report(handover: Handover, file: Path | None, store: Store) -> None:
    """Print the passwords or where they are."""
    if file is None:
        for device_id, login in handover.logins.items():
            print(device_id, login.password)
    elif file == Path("-"):
        print(handover.text(), end="")
    else:
        _say(f"Logins in {file}, which only you can read: {len(handover.logins):,}.")
    _say(f"The broker applies this {store.takes_effect}.")


def _issue_certificates(args: argparse.Namespace, store: Store, chosen: list[Device]) -> int:
    """Sign certificates; the broker needs no update for a new one, because it trusts their CA."""
    if args.local:
        raise ToolError("the local broker has no certificates: leave out --certificate")
    if args.handover is not None:
        raise ToolError("--certificate writes files of its own: leave out --handover")
    ids = [device.device_id for device in chosen]
    known = certificates.certified()
    if args.action == "rotate":
        if unknown := [one for one in ids if one not in known]:
            raise ToolError(f"no such login: {shown(unknown)}; create it with `add`")
        certificates.revoke(ids)
        _change(store, {})
    else:
        known |= {*store.hashes()}
        if args.without_login:
            ids = [one for one in ids if one not in known]
        if taken := [one for one in ids if one in known]:
            raise ToolError(f"login exists already: {shown(taken)}; replace it with `rotate`")
    with counting("certificates", len(ids)) as progress:
        certificates.issue(ids, lambda: progress.add(1))
    return 0


def _revoke(args: argparse.Namespace) -> int:
    store = _store(args)
    ids = [device.device_id for device in _selected(args, store)]
    # Locally, every registered device has a login: the password that all share.
    known = {*ids} if args.local else {*store.hashes()}
    by_certificate = certificates.certified() if not args.local else set()
    others = [one for one in ids if one in by_certificate or one not in known]
    unknown = [*others]
    if others and certificates.has_authority():
        unknown = certificates.revoke(others)
    unknown = [one for one in unknown if one not in known]
    removed = {one: "" for one in ids if one in known}
    if len(unknown) < len(ids):
        _change(store, removed)
        _say(f"Revoked: {len(ids) - len(unknown)}. The broker applies this {store.takes_effect}.")
    if unknown:
        raise ToolError(f"no login or certificate of {shown(unknown)}")
    return 0


def _change(store: Store, hashes: dict[str, str]) -> None:
    """Store hashes, and publish the revocation list."""
    with counting("logins", len(hashes)) as progress:
        for stored in store.change(hashes):
            progress.add(len(stored))


def _list(args: argparse.Namespace) -> int:
    store = _store(args)
    kinds = [(name, "password") for name in sorted(store.hashes())]
    if not args.local:
        kinds += [(name, "certificate") for name in sorted(certificates.certified())]
    if not args.unused:
        for name, kind in kinds:
            print(name, kind)
        return 0
    with _service(args, store) as client:
        reasons = usage.reasons_unused([name for name, _ in kinds], devices.cabinets(client))
    for name, kind in kinds:
        if name in reasons:
            print(name, kind, reasons[name])
    _say(f"{len(reasons)} of {len(kinds)} logins were never used.")
    return 0


def _say(line: str) -> None:
    print(line, file=sys.stderr)
