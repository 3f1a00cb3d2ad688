"""What all requests, answers and queries of the HTTP API share.

Models are built when they are first used: a cold start pays for those of its request alone.
"""

from datetime import UTC, datetime
from typing import Annotated

from pydantic import AfterValidator, BaseModel, ConfigDict, Field

Reason = Annotated[str, Field(min_length=1, max_length=500, pattern=r"^[^\x00]+$")]
"""Why a person did it; kept with what was done."""


Text = Annotated[str, Field(max_length=500, pattern=r"^[^\x00]*$")]


Time = Annotated[datetime, AfterValidator(lambda time: time.astimezone(UTC))]
"""A moment, shown in UTC."""


class Model(BaseModel):
    """An answer, or a part of one."""

    model_config = ConfigDict(frozen=True, defer_build=True)


class Request(BaseModel):
    """A request's body: a field that we do not know is an error, not a surprise."""

    model_config = ConfigDict(frozen=True, extra="forbid", defer_build=True)


class Page(Request):
    """Which part of a list."""

    limit: int = Field(50, ge=1, le=200)
    cursor: str | None = Field(None, max_length=500, description="next_cursor of the page before")
