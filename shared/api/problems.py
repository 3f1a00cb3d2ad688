"""Errors as RFC 9457 problems; one table maps categories to HTTP statuses."""

from typing import Any

from shared import errors
from shared.errors import ServiceError

STATUS: dict[type[ServiceError], int] = {
    errors.BadRequest: 400,
    errors.Unauthenticated: 401,
    errors.Refused: 403,
    errors.NotFound: 404,
    errors.NotAllowed: 405,
    errors.Conflict: 409,
    errors.Gone: 410,
    errors.TooLarge: 413,
    errors.Unprocessable: 422,
    errors.TooManyRequests: 429,
    errors.Internal: 500,
    errors.BadGateway: 502,
    errors.Unavailable: 503,
    errors.NoAnswer: 504,
}


def status_of(error: type[ServiceError]) -> int:
    """Return the HTTP status of an error's category."""
    return next(STATUS[cls] for cls in error.__mro__ if cls in STATUS)


def problem(error: ServiceError, request_id: str) -> dict[str, Any]:
    """Return the body of an error response."""
    return {
        "type": f"urn:scooter-accumulator:{error.code()}",
        "title": error.title(),
        "status": status_of(type(error)),
        "detail": str(error),
        "code": error.code(),
        "request_id": request_id,
        **error.extra(),
    }
