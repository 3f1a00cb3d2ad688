"""The poll: ask all cabinets for a state report, and write what is due by time."""

from dataclasses import dataclass
from uuid import UUID

from shared import db, log
from shared.commands import registry
from shared.commands.report_state import ReportState
from shared.config import Settings
from shared.db import Tx
from shared.errors import QueueUnavailable
from shared.protocols import native_v1
from shared.repo import bookings, cabinets, cells, commands, history
from shared.services import dispatch
from shared.services.dispatch import Publisher, Sender


@dataclass(frozen=True)
class Sweep:
    """What a sweep wrote."""

    cabinets_with_expiry: int
    unresolved: int
    given_up: int


def ask_all(publisher: Publisher, settings: Settings) -> bool:
    """Publish one message to all cabinets, whatever their number; False if nothing was sent."""
    command = ReportState(spread_s=settings.poll_spread_seconds)
    sender = Sender(publisher, settings, requested_by="poll")
    with db.transaction() as tx:
        command_id = dispatch.insert(tx, command, sender, cabinet_id=None)
    all_cabinets = {"device_id": None, "cabinet_id": None, "protocol": native_v1.NAME}
    try:
        dispatch.publish(command, command_id, all_cabinets, sender)
    except QueueUnavailable:
        return False
    with db.statements() as tx:
        commands.finish(tx, command_id, "all_done")
    return True


def sweep(settings: Settings) -> Sweep:
    """Write expiry, time out commands that nobody waits for, end what no evidence has settled.

    Each cabinet has its own transaction. Two sweeps at the same time do no harm.
    """
    with db.transaction() as tx:
        given_up = commands.time_out_overdue(tx)
        commands.prune_polls(tx)
        due = bookings.cabinets_with_due(tx)
        unanswered = commands.past_reconcile_window(tx, settings.reconcile_seconds)
    for cabinet_id in due:
        with db.transaction() as tx:
            cabinets.lock(tx, [cabinet_id])
            bookings.expire_due(tx, [cabinet_id])
    unresolved = sum(_mark_unresolved(row["cabinet_id"], row["command_id"]) for row in unanswered)
    return Sweep(cabinets_with_expiry=len(due), unresolved=unresolved, given_up=given_up)


def sample(settings: Settings) -> None:
    """Store this minute's stock for GET /v1/history, unless another poll has. Never raises.

    A history with a gap is better than a poll that ends early, or runs again.
    """
    try:
        with db.statements() as tx:
            history.add_sample(
                tx,
                min_charge=settings.min_issue_charge,
                offline_after=settings.offline_after_seconds,
            )
            history.prune_samples(tx)
    except Exception:  # noqa: BLE001 - see above
        log.error("the stock was not sampled")


def _mark_unresolved(cabinet_id: str, command_id: UUID) -> bool:
    """No evidence shows what a command did: disable its cells until an operator has looked.

    Return whether the command opens doors and was marked.
    """
    with db.transaction() as tx:
        cabinets.lock(tx, [cabinet_id])
        if not commands.finish(tx, command_id, "window_passed"):
            return False
        row = dispatch.get(tx, command_id)
        kind = registry().get(row["kind"])
        opens = kind is not None and kind.cell_result == "opened"
        if opens:
            cells.set_health(tx, cabinet_id, row["payload"]["cells"], "disabled", "unresolved")
        if row["booking_id"] is not None:
            _end_unlock(tx, row["booking_id"])
    if opens:
        log.warning("command unresolved", command_id=command_id, cabinet_id=cabinet_id)
    return opens


def _end_unlock(tx: Tx, booking_id: UUID) -> None:
    """End a booking whose unlock stays unresolved.

    A return goes on if a late result of an earlier unlock has opened cells of it.
    """
    booking = bookings.get(tx, booking_id)
    if (
        booking is not None
        and (booking["kind"], booking["status"]) == ("return", "unlocking")
        and any(cell["state"] == "opened" for cell in booking["cells"])
    ):
        bookings.advance(tx, booking_id, "opened_for_return")
        bookings.release_held(tx, booking_id, reason="unresolved")
    else:
        bookings.finish(tx, booking_id, event="outcome_unresolved", reason="unresolved")
