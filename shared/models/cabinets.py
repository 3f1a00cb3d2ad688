"""Cabinets and their cells."""

from typing import Annotated, Literal, Self
from uuid import UUID

from pydantic import BeforeValidator, Field, TypeAdapter, WithJsonSchema, model_validator

from shared.models.base import Model, Page, Reason, Request, Text, Time
from shared.values import DeviceId, Id

CabinetStatus = Literal["active", "inactive"]


class Coords(Request):
    """WGS 84, degrees."""

    lat: float = Field(ge=-90, le=90, allow_inf_nan=False)
    lon: float = Field(ge=-180, le=180, allow_inf_nan=False)


class CabinetRequest(Request):
    """A cabinet to be registered."""

    cabinet_id: Id
    device_id: DeviceId | None = Field(None, description="The MQTT device; cabinet_id unless given")
    coords: Coords
    address: Text | None = None
    cells_total: int = Field(ge=1, le=1000, strict=True)
    protocol: str = Field("native.v1", description="What the cabinet speaks")

    @model_validator(mode="after")
    def _has_a_device(self) -> Self:
        if self.device_id is None:
            try:
                TypeAdapter(DeviceId).validate_python(self.cabinet_id)
            except ValueError:
                raise ValueError("name a device_id: this cabinet_id cannot be one") from None
        return self


class CabinetChange(Request):
    """What to change; a field that is absent stays."""

    coords: Coords | None = None
    address: Text | None = None
    status: CabinetStatus | None = None
    status_reason: Reason | None = None

    @model_validator(mode="after")
    def _says_something(self) -> Self:
        if not self.model_fields_set:
            raise ValueError("name at least one of coords, address, status, status_reason")
        return self


class Stock(Model):
    """The accumulators in one cabinet."""

    total: int
    available: int = Field(description="Can be issued now, charged enough")
    held: int = Field(description="Held by unfinished bookings")
    charges: list[int] = Field(description="Known charges, highest first, percent")


class Cabinet(Model):
    """A cabinet and what it has."""

    cabinet_id: str
    device_id: str
    coords: Coords
    address: str | None
    protocol: str
    status: CabinetStatus
    status_reason: str | None
    alarms: list[str] = Field(description="What the cabinet warns of, as it names it")
    online: bool
    last_seen_at: Time | None
    cells_total: int
    accumulators: Stock
    free_cells: int
    faulty_cells: int
    distance_m: int | None = Field(description="From the query's `near`, metres")


class Cell(Model):
    """A cell: what the hardware said last, who holds it, and whether it may be used."""

    cell_number: int
    door: Literal["open", "closed", "unknown"]
    content: Literal["occupied", "empty", "unidentified", "unknown"]
    accumulator_id: str | None
    battery_charge: int | None
    health: Literal["ok", "faulty", "disabled"]
    health_reason: str | None
    booking_id: UUID | None
    reported_at: Time | None


class CabinetDetails(Cabinet):
    """A cabinet with its cells."""

    cells: list[Cell]


class CellChange(Request):
    """Take a cell out of use, or put it back."""

    health: Literal["ok", "disabled"]
    reason: Reason


class CabinetPage(Model):
    """Cabinets, nearest first if the query says `near`, else by id."""

    cabinets: list[Cabinet]
    next_cursor: str | None


def _coords(value: object) -> object:
    """Make "lat,lon" what Coords takes."""
    if not isinstance(value, str):
        return value
    lat, comma, lon = value.partition(",")
    if not comma:
        raise ValueError("must be lat,lon in degrees, as 55.7558,37.6173")
    return {"lat": lat, "lon": lon}


class CabinetQuery(Page):
    """Which cabinets."""

    near: Annotated[Coords, BeforeValidator(_coords), WithJsonSchema({"type": "string"})] | None = (
        Field(None, description="lat,lon: nearest first", examples=["55.7558,37.6173"])
    )
    radius_m: int | None = Field(None, ge=0, le=21_000_000, description="Needs `near`")
    min_charge: int | None = Field(
        None, ge=0, le=100, description="What counts as available; the setting unless given"
    )
    min_available: int = Field(0, ge=0, le=1000)
    min_free_cells: int = Field(0, ge=0, le=1000)
    online: bool | None = None

    @model_validator(mode="after")
    def _radius_needs_near(self) -> Self:
        if self.radius_m is not None and self.near is None:
            raise ValueError("radius_m needs near")
        return self
