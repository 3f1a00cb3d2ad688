"""Step 8: end holds that cannot be kept. The booking may hold another cell instead."""

from shared.evidence.records import Booking, Cell, Hold
from shared.evidence.unit_of_work import UnitOfWork


def end_holds(uow: UnitOfWork) -> None:
    """Release what active bookings hold and cannot give out any more, with the reason."""
    for cabinet in uow.cabinets.values():
        for booking, hold in uow.unfinished_holds(cabinet.cabinet_id):
            if booking.status != "active":
                continue  # its command is unsettled, or its doors are open
            reason = _release_reason(uow, cabinet.cells[hold.cell_number], booking, hold)
            if reason is not None:
                uow.advance_hold(booking, hold, "released", reason=reason)
                booking.needs_refill = True


def _release_reason(uow: UnitOfWork, cell: Cell, booking: Booking, hold: Hold) -> str | None:
    """Return why a hold cannot be kept; None if it can."""
    if cell.health != "ok":
        return cell.health_reason
    if cell.fault is not None:
        return cell.fault
    if booking.kind == "return":
        return "occupied" if cell.content in {"occupied", "unidentified"} else None
    held = uow.accumulator_in(cell)
    return None if held and held.accumulator_id == hold.accumulator_id else "moved"
