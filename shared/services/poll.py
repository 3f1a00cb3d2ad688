"""The poll: ask all cabinets for their state, and write down what time alone has decided."""

from dataclasses import dataclass
from uuid import UUID, uuid4

from shared import db, log
from shared.commands import registry
from shared.commands.report_state import ReportState
from shared.config import Settings
from shared.errors import QueueUnavailable
from shared.protocols import native_v1
from shared.repo import anomalies, bookings, cabinets, cells, commands, idempotency
from shared.services import dispatch
from shared.services.dispatch import Publisher

ANOMALY_DAYS = 30


@dataclass(frozen=True)
class Swept:
    """What a sweep wrote down."""

    cabinets_with_expiry: int
    unresolved: int
    given_up: int


def ask_all(publisher: Publisher, settings: Settings) -> bool:
    """One message for all cabinets, whatever their number; whether it could be sent."""
    command = ReportState(spread_s=settings.poll_spread_seconds)
    command_id = uuid4()
    with db.transaction() as tx:
        dispatch.insert(
            tx, command, settings, cabinet_id=None, command_id=command_id, requested_by="poll"
        )
    everyone = {"device_id": None, "cabinet_id": None, "protocol": native_v1.NAME}
    try:
        dispatch.deliver(command, command_id, everyone, publisher, settings)
    except QueueUnavailable:
        return False
    with db.statements() as tx:
        commands.settle(tx, command_id, status="succeeded", since=("published",))
    return True


def sweep(settings: Settings) -> Swept:
    """Write expiry, give up what nobody waits for, end what evidence did not settle in time.

    One transaction a cabinet. Two sweeps at once do no harm.
    """
    with db.transaction() as tx:
        given_up = commands.give_up_overdue(tx)
        commands.prune_polls(tx)
        idempotency.prune(tx)
        anomalies.prune(tx, days=ANOMALY_DAYS)
        due = bookings.cabinets_with_due(tx)
        doubtful = commands.past_reconciling(tx, settings.reconcile_seconds)
    for cabinet_id in due:
        with db.transaction() as tx:
            cabinets.lock(tx, [cabinet_id])
            bookings.expire_due(tx, [cabinet_id])
    unresolved = sum(_give_to_operator(row["cabinet_id"], row["command_id"]) for row in doubtful)
    return Swept(cabinets_with_expiry=len(due), unresolved=unresolved, given_up=given_up)


def _give_to_operator(cabinet_id: str, command_id: UUID) -> bool:
    """Nothing has shown what a command did: its cells are disabled until a person has looked."""
    with db.transaction() as tx:
        cabinets.lock(tx, [cabinet_id])
        if not commands.settle(tx, command_id, status="unresolved", since=("no_answer",)):
            return False
        row = dispatch.get(tx, command_id)
        kind = registry().get(row["kind"])
        opens = kind is not None and kind.cell_result == "opened"
        if opens:
            cells.set_health(tx, cabinet_id, row["payload"]["cells"], "disabled", "unresolved")
        if row["booking_id"] is not None:
            bookings.finish(
                tx, row["booking_id"], status="failed", state="failed", reason="unresolved"
            )
    if opens:
        log.warning("command unresolved", command_id=command_id, cabinet_id=cabinet_id)
    return opens
