"""How long things are kept: the poll removes what is old, in small batches."""

from dataclasses import dataclass
from functools import partial

from shared import db
from shared.config import Settings
from shared.db import Tx
from shared.repo import anomalies, events, idempotency, retention
from shared.services.feed import in_batches

REMOVED_AT_ONCE = 1_000
EVENTS_REMOVED_AT_ONCE = 5_000
MONTHS_AHEAD = 3
"""For which the ledger has parts. If no poll runs for longer, movements go to the default part."""


@dataclass(frozen=True)
class Removed:
    """What a poll removed, and the months that it added to the ledger."""

    bookings_removed: int
    commands_removed: int
    events_removed: int
    anomalies_removed: int
    keys_removed: int
    months_added: int


def apply(settings: Settings) -> Removed:
    """Remove what is older than the settings say, unless something present points to it.

    Each batch is a transaction. Two runs at once do no harm. Unfinished erasures go on.
    """
    days, few = settings.booking_keep_days, REMOVED_AT_ONCE
    with db.statements() as tx:
        removed = Removed(
            bookings_removed=in_batches(
                lambda: retention.remove_bookings(tx, days=days, limit=few), few
            ),
            commands_removed=in_batches(
                lambda: retention.remove_commands(tx, days=days, limit=few), few
            ),
            events_removed=in_batches(
                lambda: events.prune(tx, limit=EVENTS_REMOVED_AT_ONCE), EVENTS_REMOVED_AT_ONCE
            ),
            anomalies_removed=in_batches(
                lambda: anomalies.prune(tx, days=settings.anomaly_keep_days, limit=few), few
            ),
            keys_removed=in_batches(
                lambda: idempotency.prune(tx, hours=settings.idempotency_keep_hours, limit=few), few
            ),
            months_added=retention.add_months(tx, ahead=MONTHS_AHEAD),
        )
        for contractor_id in retention.erasures(tx):
            in_batches(partial(_erase_batch, tx, contractor_id), 1)
    return removed


def _erase_batch(tx: Tx, contractor_id: str) -> int:
    return int(retention.erase_some(tx, contractor_id))
