"""Base classes of the HTTP API's requests, responses and queries.

Models are built when they are first used, so that a cold start builds only those of its request.
"""

import re
from datetime import UTC, datetime
from typing import Annotated, Any

from pydantic import (
    AfterValidator,
    AwareDatetime,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    ValidationError,
)

Reason = Annotated[str, Field(min_length=1, max_length=500, pattern=r"^[^\x00]+$")]
"""Why a person did it; stored with the change."""


Text = Annotated[str, Field(max_length=500, pattern=r"^[^\x00]*$")]


Time = Annotated[AwareDatetime, AfterValidator(lambda time: time.astimezone(UTC))]
"""A time, shown in UTC."""


CallerName = Annotated[str, Field(pattern=r"^[A-Za-z0-9._-]{1,64}$")]
"""The name of an API key."""


def _moment(value: object) -> datetime:
    """Read a time. Pydantic would also read a number of seconds, a date, a time without a zone."""
    form = r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d{1,9})?(Z|[+-]\d\d:\d\d)"
    try:
        if isinstance(value, str) and re.fullmatch(form, value, re.ASCII):
            return datetime.fromisoformat(value).astimezone(UTC)
    except (ValueError, OverflowError):  # the latter: in UTC it is before year 1 or after 9999
        pass
    raise ValueError("must be a time with its zone, as 2026-11-22T12:00:00Z; in a URL, + is %2B")


Moment = Annotated[AwareDatetime, BeforeValidator(_moment)]
"""A time in a request, with its offset from UTC."""


class Model(BaseModel):
    """A response, or a part of one."""

    model_config = ConfigDict(frozen=True, defer_build=True)


class Request(BaseModel):
    """A request's body. Unknown fields are errors."""

    model_config = ConfigDict(frozen=True, extra="forbid", defer_build=True)


ABSENT = {"enum": [None]}
"""Schema of a field that is absent or null."""

GIVEN = {"not": ABSENT}
"""Schema of a field that is neither."""


def refused(*bodies: dict[str, Any]) -> dict[str, Any]:
    """Return the schema that refuses a body all of whose fields match those of one of `bodies`.

    For `json_schema_extra`.
    """
    matching = [_with_fields(fields) for fields in bodies]
    return {"not": matching[0] if len(matching) == 1 else {"anyOf": matching}}


def _with_fields(fields: dict[str, Any]) -> dict[str, Any]:
    present = [name for name, schema in fields.items() if schema != ABSENT]
    return ({"required": present} if present else {}) | {"properties": fields}


MAX_FIELD_ERRORS = 20
MAX_FIELD_SHOWN = 100
"""Characters of a field's name that are shown: unknown ones are as long as the sender likes."""


def field_errors(error: ValidationError) -> list[dict[str, str]]:
    """Return what is invalid, as `InvalidRequest.errors`: the first faults, each with its field."""
    details = error.errors(include_url=False, include_input=False, include_context=False)
    return [
        {
            "field": ".".join(str(part) for part in fault["loc"])[:MAX_FIELD_SHOWN] or "body",
            "message": fault["msg"].removeprefix("Value error, "),
        }
        for fault in details[:MAX_FIELD_ERRORS]
    ]


class Page(Request):
    """The part of a list to return."""

    limit: int = Field(50, ge=1, le=200)
    cursor: str | None = Field(
        None, max_length=500, description="`next_cursor` of the previous page"
    )


def by_key(text: str) -> Any:
    """Return the field of a resource that names an API key; `text` says what its request did.

    Events of before migration 0016 do not have it.
    """
    return Field(None, description=f"Name of the API key {text}")
