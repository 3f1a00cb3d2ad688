"""The pipeline: run the steps over a batch of messages, in one transaction."""

from collections.abc import Sequence
from datetime import datetime
from typing import NamedTuple
from uuid import UUID

from shared import holds, log
from shared.db import Tx
from shared.evidence.decode import anomaly_source, command_id_of, decode
from shared.evidence.end_holds import end_holds
from shared.evidence.infer import infer_late_openings, infer_lock, infer_outcomes
from shared.evidence.load import load
from shared.evidence.move import move_accumulators
from shared.evidence.observe import mark_unreported_cells, record_observations
from shared.evidence.order import Place, place
from shared.evidence.records import Cabinet, Command, Limits, Position
from shared.evidence.settle import outcome_of, settle
from shared.evidence.unit_of_work import UnitOfWork
from shared.messages import (
    AnyMessage,
    CellEvent,
    CommandResult,
    Goodbye,
    Hello,
    RawMessage,
    StateReport,
)
from shared.states import COMMAND_IN_FLIGHT


class Applied(NamedTuple):
    """What applying a batch of messages did."""

    anomalies: int
    """How many, including those that only repeat one."""
    settled: list[UUID]
    """The commands that got a result, or more of one."""


def apply_messages(
    tx: Tx,
    messages: Sequence[RawMessage],
    *,
    reconcile_seconds: float,
    limits: Limits = Limits(),  # noqa: B008 - immutable
) -> Applied:
    """Apply messages in order with all their effects.

    What is not understood becomes an anomaly. A failure of the database is raised, so that the
    whole batch is delivered again: applying a message twice changes nothing.
    `reconcile_seconds`: how long after a command evidence can still correct its result.
    `limits`: what one cabinet may cause.
    """
    while (uow := _apply_all(tx, messages, reconcile_seconds, limits)) is None:
        tx.rollback_to_savepoint()  # that of `load`
    for booking in uow.bookings.values():
        if booking.needs_refill:
            holds.refill_active(tx, booking.booking_id)
    return Applied(len(uow.anomalies), uow.settled_commands())


def _apply_all(
    tx: Tx, messages: Sequence[RawMessage], reconcile_seconds: float, limits: Limits
) -> UnitOfWork | None:
    """Apply the messages; None if they must be applied again (`UnitOfWork.save`)."""
    uow = UnitOfWork(tx, limits)
    received = list(decode(tx, uow, messages))
    load(tx, uow, received, reconcile_seconds=reconcile_seconds)
    for message in received:
        cabinet = uow.cabinets.get(message.cabinet_id)
        uow.start_message(anomaly_source(message.raw, message.cabinet_id if cabinet else None))
        if cabinet is None:  # removed since its device was looked up
            uow.add_anomaly("unknown_device", message.raw.device_id)
        else:
            _apply(uow, cabinet, message.content, message.raw.received_at)
    end_holds(uow)
    senders = {message.cabinet_id for message in received} & uow.cabinets.keys()
    new_anomalies = uow.save(senders)
    if new_anomalies is None:
        return None
    for anomaly in new_anomalies:
        log.warning("anomaly", **anomaly)
    return uow


def _apply(
    uow: UnitOfWork, cabinet: Cabinet, message: AnyMessage, received_at: datetime | None
) -> None:
    if isinstance(message, Goodbye):
        _apply_goodbye(cabinet, message)
        return
    cabinet.heard, cabinet.signed_off = True, False
    command = _answered_command(uow, cabinet, message)
    asked_at = command.created_at if command else None
    uow.set_age(received_at, asked_at)
    placed = place(uow, cabinet, message, asked_at=asked_at)
    match message:
        case CommandResult():
            _apply_result(uow, cabinet, message, placed)
        case Hello():
            _apply_hello(uow, cabinet, message, placed)
        case StateReport() | CellEvent() if not placed.is_current:
            uow.add_anomaly("older_generation", message.boot_id)
        case StateReport():
            _apply_report(uow, cabinet, message, placed.position, command)
        case CellEvent():
            _apply_event(uow, cabinet, message, placed.position)


def _apply_goodbye(cabinet: Cabinet, message: Goodbye) -> None:
    """Mark the cabinet as offline, if the lost connection is the one that its last hello named."""
    is_current_boot = cabinet.boots.get(message.boot_id) == cabinet.boot_no
    if is_current_boot and message.session is not None and message.session == cabinet.session:
        cabinet.signed_off = True


def _apply_result(uow: UnitOfWork, cabinet: Cabinet, message: CommandResult, placed: Place) -> None:
    command = _command_of(uow, message)
    if command is None:
        uow.add_anomaly("unknown_command", message.command_id)
    elif command.cabinet_id != cabinet.cabinet_id:
        uow.add_anomaly("foreign_command", message.command_id)
    else:
        settle(uow, cabinet, command, outcome_of(message, placed))


def _apply_hello(uow: UnitOfWork, cabinet: Cabinet, message: Hello, placed: Place) -> None:
    if placed.is_current:
        cabinet.firmware = message.firmware
        if placed.position > (cabinet.session_boot_no, cabinet.session_seq):
            cabinet.session = message.session
            cabinet.session_boot_no, cabinet.session_seq = placed.position
    if message.cells_total not in {None, cabinet.cells_total}:
        uow.add_anomaly(
            "cells_total_differs",
            f"{cabinet.cells_total} registered; hello: {message.cells_total}",
        )


def _apply_report(
    uow: UnitOfWork,
    cabinet: Cabinet,
    message: StateReport,
    position: Position,
    command: Command | None,
) -> None:
    _settle_request(uow, command)
    if position <= cabinet.report_position:
        # Delivered twice, or overtaken: newer evidence about the cells is stored already.
        infer_outcomes(uow, cabinet, message.cells, position=position, answered=command)
        return
    observations = record_observations(
        uow, cabinet, message.cells, position=position, is_report=True
    )
    numbers = [state.cell_number for state in message.cells]
    mark_unreported_cells(cabinet, numbers, position=position)
    infer_outcomes(uow, cabinet, message.cells, position=position, answered=command)
    if command is not None and command.success == "locked" and command.is_unsettled:
        infer_lock(uow, cabinet, command, position)
    infer_late_openings(uow, cabinet, observations, position)
    move_accumulators(uow, cabinet, observations)
    if message.alarms != cabinet.alarms and message.alarms:
        uow.add_anomaly("alarm", ", ".join(message.alarms))
    cabinet.alarms = list(message.alarms)
    cabinet.report_boot_no, cabinet.report_seq, cabinet.reported = *position, True


def _settle_request(uow: UnitOfWork, command: Command | None) -> None:
    """Settle the `report_state` to this one cabinet that the report answers."""
    if command and command.answered_by_report and command.cabinet_id and command.is_unsettled:
        command.late = command.status not in COMMAND_IN_FLIGHT
        uow.advance(command, "all_done")


def _apply_event(uow: UnitOfWork, cabinet: Cabinet, message: CellEvent, position: Position) -> None:
    cells = [message.cell]
    observations = record_observations(uow, cabinet, cells, position=position, is_report=False)
    infer_outcomes(uow, cabinet, cells, position=position)
    infer_late_openings(uow, cabinet, observations, position)
    move_accumulators(uow, cabinet, observations)


def _answered_command(uow: UnitOfWork, cabinet: Cabinet, message: AnyMessage) -> Command | None:
    """Return the command to this cabinet, or to all, that the message answers."""
    command = _command_of(uow, message)
    is_ours = command is not None and command.cabinet_id in {None, cabinet.cabinet_id}
    return command if is_ours else None


def _command_of(uow: UnitOfWork, message: AnyMessage) -> Command | None:
    command_id = command_id_of(message)
    return uow.commands.get(command_id) if command_id else None
