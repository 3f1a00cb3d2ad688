"""Undo what a cabinet has claimed: corrections that lead back to before its word counted."""

from shared import holds, log, states
from shared.db import Row, Tx
from shared.errors import CabinetNotFound
from shared.models.claims import KeptBecause, KeptClaim, UndoneClaims, UndoRequest
from shared.repo import accumulators, cabinets, cells, claims
from shared.repo.accumulators import Move
from shared.values import Location

MAX_UNDONE = 1000
"""Accumulators of one request."""


def undo(tx: Tx, cabinet_id: str, request: UndoRequest) -> UndoneClaims:
    """Return accumulators to where they were before a cabinet claimed them; the ledger says why.

    What anything but this cabinet's reports has moved since stays where it is. Those that the claim
    alone has quarantined are in service again. The same request again finds nothing to undo.
    """
    found = _lock_claims(tx, cabinet_id, request)
    rows = found[:MAX_UNDONE]
    kept: dict[str, KeptBecause] = {}
    moves: list[Move] = []
    for row in rows:
        reason = _reason_to_keep(tx, row)
        if reason is None:
            moves.append(_move_back(row, request.reason))
        else:
            kept[row["accumulator_id"]] = reason
    accumulators.move(tx, moves)
    log.info("claims undone", cabinet_id=cabinet_id, restored=len(moves), reason=request.reason)
    return UndoneClaims(
        restored=[move.accumulator_id for move in moves],
        kept=[KeptClaim(accumulator_id=id_, because=why) for id_, why in kept.items()],
        put_in_service=_put_in_service(tx, rows),
        has_more=len(found) > MAX_UNDONE,
    )


def _lock_claims(tx: Tx, cabinet_id: str, request: UndoRequest) -> list[Row]:
    """Lock the cabinets that the claims concern, then the accumulators; return the claims.

    One that has not moved otherwise is in this cabinet, or nowhere: its locks are held.
    """
    before = claims.since(tx, cabinet_id, request.since, limit=MAX_UNDONE + 1)
    concerned = {cabinet_id, *(row["from_cabinet_id"] for row in before)} - {None}
    locked = {row["cabinet_id"] for row in cabinets.lock(tx, concerned)}
    if cabinet_id not in locked:
        raise CabinetNotFound
    holds.write_expiry(tx, locked)
    accumulators.lock(tx, [row["accumulator_id"] for row in before])
    known = {row["movement_id"] for row in before}
    found = claims.since(tx, cabinet_id, request.since, limit=MAX_UNDONE + 1)
    return [row for row in found if row["movement_id"] in known]


def _reason_to_keep(tx: Tx, row: Row) -> KeptBecause | None:
    """Return why an accumulator stays where it is; None if it goes back."""
    if row["has_moved"]:
        return "moved_since"
    if accumulators.booked(tx, row["accumulator_id"]):
        return "booked"
    if row["from_scooter_id"] is not None and accumulators.in_scooter(tx, row["from_scooter_id"]):
        return "place_taken"
    if row["from_cabinet_id"] is not None:
        cell = cells.describe(tx, row["from_cabinet_id"], row["from_cell_number"])
        if not cell:
            return "place_gone"
        if cell[0]["accumulator_id"] is not None:
            return "place_taken"
    return None


def _move_back(row: Row, reason: str) -> Move:
    to = Location(**{name: row[f"from_{name}"] for name in Location._fields})
    return Move(
        accumulator_id=row["accumulator_id"],
        to=to,
        cause="corrected",
        discrepancy=True,
        reason=reason,
    )


def _put_in_service(tx: Tx, rows: list[Row]) -> list[str]:
    """Put those in service that the claim alone has quarantined."""
    ids = [row["accumulator_id"] for row in rows if row["is_quarantined"]]
    accumulators.save_readings(
        tx,
        [
            {**row, "status": states.ACCUMULATOR.changed_to(row["status"], "in_service")}
            for row in accumulators.get_all(tx, ids).values()
        ],
    )
    return ids
