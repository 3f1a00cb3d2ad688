"""What can go wrong, as a tree. The class's docstring is the message, its name the code.

ServiceError
├── BadRequest                   400
│   └── InvalidRequest
├── Unauthenticated              401
├── Refused                      403
│   └── Forbidden
├── NotFound                     404
│   ├── RouteNotFound
│   ├── CabinetNotFound, CellNotFound, AccumulatorNotFound
│   └── BookingNotFound, CommandNotFound
├── Conflict                     409
│   ├── CabinetExists, CabinetNotEmpty, CabinetOffline, CabinetInactive
│   ├── AccumulatorExists, AccumulatorInUse, PlaceTaken
│   ├── NotEnoughAccumulators, NotEnoughFreeCells
│   ├── BookingExpired, BookingNotActive
│   ├── AccumulatorNotHeld, AccumulatorNotInScooter
│   └── RequestInProgress
├── TooLarge                     413
│   └── RequestTooLarge
├── Unprocessable                422
│   └── IdempotencyKeyReused
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
"""Where an accumulator is, as the API says it: docs/how-it-works.md, "Places"."""


@dataclass(eq=False)
class ServiceError(Exception):
    """Something the caller can be told."""

    detail: str | None = field(default=None, kw_only=True)

    @classmethod
    def code(cls) -> str:
        """The error's stable name: the class's, in snake_case."""
        return re.sub(r"(?<!^)(?=[A-Z])", "_", cls.__name__).lower()

    @classmethod
    def title(cls) -> str:
        """One sentence that is the same for every such error: the docstring's first line."""
        return (cls.__doc__ or "").splitlines()[0]

    def extra(self) -> dict[str, Any]:
        """The fields that this class adds to an answer, by name."""
        return {f.name: getattr(self, f.name) for f in fields(self) if f.name != "detail"}

    def __str__(self) -> str:
        return self.detail or self.title()


class BadRequest(ServiceError):
    """The request cannot be understood."""


class Unauthenticated(ServiceError):
    """An API key is needed: Authorization: Bearer <key>."""


class Refused(ServiceError):
    """The caller may not do this."""


class NotFound(ServiceError):
    """There is no such thing."""


class Conflict(ServiceError):
    """The present state does not allow it."""


class TooLarge(ServiceError):
    """The request is too large."""


class Unprocessable(ServiceError):
    """The request contradicts an earlier one."""


class Internal(ServiceError):
    """Something unexpected went wrong; the request id finds it in the log."""


class BadGateway(ServiceError):
    """The cabinet gave an answer that is no success."""


class Unavailable(ServiceError):
    """A part of the service cannot be reached; ask again."""


class NoAnswer(ServiceError):
    """The cabinet did not answer in time."""


@dataclass(eq=False)
class InvalidRequest(BadRequest):
    """The request is malformed; `errors` names each field."""

    errors: list[dict[str, str]] = field(default_factory=list)

    def __str__(self) -> str:
        faults = "; ".join(f"{fault['field']}: {fault['message']}" for fault in self.errors)
        return self.detail or faults or self.title()


class Forbidden(Refused):
    """The API key is unknown, or its scope does not allow this."""


class RouteNotFound(NotFound):
    """There is no such method and path."""


class CabinetNotFound(NotFound):
    """There is no such cabinet."""


class CellNotFound(NotFound):
    """The cabinet has no such cell."""


class AccumulatorNotFound(NotFound):
    """There is no such accumulator."""


class BookingNotFound(NotFound):
    """There is no such booking."""


class CommandNotFound(NotFound):
    """There is no such command."""


class CabinetExists(Conflict):
    """A cabinet or a device with this id is registered already."""


class CabinetNotEmpty(Conflict):
    """The cabinet still holds accumulators or unfinished work."""


class CabinetOffline(Conflict):
    """Nothing has been heard of the cabinet lately."""


class CabinetInactive(Conflict):
    """The cabinet is out of service."""


class AccumulatorExists(Conflict):
    """An accumulator with this id is registered already."""


class AccumulatorInUse(Conflict):
    """The accumulator is in a scooter, with a contractor or in a booking."""


@dataclass(eq=False)
class PlaceTaken(Conflict):
    """Another accumulator is in that place."""

    accumulator_id: str


@dataclass(eq=False)
class NotEnoughAccumulators(Conflict):
    """The cabinet has fewer accumulators to issue than were asked for."""

    requested: int
    available: int


@dataclass(eq=False)
class NotEnoughFreeCells(Conflict):
    """The cabinet has fewer free cells than were asked for."""

    requested: int
    available: int


class BookingExpired(Conflict):
    """The booking's time has run out."""


class BookingNotActive(Conflict):
    """The booking's state does not allow this."""


@dataclass(eq=False)
class AccumulatorNotHeld(Conflict):
    """The contractor does not hold the accumulator to be installed."""

    accumulator_id: str
    place: Place


@dataclass(eq=False)
class AccumulatorNotInScooter(Conflict):
    """The accumulator to be removed is not in the scooter."""

    accumulator_id: str
    place: Place


class RequestInProgress(Conflict):
    """The first request with this Idempotency-Key is still running."""


class RequestTooLarge(TooLarge):
    """The request's body is larger than 2.5 MB."""


class IdempotencyKeyReused(Unprocessable):
    """The Idempotency-Key was used with another request."""


@dataclass(eq=False)
class CabinetRejected(BadGateway):
    """The cabinet refused the command; nothing was opened."""

    reason: str
    command_id: UUID


class DatabaseUnavailable(Unavailable):
    """The database cannot be reached; ask again."""


class QueueUnavailable(Unavailable):
    """The message queue cannot be reached; nothing was sent to the cabinet."""


@dataclass(eq=False)
class CabinetNoAnswer(NoAnswer):
    """The cabinet did not answer; its doors may have opened. Ask again with the same booking."""

    command_id: UUID
