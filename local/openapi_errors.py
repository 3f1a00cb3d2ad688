"""Which errors a route can answer with, and what each looks like: for the OpenAPI document."""

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
    """The function gave no answer that can be passed on."""


class GatewayTimeout(errors.NoAnswer):
    """The function did not answer in time."""


class Fault(BaseModel):
    """A field that is wrong."""

    field: str
    message: str


_FIELD_TYPES: dict[str, Any] = {"errors": list[Fault], "place": Place | None}
"""Fields of errors whose Python type says less than is known."""


def errors_of(route: api.Route) -> list[Error]:
    """Every error that a route can answer with, the gateway's included, by status and code."""
    found: set[Error] = {errors.InvalidRequest, errors.Internal, BadGateway, GatewayTimeout}
    found |= set(route.raises)
    if route.scope is not None:
        found |= {errors.Unauthenticated, errors.Forbidden, errors.DatabaseUnavailable}
    if route.method in ("POST", "PATCH"):
        found.add(errors.RequestTooLarge)
    if route.method == "POST":
        found |= {errors.RequestInProgress, errors.IdempotencyKeyReused}
    return sorted(found, key=order_of)


def order_of(error: Error) -> tuple[int, str]:
    """Where an error stands in a list: by its status, then by its code."""
    return status_of(error), error.code()


def model_of(error: Error) -> type[BaseModel]:
    """What `shared.api.problems.problem` makes of such an error."""
    hints = get_type_hints(error)
    given: dict[str, Any] = {
        "type": _fixed(f"urn:scooter-accumulator:{error.code()}"),
        "title": _fixed(error.title()),
        "status": _fixed(status_of(error)),
        "detail": (str, ...),
        "code": _fixed(error.code()),
        "request_id": (str, ...),
        **{name: (_FIELD_TYPES.get(name, hints[name]), ...) for name in _own_fields(error)},
    }
    # Of a function that failed the platform says more.
    config = ConfigDict(extra="allow") if error is BadGateway else ConfigDict()
    model: type[BaseModel] = create_model(
        error.__name__, __config__=config, __doc__=error.title(), **given
    )
    return model


def example_of(error: Error) -> dict[str, Any]:
    """A problem as a caller gets it. A field that no error had before needs an example."""
    own = {name: examples.ERROR_FIELDS[name] for name in _own_fields(error)}
    return problem(error(**own), examples.REQUEST_ID)


def _own_fields(error: Error) -> list[str]:
    return [field.name for field in fields(error) if field.name != "detail"]


def _fixed(value: str | int) -> tuple[type, Any]:
    return type(value), Field(json_schema_extra={"enum": [value]})
