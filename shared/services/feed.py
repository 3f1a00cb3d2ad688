"""The feed: give events their positions, return them."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cache
from typing import Annotated, Any
from uuid import UUID

from pydantic import Field, TypeAdapter

from shared import cursor, db, replica
from shared.config import Settings
from shared.db import Row, Tx
from shared.errors import CursorExpired
from shared.models.accumulators import Accumulator, Movement
from shared.models.anomalies import AnomalyRecord
from shared.models.base import Model
from shared.models.bookings import Booking
from shared.models.cabinets import Cell
from shared.models.events import Event, EventPage, EventQuery
from shared.repo import cabinets as cabinets_repo
from shared.repo import events
from shared.services import cabinets, dispatch

Position = Annotated[int, Field(ge=0, lt=2**63 - events.MOST_AT_ONCE)]

MAX_BATCHES = 20
"""Of one poll: the next one, a minute later, goes on."""
ANNOUNCED_AT_ONCE = 500


@dataclass(frozen=True)
class Upkeep:
    """What the poll did to the feed."""

    announced: int
    """Cabinets that went online or offline without a message that said so."""
    sequenced: int


def read(query: EventQuery) -> EventPage:
    """Give positions to new events, and return the events after a cursor.

    Raises CursorExpired for a cursor that is too old, or of another feed.
    """
    with db.statements() as tx:
        events.sequence(tx)
        head = events.head(tx) if query.after is None else None
    if head is not None:
        replica.wait_for_reads()
        return EventPage(events=[], cursor=_cursor(head["position"], head["check_id"]))
    try:
        with replica.reads() as tx:
            return _page(tx, query)
    except CursorExpired:  # or the replica has not got so far
        with db.statements() as tx:
            return _page(tx, query)


def _page(tx: Tx, query: EventQuery) -> EventPage:
    position, check_id = cursor.decode(query.after, Position, UUID, field="after")
    conditions = query.conditions()
    *rows, end = events.after(tx, position, limit=query.limit, conditions=conditions)
    if end["check_id"] != check_id:
        raise CursorExpired
    at_end = end["position"] == position
    return EventPage(
        events=[event_of(row) for row in rows],
        cursor=_cursor(end["position"], check_id if at_end else end["event_id"]),
    )


def event_of(row: Row) -> Event:
    """Return an event as the API shows it."""
    kind, _, _ = row["type"].partition(".")
    render = Movement.of if row["type"] == "accumulator.moved" else _RESOURCES[kind]
    return _event().validate_python({**row, "resource": render(row["resource"])})


def keep_up(settings: Settings) -> Upkeep:
    """Announce cabinets that fell silent and give positions, in small batches.

    Two runs at once do no harm.
    """
    charge, after = settings.min_issue_charge, settings.offline_after_seconds
    with db.statements() as tx:
        events.store_settings(tx, min_issue_charge=charge, offline_after_seconds=after)
        announced = in_batches(
            lambda: cabinets_repo.announce(tx, offline_after=after, limit=ANNOUNCED_AT_ONCE),
            ANNOUNCED_AT_ONCE,
        )
        sequenced = in_batches(lambda: events.sequence(tx) or 0, events.MOST_AT_ONCE)
    return Upkeep(announced=announced, sequenced=sequenced)


def in_batches(work: Callable[[], int], size: int) -> int:
    """Repeat `work` until it finds less than a full batch; return the sum."""
    total = 0
    for _ in range(MAX_BATCHES):
        done = work()
        total += done
        if done < size:
            break
    return total


@cache
def _event() -> TypeAdapter[Event]:
    return TypeAdapter(Event)


def _cursor(position: int, check_id: UUID) -> str:
    return cursor.encode(position, check_id)


_RESOURCES: Mapping[str, Callable[[Mapping[str, Any]], Model]] = {
    "accumulator": Accumulator.of,
    "anomaly": AnomalyRecord.of,
    "booking": Booking.model_validate,
    "cabinet": cabinets.record,
    "cell": Cell.model_validate,
    "command": dispatch.record,
}
