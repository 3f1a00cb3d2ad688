"""Sending a command to a cabinet: the row first, commit, publish, then wait for the answer.

Whoever waits may die: the answer is applied by whoever receives it. Nothing is sent twice.
"""

from datetime import UTC, datetime
from typing import Any, Protocol
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

UNSETTLED = ("pending", "published")


class Publisher(Protocol):
    """Hands bytes to the queue."""

    def publish(self, device_id: str | None, payload: bytes) -> None:
        """Send to a device, or to all when None. Raises QueueUnavailable if nothing was sent."""


def insert(tx: Tx, command: Command, settings: Settings, **row: Any) -> UUID:
    """Write a pending command down; its id.

    `row`: cabinet_id, requested_by, and booking_id, command_id, reason where there are any.
    """
    wait = command.wait_seconds or settings.unlock_wait_seconds
    defaults = {"command_id": uuid4(), "booking_id": None, "reason": None}
    full = {**defaults, **row, "kind": command.kind, "payload": command.payload()}
    commands.insert(tx, full, wait_seconds=wait)
    command_id: UUID = full["command_id"]
    return command_id


def deliver(
    command: Command, command_id: UUID, cabinet: Row, publisher: Publisher, settings: Settings
) -> None:
    """Publish a command that has been committed.

    Raises QueueUnavailable when nothing was sent: the command is `not_published`, and the booking
    that it was for is as it was.
    """
    payload = codecs()[cabinet["protocol"]].encode(
        command,
        command_id=command_id,
        issued_at=datetime.now(UTC),
        ttl_s=settings.command_ttl_seconds,
    )
    try:
        publisher.publish(cabinet["device_id"], payload)
    except QueueUnavailable:
        with db.transaction() as tx:
            _take_back(tx, command_id, cabinet["cabinet_id"])
        raise
    log.info("command sent", command_id=command_id, kind=command.kind)
    with db.statements() as tx:
        commands.publish(tx, command_id)


def wait(command_id: UUID) -> Row:
    """The command's row once it is settled, or has had no answer by its deadline."""
    with db.statements() as tx:
        while True:
            row = commands.wait(tx, command_id)
            if row is None:
                raise CommandNotFound
            if row["status"] not in UNSETTLED:
                return row
            if row["seconds_left"] <= 0:
                commands.give_up(tx, command_id)


def get(tx: Tx, command_id: UUID) -> Row:
    """A command's row."""
    row = commands.get(tx, command_id)
    if row is None:
        raise CommandNotFound
    return row


def send(
    command: Command,
    cabinet_id: str,
    *,
    publisher: Publisher,
    settings: Settings,
    **row: Any,
) -> CommandRecord:
    """Send any command to one cabinet and wait; `row`: requested_by, command_id, reason.

    The same command_id again waits for the same command. Raises CabinetRejected, CabinetNoAnswer.
    """
    with db.transaction() as tx:
        cabinet = cabinets.lock_one(tx, cabinet_id, offline_after=settings.offline_after_seconds)
        if cabinet is None:
            raise CabinetNotFound
        if any(cell > cabinet["cells_total"] for cell in command.payload().get("cells", ())):
            raise CellNotFound(detail=f"The cabinet has cells 1 to {cabinet['cells_total']}.")
        known = commands.get(tx, row["command_id"]) if "command_id" in row else None
        command_id = (
            insert(tx, command, settings, cabinet_id=cabinet_id, **row)
            if known is None
            else known["command_id"]
        )
    if known is None:
        deliver(command, command_id, cabinet, publisher, settings)
    return answer(wait(command_id))


def answer(row: Row) -> CommandRecord:
    """What to tell of a command that was waited for: its record, or the error that it ended in."""
    command_id = row["command_id"]
    if row["status"] in {"no_answer", "unresolved", "not_executed"}:
        raise CabinetNoAnswer(command_id=command_id)
    if row["status"] == "rejected":
        raise CabinetRejected(reason=row["reason"], command_id=command_id)
    if row["status"] == "not_published":
        raise QueueUnavailable
    return record(row)


def record(row: Row) -> CommandRecord:
    """A command as the API shows it."""
    return CommandRecord.model_validate({**row, "cells": row["result"]})


def _take_back(tx: Tx, command_id: UUID, cabinet_id: str | None) -> None:
    """Nothing was sent."""
    cabinets.lock(tx, [cabinet_id] if cabinet_id else [])
    row = commands.get(tx, command_id)
    taken_back = commands.settle(tx, command_id, status="not_published", since=("pending",))
    if row is not None and taken_back and row["booking_id"] is not None:
        bookings.move_on(tx, row["booking_id"], since="unlocking", to="active", command_id=None)
