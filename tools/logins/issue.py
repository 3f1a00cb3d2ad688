"""Making passwords: written to the hand-over first, then stored, so that none is ever lost."""

import secrets
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from local.passwords import hashed, matches
from tools import ToolError
from tools.logins.devices import Device, shown
from tools.logins.handover import SUFFIXES, Handover, Login
from tools.logins.store import Store

_ALPHABET = "ABCDEFGHJKMNPQRSTUVWXYZabcdefghjkmnpqrstuvwxyz23456789"
"""Characters that people do not take for each other."""
_LENGTH = 24  # 138 bits

Action = Literal["add", "rotate"]
Advance = Callable[[int], None]
"""Is called with the number of logins that were stored just now."""


@dataclass(frozen=True, kw_only=True)
class Order:
    """What to make: new logins, or new passwords for existing ones."""

    action: Action
    devices: list[Device]
    handover: Path | None = None
    """None: the caller prints the passwords."""
    is_forced: bool = False
    """Replace a hand-over that exists."""


def issue(store: Store, order: Order, advance: Advance = lambda _count: None) -> Handover:
    """Make passwords and store them; return the hand-over, which says which are valid.

    With the hand-over of an interrupted command: store what that has left. Raises ToolError.
    """
    stored = store.hashes()
    earlier = _earlier(store, order)
    handover = earlier or _new(store, order, stored)
    if earlier:
        _check_can_continue(earlier, order, stored)
    missing = {
        device_id: hashed(login.password)
        for device_id, login in handover.logins.items()
        if not matches(login.password, stored.get(device_id, ""))
    }
    handover.mark_valid({*handover.logins} - {*missing})
    _write(handover, order)
    advance(len(handover.logins) - len(missing))
    for device_ids in store.change(missing) if missing else ():
        handover.mark_valid(device_ids)
        _write(handover, order)
        advance(len(device_ids))
    return handover


def without_login(store: Store, devices: Iterable[Device], handover: Path | None) -> list[Device]:
    """Return the devices that have no login, or got theirs from this hand-over."""
    stored = store.hashes()
    earlier = Handover.read(handover, store.connection()) if handover else None
    continued = earlier.logins if earlier else {}
    return [one for one in devices if one.device_id not in stored or one.device_id in continued]


def check_format(file: Path) -> None:
    """Check that a hand-over can have this name. Raises ToolError."""
    if file.suffix not in SUFFIXES:
        raise ToolError(f"{file}: the name of a hand-over ends in {', '.join(SUFFIXES)}")


def _earlier(store: Store, order: Order) -> Handover | None:
    if order.handover is None or order.is_forced:
        return None
    return Handover.read(order.handover, store.connection())


def _new(store: Store, order: Order, stored: Mapping[str, str]) -> Handover:
    ids = [device.device_id for device in order.devices]
    if order.action == "add" and (taken := [one for one in ids if one in stored]):
        raise ToolError(
            f"login exists already: {shown(taken)}; replace it with `rotate`, or leave out those"
            " that have one with --without-login"
        )
    if order.action == "rotate" and (unknown := [one for one in ids if one not in stored]):
        raise ToolError(f"no such login: {shown(unknown)}; create it with `add`")
    logins = [Login(device, _password()) for device in order.devices]
    return Handover(order.handover or Path("-.csv"), store.connection(), logins)


def _check_can_continue(earlier: Handover, order: Order, stored: Mapping[str, str]) -> None:
    """Raise ToolError if an existing hand-over is not that of the same, interrupted command."""
    file, another = earlier.file, "name another file, or replace it with --force"
    if {*earlier.logins} != {device.device_id for device in order.devices}:
        raise ToolError(f"{file} is the hand-over of other devices: {another}")
    logins = earlier.logins.items()
    states = {
        device_id: matches(login.password, stored.get(device_id, "")) for device_id, login in logins
    }
    changed = [name for name, login in logins if login.state == "valid" and not states[name]]
    if changed:
        raise ToolError(
            f"{file} is out of date, the login was changed since: {shown(changed)}; {another}"
        )
    pending = [name for name, login in logins if login.state == "pending"]
    if order.action == "rotate" and not pending:
        raise ToolError(f"{file} is complete, and its passwords are valid: {another}")
    taken = [name for name in pending if name in stored and not states[name]]
    if order.action == "add" and taken:
        raise ToolError(f"login exists already: {shown(taken)}; replace it with `rotate`")
    gone = [name for name in pending if name not in stored]
    if order.action == "rotate" and gone:
        raise ToolError(f"no such login: {shown(gone)}; create it with `add`")


def _write(handover: Handover, order: Order) -> None:
    if order.handover is not None:
        handover.write()


def _password() -> str:
    return "".join(secrets.choice(_ALPHABET) for _ in range(_LENGTH))
