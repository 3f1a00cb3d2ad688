"""Send a command to a cabinet: insert its row, commit, publish, then wait for the outcome.

The waiting function may die, or not wait at all: the function that receives the result applies it,
and the poll writes which commands have timed out. No command is published twice.
"""

import math
import time
from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager
from datetime import UTC, datetime
from typing import Any, NamedTuple, Protocol
from uuid import UUID, uuid4

from shared import db, log
from shared.commands import Command
from shared.config import Settings
from shared.db import Row, Tx
from shared.errors import (
    CabinetNoAnswer,
    CabinetNotFound,
    CabinetRejected,
    CellNotFound,
    CommandNotFound,
    QueueUnavailable,
)
from shared.models.commands import Command as CommandRecord
from shared.protocols import codecs
from shared.repo import bookings, cabinets, commands
from shared.states import COMMAND_IN_FLIGHT

FIRST_PAUSE_SECONDS = 0.5
LONGEST_PAUSE_SECONDS = 1.0
"""Between two looks at a command's row, if no wake-up comes; each pause is twice the last one."""


class Publisher(Protocol):
    """Publishes bytes to cabinets, and is woken when a command is settled."""

    def publish(self, device_id: str | None, payload: bytes, *, ttl_s: float) -> None:
        """Publish to a device, or to all if None. Raises QueueUnavailable if nothing was sent.

        `ttl_s`: seconds from now after which the broker must not deliver it any more.
        """

    def wakeups(self, command_id: UUID) -> AbstractContextManager[Callable[[float], bool | None]]:
        """Return a function that waits until the command is settled, or for so many seconds.

        It returns whether it was woken. It may also wake for nothing, or miss that the command is
        settled.
        """


class Sender(NamedTuple):
    """Who sends a command, and what it is sent with."""

    publisher: Publisher
    settings: Settings
    requested_by: str
    max_wait_s: int | None = None
    """How long to wait for the outcome, seconds; None: until the command's deadline."""


def insert(tx: Tx, command: Command, sender: Sender, **row: Any) -> UUID:
    """Insert a pending command and return its id.

    `row`: cabinet_id (None: all cabinets); booking_id, command_id, reason, contractor_id if there
    are any.
    """
    wait = command.wait_seconds or sender.settings.unlock_wait_seconds
    full = {
        "command_id": uuid4(),
        "booking_id": None,
        "contractor_id": None,
        "reason": None,
        "requested_by": sender.requested_by,
        "kind": command.kind,
        "payload": command.payload(),
        **row,
    }
    commands.insert(tx, full, wait_seconds=wait)
    command_id: UUID = full["command_id"]
    return command_id


def publish(command: Command, command_id: UUID, cabinet: Row, sender: Sender) -> None:
    """Publish a command whose row has been committed.

    Raises QueueUnavailable if nothing was sent: the command is then `not_published`, and its
    booking can be unlocked again.
    """
    ttl_s = sender.settings.command_ttl_seconds
    payload = codecs()[cabinet["protocol"]].encode(
        command, command_id=command_id, issued_at=datetime.now(UTC), ttl_s=ttl_s
    )
    try:
        sender.publisher.publish(cabinet["device_id"], payload, ttl_s=ttl_s)
    except QueueUnavailable:
        with db.transaction() as tx:
            _mark_not_published(tx, command_id, cabinet["cabinet_id"])
        raise
    log.info("command sent", command_id=command_id, kind=command.kind)
    with db.statements() as tx:
        commands.publish(tx, command_id)


def wait(command_id: UUID, sender: Sender, *, known: Row | None = None) -> Row:
    """Wait until the command has an outcome, or none by its deadline; return its row.

    After `sender.max_wait_s` seconds, return it although it is still in flight. No connection to
    the database is occupied meanwhile: the row is read when the bridge announces that the command
    is settled, and its status with growing pauses in case that is lost. `known`: its row, just
    read.
    """
    if known is not None and known["written_status"] not in COMMAND_IN_FLIGHT:
        return known
    seconds = math.inf if sender.max_wait_s is None else sender.max_wait_s
    until = time.monotonic() + seconds
    with db.statements() as tx:
        if seconds <= 0:
            return get(tx, command_id)
        with sender.publisher.wakeups(command_id) as wait_for_wakeup:
            return _wait_until(until, tx, command_id, wait_for_wakeup)


def _wait_until(
    until: float, tx: Tx, command_id: UUID, wait_for_wakeup: Callable[[float], bool | None]
) -> Row:
    row, pause = get(tx, command_id), FIRST_PAUSE_SECONDS
    while row["written_status"] in COMMAND_IN_FLIGHT and (left := until - time.monotonic()) > 0:
        if row["seconds_left"] <= 0:
            commands.time_out(tx, command_id)
        elif not wait_for_wakeup(min(pause, left, row["seconds_left"])):
            pause = min(2 * pause, LONGEST_PAUSE_SECONDS)
            if (seconds_left := commands.seconds_left(tx, command_id)) is not None:
                row["seconds_left"] = seconds_left
                continue
        row = get(tx, command_id)
    return row


def get(tx: Tx, command_id: UUID) -> Row:
    """Return a command's row."""
    row = commands.get(tx, command_id)
    if row is None:
        raise CommandNotFound
    return row


def send(
    command: Command, cabinet_id: str, sender: Sender, *, command_id: UUID, **row: str | None
) -> CommandRecord:
    """Send any command to one cabinet and wait for its outcome, as long as the sender wants.

    `row`: reason; contractor_id, for whom cells are opened, if it is known. A retry with the same
    `command_id` waits for the same command. Raises CabinetRejected, CabinetNoAnswer.
    """
    offline_after = sender.settings.offline_after_seconds
    with db.transaction() as tx:
        cabinet = cabinets.lock_one(tx, cabinet_id, offline_after=offline_after)
        if cabinet is None:
            raise CabinetNotFound
        if any(cell > cabinet["cells_total"] for cell in command.payload().get("cells", ())):
            raise CellNotFound(detail=f"The cabinet has cells 1 to {cabinet['cells_total']}.")
        known = commands.get(tx, command_id)
        if known is None:
            insert(tx, command, sender, cabinet_id=cabinet_id, command_id=command_id, **row)
    if known is None:
        publish(command, command_id, cabinet, sender)
    return outcome(wait(command_id, sender, known=known))


def outcome(row: Row) -> CommandRecord:
    """Return the record of a command that was waited for, or raise the error it ended in."""
    command_id = row["command_id"]
    if row["status"] in {"no_answer", "unresolved", "not_executed"}:
        raise CabinetNoAnswer(command_id=command_id)
    if row["status"] == "rejected":
        raise CabinetRejected(reason=row["reason"], command_id=command_id)
    if row["status"] == "not_published":
        raise QueueUnavailable
    return record(row)


def record(row: Mapping[str, Any]) -> CommandRecord:
    """Return a command as the API shows it."""
    return CommandRecord.model_validate({**row, "cells": row["result"]})


def _mark_not_published(tx: Tx, command_id: UUID, cabinet_id: str | None) -> None:
    """Record that nothing was sent, and make the command's booking active again.

    A late result of an earlier command may have opened its cells meanwhile: then the booking ends,
    or waits for what is returned.
    """
    cabinets.lock(tx, [cabinet_id] if cabinet_id else [])
    row = commands.get(tx, command_id)
    marked = commands.finish(tx, command_id, "not_published")
    if row is None or not marked or row["booking_id"] is None:
        return
    booking = bookings.get(tx, row["booking_id"])
    if booking is not None and booking["status"] == "returning":
        bookings.restore_command(tx, booking["booking_id"])
    if booking is None or booking["status"] != "unlocking":
        return
    opened = sum(cell["state"] in {"opened", "inserted"} for cell in booking["cells"])
    if not opened:
        bookings.advance(tx, booking["booking_id"], "command_not_published")
    elif booking["kind"] == "issue":
        event = "all_opened" if opened >= booking["requested"] else "some_opened"
        bookings.finish(tx, booking["booking_id"], event=event, reason="not_opened")
    else:
        bookings.advance(tx, booking["booking_id"], "opened_for_return")
        bookings.release_held(tx, booking["booking_id"], reason="not_opened")
