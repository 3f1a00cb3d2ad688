"""The accumulators of an import: which are new, and what the import knows of the others.

An import fills in what is not known. It never overrides what the service has observed.
"""

from collections.abc import Collection, Mapping, Sequence
from typing import NamedTuple

from shared import log, states
from shared.db import Row, Tx
from shared.errors import AccumulatorInUse
from shared.models.accumulators import AccumulatorRequest
from shared.models.imports import Outcomes
from shared.repo import accumulators
from shared.repo.accumulators import Move, location_in
from shared.values import Location

REASON = "imported"
"""The reason of an import's movements in the ledger."""


class Plan(NamedTuple):
    """What becomes of each accumulator, and what has to be written for it."""

    outcomes: Outcomes
    new: list[Row]
    changes: list[tuple[Row, Row]]
    """Locked rows as they are and as they are to be."""

    def save(self, tx: Tx) -> bool:
        """Write it; False if somebody has registered one of the new accumulators meanwhile."""
        if len(accumulators.register(tx, self.new)) < len(self.new):
            return False
        accumulators.save_readings(tx, [after for _, after in self.changes])
        moves = [
            Move(after["accumulator_id"], location_in(after), "corrected", reason=REASON)
            for before, after in self.changes
            if location_in(after) != location_in(before)
        ]
        accumulators.move(tx, moves)
        confirmed = [
            after["accumulator_id"] for before, after in self.changes if _awaits_import(before)
        ]
        if confirmed:
            log.info("imported accumulators put in service", accumulator_ids=confirmed)
        return True


def plan(tx: Tx, requests: Sequence[AccumulatorRequest], locked: Mapping[str, Row]) -> Plan:
    """Decide what becomes of each accumulator. `locked`: those that exist, by id."""
    # In a statement of its own: the one that locks does not see what it waited for.
    observed = accumulators.moved_otherwise(tx, locked) if locked else set()
    outcomes: Outcomes = {}
    new, changes = [], []
    for request in requests:
        id_ = request.accumulator_id
        before = locked.get(id_)
        if before is None:
            outcomes[id_] = "created"
            new.append({**request.model_dump(), "reason": REASON})
        elif before["status"] == "retired":
            detail = "The accumulator is retired; give it another status first."
            outcomes[id_] = AccumulatorInUse(detail=detail)
        else:
            after = _after(before, request, observed)
            outcomes[id_] = "unchanged" if after == before else "updated"
            changes += [(before, after)] if after != before else []
    return Plan(outcomes, new, changes)


def _after(before: Row, request: AccumulatorRequest, observed: Collection[str]) -> Row:
    """Return the row of an accumulator that exists, after the import."""
    after = {**before}
    if _awaits_import(before):
        status = states.ACCUMULATOR.after(before["status"], "put_in_service")
        after |= {"status": status, "is_unknown": False}
    if request.accumulator_id in observed or before["cabinet_id"] is not None:
        return after
    if request.battery_charge is not None:
        after["battery_charge"] = request.battery_charge
    if request.contractor_id or request.scooter_id:
        place = Location(contractor_id=request.contractor_id, scooter_id=request.scooter_id)
        after |= place._asdict()
    return after


def _awaits_import(row: Row) -> bool:
    """Whether it is quarantined only because nobody has registered it."""
    return bool(row["is_unknown"]) and row["status"] == "quarantined"
