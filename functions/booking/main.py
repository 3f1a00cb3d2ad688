"""Bookings: hold accumulators or empty cells for a contractor."""

from shared import api, config, db, errors, replica
from shared.models.bookings import Booking, BookingPage, BookingQuery, BookingRequest
from shared.services import booking
from shared.values import OwnId

handler = api.handler_of(__name__)


@api.route(
    "POST",
    "/v1/bookings",
    scope="backend",
    status=201,
    raises=(
        errors.CabinetNotFound,
        errors.NotEnoughAccumulators,
        errors.NotEnoughFreeCells,
        errors.CabinetOffline,
        errors.CabinetInactive,
    ),
)
def create_booking(request: BookingRequest, caller: api.Caller) -> Booking:
    """Book accumulators or empty cells for a contractor."""
    with db.transaction() as tx:
        return booking.reserve(tx, caller.new_id, request, config.settings())


@api.route("GET", "/v1/bookings", scope="read", cost=1)
def list_bookings(query: BookingQuery) -> BookingPage:
    """List bookings, newest first."""
    with replica.reads() as tx:
        return booking.listing(tx, query)


@api.route("GET", "/v1/bookings/{booking_id}", scope="read", raises=(errors.BookingNotFound,))
def get_booking(booking_id: OwnId) -> Booking:
    """Return one booking."""
    with db.statements() as tx:
        return booking.get(tx, booking_id)


@api.route(
    "DELETE",
    "/v1/bookings/{booking_id}",
    scope="backend",
    raises=(errors.BookingNotFound, errors.BookingNotActive),
)
def cancel_booking(booking_id: OwnId) -> Booking:
    """Cancel an active booking and release what it holds."""
    with db.transaction() as tx:
        return booking.cancel(tx, booking_id)
