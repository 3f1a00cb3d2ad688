"""The fleet at a glance: each cabinet in numbers, where accumulators are, and its history."""

import re
from typing import Annotated

from pydantic import BeforeValidator, Field, WithJsonSchema

from shared.models.base import Model, Request, Time

MAX_CABINETS = 100
"""Cabinets that one request can name."""

MAX_POINTS = 300
"""Points of one series of the history."""

MAX_HOURS = 168


_ID = "[A-Za-z0-9._:-]{1,64}"
_IDS = f"{_ID}(,{_ID}){{0,{MAX_CABINETS - 1}}}"


def _listed(value: object) -> object:
    """Split "a,b" into ids."""
    if isinstance(value, str) and not re.fullmatch(_IDS, value):
        raise ValueError(f"must be up to {MAX_CABINETS} ids, comma-separated")
    return value.split(",") if isinstance(value, str) else value


CabinetIds = Annotated[
    list[str],
    BeforeValidator(_listed),
    WithJsonSchema({"type": "string", "pattern": f"^{_IDS}$"}),
]
"""Ids of cabinets in a query string, comma-separated."""


class OverviewQuery(Request):
    """The cabinets of an overview."""

    cabinet_ids: CabinetIds | None = Field(
        None,
        description=f"Comma-separated, up to {MAX_CABINETS}; default: all cabinets",
        examples=["C-001,C-002"],
    )


class CabinetColumns(Model):
    """Cabinets as columns: the nth value of each list belongs to the nth cabinet, by id."""

    cabinet_id: list[str]
    lat: list[float] = Field(description="Degrees, rounded to 5 digits: about a metre")
    lon: list[float]
    active: list[bool] = Field(description="Whether the cabinet's status is `active`")
    online: list[bool]
    alarms: list[int] = Field(description="Number of alarms")
    ready: list[int] = Field(description="`accumulators.available` of `GET /v1/cabinets`")
    free: list[int] = Field(description="`free_cells` of `GET /v1/cabinets`")
    faulty: list[int] = Field(description="`faulty_cells` of `GET /v1/cabinets`")
    accumulators: list[int] = Field(description="Accumulators in the cabinet")
    cells_total: list[int]
    last_seen_at: list[Time | None] = Field(
        description="To the second; null while the cabinet is online, and if it was never seen"
    )
    firmware: list[str | None]


class PlaceCounts(Model):
    """Accumulators that are not retired, by kind of place."""

    cabinet: int
    contractor: int
    scooter: int
    unknown: int


class Overview(Model):
    """The fleet at a glance."""

    cabinets: CabinetColumns
    places: PlaceCounts
    needs_a_person: int = Field(description="The sum of `counts` of `GET /v1/attention`")
    at: Time = Field(description="When this was read; not part of the ETag")


class HistoryQuery(Request):
    """The period of the history."""

    hours: int = Field(24, ge=1, le=MAX_HOURS, description="Length of the period until now")


class StockPoint(Model):
    """The last sample of the active cabinets in one step."""

    at: Time = Field(description="The beginning of the step")
    ready: int = Field(description="Accumulators that can be issued and are charged enough")
    free: int = Field(description="Cells that an accumulator can be returned into")
    online: int = Field(description="Active cabinets that are online")
    active: int = Field(description="Cabinets whose status is `active`")


class UnlockPoint(Model):
    """The unlock commands that were created in one step."""

    at: Time = Field(description="The beginning of the step")
    count: int
    failed: int = Field(description="Ended, or passed their deadline, without opening any cell")
    p50_ms: float | None = Field(
        description="Median response time of the cabinets, milliseconds; null without a response"
    )
    p99_ms: float | None


class History(Model):
    """The stock and the unlocks of a period, oldest first; a step with nothing has no point."""

    step_s: int = Field(description="Length of a step, seconds")
    stock: list[StockPoint] = Field(
        max_length=MAX_POINTS, description="Sampled once a minute, kept for 31 days"
    )
    unlocks: list[UnlockPoint] = Field(max_length=MAX_POINTS)
