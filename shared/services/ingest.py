"""What cabinets say, in batches: from bytes to effects, in one transaction.

A message that cannot be understood is kept as an anomaly and changes nothing. A database that
fails is raised, so that the whole batch is delivered again: everything here may come twice.
"""

import base64
from collections.abc import Iterator, Sequence
from contextlib import suppress
from typing import NamedTuple
from uuid import UUID

from shared import log
from shared.db import Row, Tx
from shared.messages import AnyMessage, CellEvent, CellState, CommandResult, Hello, StateReport
from shared.protocols import Undecodable, codecs
from shared.repo import cabinets
from shared.services import evidence, holds, inference, settlement
from shared.services.records import Cabinet, Command
from shared.services.world import World


class Envelope(NamedTuple):
    """A message as it came: who sent it, and bytes that nobody has looked at."""

    event_id: str
    device_id: str
    payload: bytes


class Letter(NamedTuple):
    """A message that was understood, and whose it is."""

    envelope: Envelope
    cabinet_id: str
    message: AnyMessage


def apply(tx: Tx, envelopes: Sequence[Envelope]) -> int:
    """Apply messages in order with all their effects; how many anomalies were kept.

    A handful of statements, whatever the number of messages and of cabinets.
    """
    world = World(tx)
    letters = list(_open(tx, world, envelopes))
    _load(tx, world, letters)
    for letter in letters:
        cabinet = world.cabinets.get(letter.cabinet_id)
        world.read(_record(letter.envelope, letter.cabinet_id if cabinet else None))
        if cabinet is None:  # removed since it was looked up
            world.note("unknown_device", letter.envelope.device_id)
        else:
            _take(world, cabinet, letter.message)
    evidence.end_holds(world)
    heard = {letter.cabinet_id for letter in letters} & world.cabinets.keys()
    for short in world.save(heard):
        holds.refill_active(tx, short.booking_id)
    for anomaly in world.anomalies:
        log.warning("anomaly", **{name: anomaly[name] for name in anomaly.keys() - {"payload"}})
    return len(world.anomalies)


def _open(tx: Tx, world: World, envelopes: Sequence[Envelope]) -> Iterator[Letter]:
    """The messages that can be understood; the others become anomalies."""
    devices = {
        row["device_id"]: row
        for row in cabinets.of_devices(tx, {envelope.device_id for envelope in envelopes})
    }
    for envelope in envelopes:
        device = devices.get(envelope.device_id)
        world.read(_record(envelope, device["cabinet_id"] if device else None))
        if device is None:
            world.note("unknown_device", envelope.device_id)
            continue
        codec = codecs().get(device["protocol"])
        if codec is None:
            world.note("unknown_protocol", device["protocol"])
            continue
        try:
            yield Letter(envelope, device["cabinet_id"], codec.decode(envelope.payload))
        except Undecodable as error:
            world.note("malformed", str(error))


def _load(tx: Tx, world: World, letters: list[Letter]) -> None:
    """Lock the cabinets that speak, and those whose accumulators they name; read them all.

    Also those of which nothing could be read: anomalies name them, and that takes locks, too.
    """
    named = {id_ for letter in letters for id_ in _accumulator_ids(letter.message)}
    wanted = {letter.cabinet_id for letter in letters} | cabinets.of_accumulators(tx, named)
    wanted |= {anomaly["cabinet_id"] for anomaly in world.anomalies} - {None}
    boot_ids = {letter.message.boot_id for letter in letters}
    command_ids = {id_ for letter in letters if (id_ := _command_id(letter.message))}
    tx.mark()
    while True:
        locked = cabinets.lock(tx, wanted)
        holds.write_expiry(tx, [row["cabinet_id"] for row in locked])
        world.load(locked, accumulator_ids=named, boot_ids=boot_ids, command_ids=command_ids)
        if not (came := world.not_locked(named)):
            break
        # Into yet another cabinet, before all was locked: cabinets are locked at once, in order.
        tx.go_back()
        wanted |= came


def _take(world: World, cabinet: Cabinet, message: AnyMessage) -> None:
    asked = _asked(world, cabinet, message) if isinstance(message, StateReport) else None
    boot_no = world.boot(cabinet, message.boot_id, answers=asked.created_at if asked else None)
    position = (boot_no, message.seq)
    match message:
        case CommandResult():
            _settle(world, cabinet, message, position)
        case Hello():
            if boot_no == cabinet.boot_no:
                cabinet.firmware = message.firmware
            if message.cells_total not in {None, cabinet.cells_total}:
                world.note("cells_total_differs", f"{message.cells_total} by the cabinet")
        case StateReport() | CellEvent() if boot_no < cabinet.boot_no:
            world.note("older_generation", message.boot_id)
        case StateReport():
            _take_report(world, cabinet, message, position)
        case CellEvent():
            _take_event(world, cabinet, message, position)


def _settle(
    world: World, cabinet: Cabinet, message: CommandResult, position: tuple[int, int]
) -> None:
    command = _known(world, message.command_id)
    if command is None:
        world.note("unknown_command", message.command_id)
    elif command.cabinet_id != cabinet.cabinet_id:
        world.note("foreign_command", message.command_id)
    else:
        outcome = settlement.outcome_of(message, position, cabinet)
        settlement.settle(world, cabinet, command, outcome)


def _take_report(
    world: World, cabinet: Cabinet, message: StateReport, position: tuple[int, int]
) -> None:
    numbers = [state.cell_number for state in message.cells]
    if not _in_range(world, cabinet, message.cells):
        return
    if len(numbers) != len(set(numbers)):
        world.note("malformed", "a cell is reported twice")
        return
    asked = _asked(world, cabinet, message)
    if asked is not None and asked.cabinet_id is not None:
        asked.settle_by_report()
    asked_at = asked.created_at if asked else None
    if position <= (cabinet.report_boot_no, cabinet.report_seq):
        # A duplicate, or overtaken by a newer one: what is known of the cells is newer still.
        inference.infer(world, cabinet, position=position, asked_at=asked_at)
        return
    whole = not any(state.doubt() for state in message.cells)
    sights = evidence.look(world, cabinet, message.cells, position=position, whole=whole)
    evidence.forget(cabinet, set(numbers), position=position, whole=whole)
    inference.infer(world, cabinet, position=position, asked_at=asked_at)
    evidence.judge(world, cabinet, sights)
    if message.alarms != cabinet.alarms and message.alarms:
        world.note("alarm", ", ".join(message.alarms))
    cabinet.alarms = list(message.alarms)
    if whole:
        cabinet.report_boot_no, cabinet.report_seq, cabinet.reported = *position, True


def _take_event(
    world: World, cabinet: Cabinet, message: CellEvent, position: tuple[int, int]
) -> None:
    if _in_range(world, cabinet, [message.cell]):
        sights = evidence.look(world, cabinet, [message.cell], position=position, whole=False)
        inference.infer(world, cabinet, position=position, asked_at=None)
        evidence.judge(world, cabinet, sights)


def _in_range(world: World, cabinet: Cabinet, states: list[CellState]) -> bool:
    strange = [s.cell_number for s in states if s.cell_number not in cabinet.cells]
    if strange:
        world.note("cell_out_of_range", f"{strange[:10]} of {cabinet.cells_total}")
    return not strange


def _asked(world: World, cabinet: Cabinet, message: StateReport) -> Command | None:
    """The command that this report answers."""
    command = _known(world, message.command_id or "")
    if command is None or not command.answered_by_report:
        return None
    return command if command.cabinet_id in {None, cabinet.cabinet_id} else None


def _known(world: World, command_id: str) -> Command | None:
    with suppress(ValueError):
        return world.commands.get(UUID(command_id))
    return None


def _command_id(message: AnyMessage) -> UUID | None:
    if isinstance(message, CommandResult | StateReport) and message.command_id:
        with suppress(ValueError):
            return UUID(message.command_id)
    return None


def _accumulator_ids(message: AnyMessage) -> Iterator[str]:
    cells = message.cells if isinstance(message, CommandResult | StateReport) else []
    for cell in [message.cell] if isinstance(message, CellEvent) else cells:
        if isinstance(cell.accumulator_id, str) and cell.accumulator_id != "?":
            yield cell.accumulator_id


def _record(envelope: Envelope, cabinet_id: str | None) -> Row:
    return {
        "event_id": envelope.event_id,
        "device_id": envelope.device_id,
        "cabinet_id": cabinet_id,
        "payload": base64.b64encode(envelope.payload).decode(),
    }
