"""Holds of bookings: write their expiry, and hold other cells for those that were lost.

The caller has locked the rows of the cabinets concerned.
"""

from collections.abc import Collection
from uuid import UUID

from shared.db import Tx
from shared.repo import bookings


def write_expiry(tx: Tx, cabinet_ids: Collection[str]) -> None:
    """Write the expiry of these cabinets' bookings whose time has run out."""
    if cabinet_ids:
        bookings.expire_due(tx, cabinet_ids)


def refill_active(tx: Tx, booking_id: UUID) -> None:
    """Hold other cells for those that an active booking lost; leave any other booking alone."""
    booking = bookings.get(tx, booking_id)
    if booking is not None and booking["status"] == "active":
        held = [cell["cell_number"] for cell in booking["cells"] if cell["state"] == "held"]
        refill(
            tx, booking_id, held, cabinet_id=booking["cabinet_id"], requested=booking["requested"]
        )


def refill(
    tx: Tx, booking_id: UUID, held: list[int], *, cabinet_id: str, requested: int
) -> list[int]:
    """Hold other cells up to the `requested` number; return the numbers of all that are held.

    An active booking for which nothing is left fails, and the list is empty.
    """
    if len(held) < requested:
        bookings.expire_due(tx, [cabinet_id])
        more = bookings.hold(tx, booking_id, requested - len(held))
        held = sorted([*held, *(row["cell_number"] for row in more)])
    if not held:
        bookings.finish(tx, booking_id, event="nothing_left_to_hold", reason="nothing_left")
    return held
