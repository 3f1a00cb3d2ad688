"""Errors of the service, as a tree. A class's docstring is its message, its name is its code.

ServiceError
├── BadRequest                   400
│   └── InvalidRequest
├── Unauthenticated              401
├── Refused                      403
│   └── Forbidden
├── NotFound                     404
│   ├── RouteNotFound
│   ├── CabinetNotFound, CellNotFound, AccumulatorNotFound
│   ├── BookingNotFound, CommandNotFound, AnomalyNotFound, WebhookNotFound
│   └── ContractorNotFound
├── NotAllowed                   405
│   └── MethodNotAllowed
├── Conflict                     409
│   ├── CabinetExists, CabinetNotEmpty, CabinetOffline, CabinetInactive
│   ├── DeviceExists, CellsInUse, ContractorInUse
│   ├── AccumulatorExists, AccumulatorInUse, PlaceTaken
│   ├── NotEnoughAccumulators, NotEnoughFreeCells
│   ├── BookingExpired, BookingNotActive
│   ├── TooManyWebhooks
│   ├── AccumulatorNotHeld, AccumulatorNotInScooter
│   └── RequestInProgress
├── Gone                         410
│   └── CursorExpired
├── TooLarge                     413
│   └── RequestTooLarge
├── Unprocessable                422
│   └── IdempotencyKeyReused
├── TooManyRequests              429
│   └── RateLimited
├── Internal                     500
├── BadGateway                   502
│   └── CabinetRejected
├── Unavailable                  503
│   └── DatabaseUnavailable, QueueUnavailable
└── NoAnswer                     504
    └── CabinetNoAnswer
"""

import re
from dataclasses import dataclass, field, fields
from typing import Any
from uuid import UUID

Place = dict[str, str | int] | None
"""The place of an accumulator, as in the API: docs/how-it-works.md, "Places"."""


@dataclass(eq=False)
class ServiceError(Exception):
    """An error that the caller sees."""

    detail: str | None = field(default=None, kw_only=True)

    @classmethod
    def code(cls) -> str:
        """Return the error's stable code: the class's name in snake_case."""
        return re.sub(r"(?<!^)(?=[A-Z])", "_", cls.__name__).lower()

    @classmethod
    def title(cls) -> str:
        """Return the first line of the class's docstring, the same for all its errors."""
        return (cls.__doc__ or "").splitlines()[0]

    def extra(self) -> dict[str, Any]:
        """Return the fields that this class adds to a response."""
        return {f.name: getattr(self, f.name) for f in fields(self) if f.name != "detail"}

    def __str__(self) -> str:
        return self.detail or self.title()


class BadRequest(ServiceError):
    """The request is invalid."""


class Unauthenticated(ServiceError):
    """An API key is required: Authorization: Bearer <key>."""


class Refused(ServiceError):
    """The caller may not do this."""


class NotFound(ServiceError):
    """The resource does not exist."""


class NotAllowed(ServiceError):
    """The resource does not allow this."""


class Conflict(ServiceError):
    """The current state does not allow this."""


class Gone(ServiceError):
    """The resource is not kept any more."""


class TooLarge(ServiceError):
    """The request is too large."""


class Unprocessable(ServiceError):
    """The request contradicts an earlier one."""


class TooManyRequests(ServiceError):
    """The request came too soon."""


class Internal(ServiceError):
    """An unexpected error occurred; search the log for the request id."""


class BadGateway(ServiceError):
    """The cabinet replied with a failure."""


class Unavailable(ServiceError):
    """A part of the service is unavailable; retry."""


class NoAnswer(ServiceError):
    """The cabinet did not reply in time."""


@dataclass(eq=False)
class InvalidRequest(BadRequest):
    """The request is malformed; `errors` lists each invalid field."""

    errors: list[dict[str, str]] = field(default_factory=list)

    def __str__(self) -> str:
        faults = "; ".join(f"{fault['field']}: {fault['message']}" for fault in self.errors)
        return self.detail or faults or self.title()


class Forbidden(Refused):
    """The API key is unknown, or its scope does not allow this."""


class RouteNotFound(NotFound):
    """There is no route with this path."""


class CabinetNotFound(NotFound):
    """The cabinet does not exist."""


class CellNotFound(NotFound):
    """The cabinet has no such cell."""


class AccumulatorNotFound(NotFound):
    """The accumulator does not exist."""


class BookingNotFound(NotFound):
    """The booking does not exist."""


class ContractorNotFound(NotFound):
    """Nothing is stored about this contractor."""


class CommandNotFound(NotFound):
    """The command does not exist."""


class AnomalyNotFound(NotFound):
    """The anomaly does not exist: it is kept for 30 days after it last occurred."""


class WebhookNotFound(NotFound):
    """The webhook does not exist."""


@dataclass(eq=False)
class MethodNotAllowed(NotAllowed):
    """The path does not have this method; `allow` lists those that it has."""

    allow: list[str]


class CabinetExists(Conflict):
    """A cabinet or device with this id is already registered."""


class DeviceExists(Conflict):
    """Another cabinet has this device."""


@dataclass(eq=False)
class CellsInUse(Conflict):
    """Cells that the cabinet would lose are not closed and empty, or are booked."""

    cells: list[int] = field(default_factory=list)


@dataclass(eq=False)
class ContractorInUse(Conflict):
    """The contractor has accumulators, unfinished bookings or open commands."""

    held: int = 0
    bookings: int = 0
    commands: int = 0


class CabinetNotEmpty(Conflict):
    """The cabinet has accumulators, unfinished bookings or unsettled commands."""


class CabinetOffline(Conflict):
    """The cabinet is offline: no message was received from it recently."""


class CabinetInactive(Conflict):
    """The cabinet is out of service."""


class AccumulatorExists(Conflict):
    """An accumulator with this id is already registered."""


class AccumulatorInUse(Conflict):
    """The accumulator is in a scooter, with a contractor or in a booking."""


@dataclass(eq=False)
class PlaceTaken(Conflict):
    """Another accumulator is in that cell."""

    accumulator_id: str


@dataclass(eq=False)
class NotEnoughAccumulators(Conflict):
    """The cabinet has fewer accumulators to issue than requested."""

    requested: int
    available: int


@dataclass(eq=False)
class NotEnoughFreeCells(Conflict):
    """The cabinet has fewer free cells than requested."""

    requested: int
    available: int


class BookingExpired(Conflict):
    """The booking has expired."""


class BookingNotActive(Conflict):
    """The booking's status does not allow this."""


@dataclass(eq=False)
class AccumulatorNotHeld(Conflict):
    """The contractor does not have these `accumulators`; each `place` says where one is.

    `accumulator_id` and `place` are those of the first.
    """

    accumulator_id: str
    place: Place
    accumulators: list[dict[str, Any]]


@dataclass(eq=False)
class AccumulatorNotInScooter(Conflict):
    """The accumulator to remove is not in the scooter; `place` says where it is."""

    accumulator_id: str
    place: Place


@dataclass(eq=False)
class TooManyWebhooks(Conflict):
    """There are as many webhooks as there can be; delete one first."""

    limit: int


class RequestInProgress(Conflict):
    """The first request with this Idempotency-Key is still in progress; retry later."""


class CursorExpired(Gone):
    """The cursor is too old or of another feed: read again what you follow, then start from now."""


class RequestTooLarge(TooLarge):
    """The request body is larger than 2.5 MB."""


class IdempotencyKeyReused(Unprocessable):
    """The Idempotency-Key was used for another request; use a new key."""


@dataclass(eq=False)
class RateLimited(TooManyRequests):
    """Too many requests; wait `retry_after_s` seconds, as Retry-After says, then send it again."""

    retry_after_s: int


@dataclass(eq=False)
class CabinetRejected(BadGateway):
    """The cabinet rejected the command; nothing was opened."""

    reason: str
    command_id: UUID


class DatabaseUnavailable(Unavailable):
    """The database is unavailable; retry."""


class QueueUnavailable(Unavailable):
    """The message queue is unavailable; nothing was sent to the cabinet."""


@dataclass(eq=False)
class CabinetNoAnswer(NoAnswer):
    """The cabinet did not reply; its doors may have opened. Retry with the same booking."""

    command_id: UUID
