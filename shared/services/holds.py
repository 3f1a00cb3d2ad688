"""What bookings hold, when it changes under them. The caller has locked their cabinets' rows."""

from collections.abc import Collection
from uuid import UUID

from shared.db import Tx
from shared.repo import bookings


def write_expiry(tx: Tx, cabinet_ids: Collection[str]) -> None:
    """Write down what has expired in these cabinets."""
    if cabinet_ids:
        bookings.expire_due(tx, cabinet_ids)


def refill_active(tx: Tx, booking_id: UUID) -> None:
    """Hold others for what a booking has lost, if its cells are not being opened yet."""
    found = bookings.get(tx, booking_id)
    if found is not None and found["status"] == "active":
        held = [cell["cell_number"] for cell in found["cells"] if cell["state"] == "held"]
        refill(tx, booking_id, held, cabinet_id=found["cabinet_id"], requested=found["requested"])


def refill(
    tx: Tx, booking_id: UUID, cells: list[int], *, cabinet_id: str, requested: int
) -> list[int]:
    """Hold others for what an active booking has lost; its cells by number. None: it has failed."""
    if len(cells) < requested:
        bookings.expire_due(tx, [cabinet_id])
        more = bookings.hold(tx, booking_id, requested - len(cells))
        cells = sorted([*cells, *(row["cell_number"] for row in more)])
    if not cells:
        bookings.finish(tx, booking_id, status="failed", state="released", reason="nothing_left")
    return cells
