"""Bookings: hold accumulators or free cells in one cabinet, or say that it cannot."""

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
from shared.repo import bookings, cabinets


def reserve(tx: Tx, booking_id: UUID, request: BookingRequest, settings: Settings) -> Booking:
    """Hold what the contractor will come for; all of it, or with `allow_partial` what there is.

    The same `booking_id` again gives the booking that was made for it.
    """
    cabinet = cabinets.lock_one(
        tx, request.cabinet_id, offline_after=settings.offline_after_seconds
    )
    if cabinet is None:
        raise CabinetNotFound
    charge = settings.min_issue_charge if request.min_charge is None else request.min_charge
    seconds = settings.booking_seconds
    made = bookings.insert(tx, booking_id, request, min_charge=charge, seconds=seconds)
    if made is None:
        return get(tx, booking_id)
    check_in_service(cabinet, settings)
    if not cabinet["online"]:
        raise CabinetOffline
    cells = bookings.hold(tx, booking_id, request.count)
    if len(cells) < (1 if request.allow_partial else request.count):
        short = NotEnoughAccumulators if request.kind == "issue" else NotEnoughFreeCells
        raise short(requested=request.count, available=len(cells))
    return Booking.model_validate({**made, "cells": cells})


def check_in_service(cabinet: Row, settings: Settings) -> None:
    """Raise CabinetInactive for a cabinet that a person or an alarm has taken out of service."""
    alarms = set(cabinet["alarms"]) & {alarm.strip() for alarm in settings.stop_alarms.split(",")}
    if alarms:
        raise CabinetInactive(detail=f"The cabinet gives alarm: {', '.join(sorted(alarms))}.")
    if cabinet["status"] != "active":
        raise CabinetInactive


def cancel(tx: Tx, booking_id: UUID) -> Booking:
    """Give back what is held. Not while the cells are being opened, nor afterwards."""
    cabinet_id = get(tx, booking_id).cabinet_id
    cabinets.lock(tx, [cabinet_id])
    bookings.expire_due(tx, [cabinet_id])
    found = get(tx, booking_id)
    if found.status != "active":
        raise BookingNotActive(detail=f"The booking is {found.status}.")
    bookings.finish(tx, booking_id, status="cancelled", state="released", reason="cancelled")
    return get(tx, booking_id)


def get(tx: Tx, booking_id: UUID) -> Booking:
    """A booking as it is now."""
    row = bookings.get(tx, booking_id)
    if row is None:
        raise BookingNotFound
    return Booking.model_validate(row)


def listing(tx: Tx, query: BookingQuery) -> BookingPage:
    """Bookings, newest first."""
    before_at, before_id = cursor.decode(query.cursor, Time, UUID)
    asked = {**query.model_dump(), "before_at": before_at, "before_id": before_id}
    rows = bookings.listing(tx, asked)
    last = rows[query.limit - 1] if len(rows) > query.limit else None
    return BookingPage(
        bookings=[Booking.model_validate(row) for row in rows[: query.limit]],
        next_cursor=cursor.encode(last["created_at"], last["booking_id"]) if last else None,
    )
