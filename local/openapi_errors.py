"""The errors that a route can return, and their schemas, for the OpenAPI document."""

from dataclasses import fields
from typing import Any, get_type_hints

from pydantic import BaseModel, ConfigDict, Field, create_model

from local import examples
from shared import api, errors
from shared.api.problems import problem, status_of
from shared.errors import ServiceError
from shared.models.places import Place

Error = type[ServiceError]


class BadGateway(errors.BadGateway):
    """The function returned no valid response."""


class GatewayTimeout(errors.NoAnswer):
    """The function did not return in time."""


class Fault(BaseModel):
    """An invalid field."""

    field: str
    message: str


class AccumulatorElsewhere(BaseModel):
    """An accumulator and its place; null: nowhere known, or not registered."""

    accumulator_id: str
    place: Place | None


_FIELD_TYPES: dict[str, Any] = {
    "errors": list[Fault],
    "place": Place | None,
    "accumulators": list[AccumulatorElsewhere],
}
"""Schemas of error fields that are narrower than their Python type."""


def errors_of(route: api.Route) -> list[Error]:
    """Return all errors of a route, including the gateway's, sorted by status and code."""
    found: set[Error] = {
        errors.InvalidRequest,
        errors.RateLimited,
        errors.Internal,
        BadGateway,
        GatewayTimeout,
    }
    found |= set(route.raises)
    if route.scope is not None:
        found |= {errors.Unauthenticated, errors.Forbidden, errors.DatabaseUnavailable}
    if route.method in ("POST", "PATCH"):
        found.add(errors.RequestTooLarge)
    if route.method == "POST":
        found |= {errors.RequestInProgress, errors.IdempotencyKeyReused}
    return sorted(found, key=order_of)


def order_of(error: Error) -> tuple[int, str]:
    """Return the sort key of an error: its status, then its code."""
    return status_of(error), error.code()


def model_of(error: Error) -> type[BaseModel]:
    """Return the schema of the problem that `shared.api.problems.problem` makes of an error."""
    hints = get_type_hints(error)
    given: dict[str, Any] = {
        "type": (str, Field(examples=[f"urn:scooter-accumulator:{error.code()}"])),
        "title": (str, Field(examples=[error.title()])),
        "status": _fixed(status_of(error)),
        "detail": (str, ...),
        "code": _fixed(error.code()),
        "request_id": (str, ...),
        **{name: (_FIELD_TYPES.get(name, hints[name]), ...) for name in _own_fields(error)},
    }
    # The platform adds fields if a function failed.
    config = ConfigDict(extra="allow") if error is BadGateway else ConfigDict()
    model: type[BaseModel] = create_model(
        error.__name__, __config__=config, __doc__=error.title(), **given
    )
    return model


def example_of(error: Error) -> dict[str, Any]:
    """Return an example problem. A new error field needs an example value."""
    own = {name: examples.ERROR_FIELDS[name] for name in _own_fields(error)}
    return problem(error(**own), examples.REQUEST_ID)


def _own_fields(error: Error) -> list[str]:
    return [field.name for field in fields(error) if field.name != "detail"]


def _fixed(value: str | int) -> tuple[type, Any]:
    return type(value), Field(json_schema_extra={"enum": [value]})
