"""Cabinets and their cells."""

import re
from typing import Annotated, Literal, Self
from uuid import UUID

from pydantic import (
    BeforeValidator,
    ConfigDict,
    Field,
    TypeAdapter,
    WithJsonSchema,
    model_validator,
)

from shared.models.base import (
    ABSENT,
    GIVEN,
    CallerName,
    Model,
    Moment,
    Page,
    Reason,
    Request,
    Text,
    Time,
    by_key,
    refused,
)
from shared.values import DEVICE_ID_SCHEMA, DeviceId, Id

CabinetStatus = Literal["active", "inactive"]


class Coords(Request):
    """WGS 84 coordinates in degrees."""

    lat: float = Field(ge=-90, le=90, allow_inf_nan=False)
    lon: float = Field(ge=-180, le=180, allow_inf_nan=False)


class CabinetRequest(Request):
    """A cabinet to register."""

    model_config = ConfigDict(
        json_schema_extra=refused({"device_id": ABSENT, "cabinet_id": {"not": DEVICE_ID_SCHEMA}})
    )

    cabinet_id: Id
    device_id: DeviceId | None = Field(None, description="The MQTT device; default: cabinet_id")
    coords: Coords
    address: Text | None = None
    cells_total: int = Field(ge=1, le=1000, strict=True)
    protocol: str = Field("native.v1", description="Protocol of the cabinet's messages")

    @model_validator(mode="after")
    def _check_device_id(self) -> Self:
        if self.device_id is None:
            try:
                TypeAdapter(DeviceId).validate_python(self.cabinet_id)
            except ValueError:
                raise ValueError("device_id is needed: this cabinet_id cannot be one") from None
        return self


class CabinetChange(Request):
    """Changes of a cabinet; absent fields stay as they are."""

    model_config = ConfigDict(
        json_schema_extra={
            "minProperties": 1,
            **refused(
                {"suspect": GIVEN, "suspect_reason": ABSENT},
                {"suspect": ABSENT, "suspect_reason": GIVEN},
            ),
        }
    )

    coords: Coords | None = None
    address: Text | None = None
    status: CabinetStatus | None = None
    status_reason: Reason | None = None
    cells_total: int | None = Field(None, ge=1, le=1000, strict=True)
    device_id: DeviceId | None = Field(
        None, description="The MQTT device of a replaced board; the cabinet keeps everything"
    )
    protocol: str | None = Field(None, description="Protocol of the cabinet's messages")
    enrol_until: Moment | None = Field(
        None,
        description="Until then, at most 24 hours ahead, accumulators that nobody has registered "
        "and that this cabinet reports are put in service; null ends it",
    )
    suspect: bool | None = Field(
        None,
        description="Whether the cabinet is not believed when it reports what others hold. false: "
        "what was held back is applied at its next report. Needs `suspect_reason`",
    )
    suspect_reason: Reason | None = None

    @model_validator(mode="after")
    def _check_not_empty(self) -> Self:
        if not self.model_fields_set:
            raise ValueError(f"name at least one of {', '.join(type(self).model_fields)}")
        if (self.suspect is None) != (self.suspect_reason is None):
            raise ValueError("name both suspect and suspect_reason, or neither")
        return self


class Stock(Model):
    """The accumulators in one cabinet."""

    total: int
    available: int = Field(description="Can be issued now and are charged enough")
    held: int = Field(description="Held by unfinished bookings")
    charges: list[int] = Field(description="Known charges, highest first, percent")


class Cabinet(Model):
    """A cabinet and its stock."""

    cabinet_id: str
    device_id: str
    coords: Coords
    address: str | None
    protocol: str
    status: CabinetStatus
    status_reason: str | None
    alarms: list[str] = Field(description="Alarms, as the cabinet names them")
    online: bool
    last_seen_at: Time | None
    enrol_until: Time | None = Field(
        description="Until then it enrols unknown accumulators; null: it does not"
    )
    suspect_since: Time | None = Field(
        None,
        description="Since then it is not believed when it reports what others hold; null: it is",
    )
    suspect_reason: str | None = Field(
        None, description="Why it is suspect, or why an operator cleared it last"
    )
    cells_total: int
    accumulators: Stock
    free_cells: int
    faulty_cells: int
    distance_m: int | None = Field(description="Distance from the query's `near`, metres")
    requested_by: str | None = by_key("that registered it, or changed it last")


class Cell(Model):
    """A cell: its last report, its booking, and whether it may be used."""

    cell_number: int
    door: Literal["open", "closed", "unknown"]
    content: Literal["occupied", "empty", "unidentified", "unknown"]
    accumulator_id: str | None
    battery_charge: int | None
    health: Literal["ok", "faulty", "disabled"]
    health_reason: str | None
    booking_id: UUID | None
    reported_at: Time | None
    requested_by: str | None = by_key("that set `health`; null: the cabinet's reports did")
    held_back_id: str | None = Field(
        None,
        description="The accumulator that it reports although others hold it: not applied, since "
        "the cabinet is suspect",
    )


class CabinetDetails(Cabinet):
    """A cabinet with its board and its cells."""

    firmware: str | None = Field(description="As the board last named it")
    booted_at: Time | None = Field(description="When the board's last start was first heard of")
    reported_at: Time | None = Field(description="When all cells were last reported")
    cells: list[Cell]


class CellChange(Request):
    """Take a cell out of use, or put it back in use."""

    health: Literal["ok", "disabled"]
    reason: Reason


class CabinetPage(Model):
    """A page of cabinets: nearest first if the query has `near`, else by id."""

    cabinets: list[Cabinet]
    next_cursor: str | None


_NEAR = (
    r"^-?(90(\.0+)?|[1-8]?[0-9](\.[0-9]+)?)"
    r", ?-?(180(\.0+)?|(1[0-7][0-9]|[1-9]?[0-9])(\.[0-9]+)?)$"
)


def _coords(value: object) -> object:
    """Turn "lat,lon" into the input of Coords."""
    if not isinstance(value, str):
        return value
    lat, comma, lon = value.partition(",")
    if not comma:
        raise ValueError("must be lat,lon in degrees, as 55.7558,37.6173")
    return {"lat": _degrees(lat), "lon": _degrees(lon.removeprefix(" "))}


def _degrees(text: str) -> str | None:
    """Return a number as _NEAR has it; None, which is no number, for any other text."""
    return text if re.fullmatch(r"-?(0|[1-9][0-9]*)(\.[0-9]+)?", text) else None


class CabinetQuery(Page):
    """Filters of the list of cabinets."""

    near: (
        Annotated[
            Coords, BeforeValidator(_coords), WithJsonSchema({"type": "string", "pattern": _NEAR})
        ]
        | None
    ) = Field(None, description="lat,lon; sorts by distance", examples=["55.7558,37.6173"])
    radius_m: int | None = Field(None, ge=0, le=21_000_000, description="Needs `near`")
    min_charge: int | None = Field(
        None,
        ge=0,
        le=100,
        description="Lowest charge that counts as available; default: MIN_ISSUE_CHARGE",
    )
    min_available: int = Field(0, ge=0, le=1000)
    min_free_cells: int = Field(0, ge=0, le=1000)
    online: bool | None = None
    requested_by: CallerName | None = Field(
        None, description="Registered or changed last by this API key"
    )

    @model_validator(mode="after")
    def _check_radius(self) -> Self:
        if self.radius_m is not None and self.near is None:
            raise ValueError("radius_m needs near")
        return self
