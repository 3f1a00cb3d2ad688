"""What swaps and transfers share: both record moves that people report.

Lock order: cabinets, then accumulators, both by id. A cabinet is concerned if it has the
accumulator according to the records, or if one of its bookings holds it.
"""

from collections.abc import Callable, Collection, Mapping, Sequence

from shared import holds, states
from shared.db import Row, Tx
from shared.errors import AccumulatorNotHeld, Place
from shared.models.places import InCell, InScooter, WithContractor, place_of
from shared.repo import accumulators, bookings, cabinets
from shared.repo.accumulators import Move
from shared.values import Location

RECONCILE = 'If it happened nevertheless, report it with "reconcile": true.'
"""What a caller can do about a report that contradicts the records."""

_NAMED = 5
"""How many accumulators the text of an error names. Its fields name all."""


def lock(
    tx: Tx, find: Callable[[], set[str]], *, register: Mapping[str, Location], reconcile: bool
) -> dict[str, Row]:
    """Lock the accumulators that `find` returns, and the cabinets concerned.

    Return those that exist. `register`: those to register if they are unknown, and where; if the
    caller raises an error, that is rolled back with its transaction. `reconcile`: an accumulator
    may be taken from a cell.
    """
    tx.savepoint()
    while (rows := _try_lock(tx, find(), register, reconcile=reconcile)) is None:
        tx.rollback_to_savepoint()
    return rows


def _try_lock(
    tx: Tx, wanted: set[str], register: Mapping[str, Location], *, reconcile: bool
) -> dict[str, Row] | None:
    """Lock cabinets, then accumulators; None if the locks came too late and must be taken again."""
    cabinet_ids = bookings.cabinets_holding(tx, wanted)
    if reconcile:
        cabinet_ids |= cabinets.of_accumulators(tx, wanted)
    if cabinet_ids:
        cabinets.lock(tx, cabinet_ids)
        bookings.expire_due(tx, cabinet_ids)
    rows = accumulators.lock(tx, wanted)
    entered = {row["cabinet_id"] for row in rows.values()} - {None} - cabinet_ids
    if reconcile and entered:
        return None  # it entered a cell meanwhile: its cabinet has to be locked before it
    unknown = register.keys() - rows.keys()
    new = [{"accumulator_id": id_, **register[id_]._asdict()} for id_ in sorted(unknown)]
    if len(accumulators.register(tx, new)) < len(new):
        return None  # somebody else registered one meanwhile: it has to be locked in its turn
    return rows | (accumulators.get_all(tx, unknown) if unknown else {})


def check_held(rows: Mapping[str, Row], accumulator_ids: Collection[str], contractor: str) -> None:
    """Raise AccumulatorNotHeld, which names each accumulator that the contractor does not have."""
    found = {id_: rows.get(id_) for id_ in accumulator_ids}
    elsewhere = {
        id_: row for id_, row in found.items() if row is None or row["contractor_id"] != contractor
    }
    if not elsewhere:
        return
    named = ", ".join(f"{id_} ({describe(row)})" for id_, row in [*elsewhere.items()][:_NAMED])
    more = f" and {len(elsewhere) - _NAMED} more" if len(elsewhere) > _NAMED else ""
    listed = [{"accumulator_id": id_, "place": place_in(row)} for id_, row in elsewhere.items()]
    raise AccumulatorNotHeld(
        accumulator_id=next(iter(elsewhere)),
        place=place_in(next(iter(elsewhere.values()))),
        accumulators=listed,
        detail=f"{contractor} does not have {named}{more}. {RECONCILE}",
    )


def place_in(row: Row | None) -> Place:
    """Return the place of a row, as errors show it; None: nowhere known, or unknown."""
    place = place_of(row) if row is not None else None
    return None if place is None else place.model_dump()


def describe(row: Row | None) -> str:
    """Return where an accumulator is, in words."""
    place = place_of(row) if row is not None else None
    match place:
        case InCell():
            return f"in cell {place.cell_number} of {place.cabinet_id}"
        case WithContractor():
            return f"with {place.contractor_id}"
        case InScooter():
            return f"in scooter {place.scooter_id}"
        case _:
            return "not registered" if row is None else "nowhere known"


def record(
    tx: Tx, rows: Mapping[str, Row], moves: Sequence[Move], *, charges: Mapping[str, int | None]
) -> None:
    """Record moves of locked accumulators, and replace them in the bookings that hold them.

    `charges`: reported ones. A retired accumulator turns up quarantined.
    """
    changed = [(row, _with_readings(row, charges.get(id_))) for id_, row in rows.items()]
    accumulators.save_readings(tx, [new for row, new in changed if new != row])
    accumulators.move(tx, moves)
    for booking_id in bookings.release_accumulators(tx, rows.keys()):
        holds.refill_active(tx, booking_id)


def _with_readings(row: Row, charge: int | None) -> Row:
    is_retired = row["status"] == "retired"
    status = states.ACCUMULATOR.after("retired", "quarantined") if is_retired else row["status"]
    return {**row, "status": status} | ({} if charge is None else {"battery_charge": charge})
