"""Bookings: hold accumulators or free cells in one cabinet, or refuse."""

from uuid import UUID

from shared import cursor
from shared.config import Settings
from shared.db import Row, Tx
from shared.errors import (
    BookingNotActive,
    BookingNotFound,
    CabinetInactive,
    CabinetNotFound,
    CabinetOffline,
    NotEnoughAccumulators,
    NotEnoughFreeCells,
)
from shared.models.base import Time
from shared.models.bookings import Booking, BookingPage, BookingQuery, BookingRequest
from shared.repo import bookings, cabinets, returns


def reserve(tx: Tx, booking_id: UUID, request: BookingRequest, settings: Settings) -> Booking:
    """Book `count` accumulators or cells, or with `allow_partial` as many as there are.

    A retry with the same `booking_id` returns the existing booking.
    """
    cabinet = cabinets.lock_one(
        tx, request.cabinet_id, offline_after=settings.offline_after_seconds
    )
    if cabinet is None:
        raise CabinetNotFound
    charge = settings.min_issue_charge if request.min_charge is None else request.min_charge
    seconds = settings.booking_seconds
    created = bookings.insert(tx, booking_id, request, min_charge=charge, seconds=seconds)
    if created is None:
        return get(tx, booking_id)
    check_in_service(cabinet, settings)
    if not cabinet["online"]:
        raise CabinetOffline
    cells = bookings.hold(tx, booking_id, request.count)
    if len(cells) < (1 if request.allow_partial else request.count):
        shortage = NotEnoughAccumulators if request.kind == "issue" else NotEnoughFreeCells
        raise shortage(requested=request.count, available=len(cells))
    return Booking.model_validate({**created, "cells": cells})


def check_in_service(cabinet: Row, settings: Settings) -> None:
    """Raise CabinetInactive if an operator or an alarm has taken the cabinet out of service."""
    alarms = set(cabinet["alarms"]) & {alarm.strip() for alarm in settings.stop_alarms.split(",")}
    if alarms:
        raise CabinetInactive(detail=f"The cabinet reports alarms: {', '.join(sorted(alarms))}.")
    if cabinet["status"] != "active":
        raise CabinetInactive


def cancel(tx: Tx, booking_id: UUID) -> Booking:
    """Cancel a booking and release what it holds.

    A return whose cells are open ends as soon as all doors that nothing was put behind are closed:
    partially completed if something was returned before.
    """
    cabinet_id = get(tx, booking_id).cabinet_id
    cabinets.lock(tx, [cabinet_id])
    bookings.expire_due(tx, [cabinet_id])
    found = get(tx, booking_id)
    if found.status == "returning":
        if waiting := returns.cells_in_use(tx, booking_id):
            cells = ", ".join(map(str, waiting))
            raise BookingNotActive(
                detail=f"The return cannot be cancelled: cell {cells} is not closed and empty, or"
                " is being opened. Close the doors and wait for the cabinet's report."
            )
    elif found.status != "active":
        raise BookingNotActive(
            detail=f"The booking is {found.status}; only active or returning ones can be cancelled."
        )
    has_inserted = any(cell.state == "inserted" for cell in found.cells)
    event = "some_inserted" if has_inserted else "cancelled"
    bookings.finish(tx, booking_id, event=event, reason="cancelled")
    return get(tx, booking_id)


def get(tx: Tx, booking_id: UUID) -> Booking:
    """Return a booking as it is now."""
    row = bookings.get(tx, booking_id)
    if row is None:
        raise BookingNotFound
    return Booking.model_validate(row)


def listing(tx: Tx, query: BookingQuery) -> BookingPage:
    """Return a page of bookings, newest first."""
    before_at, before_id = cursor.decode(query.cursor, Time, UUID)
    conditions = {**query.model_dump(), "before_at": before_at, "before_id": before_id}
    rows = bookings.listing(tx, conditions)
    last = rows[query.limit - 1] if len(rows) > query.limit else None
    return BookingPage(
        bookings=[Booking.model_validate(row) for row in rows[: query.limit]],
        next_cursor=cursor.encode(last["created_at"], last["booking_id"]) if last else None,
    )
