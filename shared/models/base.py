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
    WithJsonSchema,
)

Reason = Annotated[str, Field(min_length=1, max_length=500, pattern=r"^[^\x00]+$")]
"""Why a person did it; stored with the change."""


Text = Annotated[str, Field(max_length=500, pattern=r"^[^\x00]*$")]


Time = Annotated[datetime, AfterValidator(lambda time: time.astimezone(UTC))]
"""A time, shown in UTC."""


def _rfc_3339(value: object) -> object:
    """Refuse what pydantic would also read: a number of seconds, a date, a time without a zone."""
    form = r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d{1,9})?(Z|[+-]\d\d:\d\d)"
    if not re.fullmatch(form, str(value), re.ASCII):
        raise ValueError("must be a time with its zone, as 2026-11-22T12:00:00Z; write + as %2B")
    return value


Instant = Annotated[
    AwareDatetime,
    BeforeValidator(_rfc_3339),
    WithJsonSchema({"type": "string", "format": "date-time"}),
]
"""A time in a query."""


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


def refused(**fields: Any) -> dict[str, Any]:
    """Return the schema that refuses a body whose fields all match, for `json_schema_extra`."""
    present = [name for name, schema in fields.items() if schema != ABSENT]
    return {"not": {"required": present, "properties": fields}}


class Page(Request):
    """The part of a list to return."""

    limit: int = Field(50, ge=1, le=200)
    cursor: str | None = Field(
        None, max_length=500, description="`next_cursor` of the previous page"
    )
