"""The nouns of the HTTP API, as docs/api.md shows them: requests, answers, queries."""

from datetime import UTC, datetime
from typing import Annotated, Any, Literal, Self
from uuid import UUID

from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    TypeAdapter,
    WithJsonSchema,
    model_validator,
)

from shared.values import CellNumber, Charge, DeviceId, Id

Reason = Annotated[str, Field(min_length=1, max_length=500, pattern=r"^[^\x00]+$")]
"""Why a person did it; kept with what was done."""

Text = Annotated[str, Field(max_length=500, pattern=r"^[^\x00]*$")]

Time = Annotated[datetime, AfterValidator(lambda time: time.astimezone(UTC))]
"""A moment, shown in UTC."""

CabinetStatus = Literal["active", "inactive"]
AccumulatorStatus = Literal["in_service", "quarantined", "missing", "retired"]
BookingKind = Literal["issue", "return"]
BookingStatus = Literal[
    "active",
    "unlocking",
    "returning",
    "completed",
    "partially_completed",
    "failed",
    "cancelled",
    "expired",
]
CommandStatus = Literal[
    "pending",
    "published",
    "succeeded",
    "partially_succeeded",
    "failed",
    "rejected",
    "not_published",
    "no_answer",
    "not_executed",
    "unresolved",
]
Cause = Literal[
    "registered", "issued", "returned", "swapped", "reported", "not_collected", "corrected"
]


class Model(BaseModel):
    """An answer, or a part of one."""

    model_config = ConfigDict(frozen=True)


class Request(BaseModel):
    """A request's body: a field that we do not know is an error, not a surprise."""

    model_config = ConfigDict(frozen=True, extra="forbid")


# --- places -----------------------------------------------------------------------------------


class InCell(Model):
    """In a cell of a cabinet."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    cabinet_id: Id
    cell_number: CellNumber


class WithContractor(Model):
    """In a contractor's bag."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    contractor_id: Id


class InScooter(Model):
    """In a scooter."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    scooter_id: Id


class Nowhere(Request):
    """Nowhere known, as a correction says it."""

    nowhere: Literal[True]


Place = InCell | WithContractor | InScooter
"""Where an accumulator is; None is nowhere known."""


# --- cabinets ---------------------------------------------------------------------------------


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


# --- accumulators -----------------------------------------------------------------------------


class AccumulatorRequest(Request):
    """An accumulator to be registered."""

    accumulator_id: Id
    battery_charge: Charge | None = None
    contractor_id: Id | None = None
    scooter_id: Id | None = None

    @model_validator(mode="after")
    def _is_in_one_place(self) -> Self:
        if self.contractor_id and self.scooter_id:
            raise ValueError("name contractor_id or scooter_id, not both")
        return self


class AccumulatorChange(Request):
    """A person's correction; a field that is absent stays."""

    status: AccumulatorStatus | None = None
    place: InCell | WithContractor | InScooter | Nowhere | None = None
    battery_charge: Charge | None = None
    reason: Reason

    @model_validator(mode="after")
    def _says_something(self) -> Self:
        if self.model_fields_set <= {"reason"}:
            raise ValueError("name at least one of status, place, battery_charge")
        if self.status == "retired":
            raise ValueError("retire an accumulator with DELETE")
        return self


class Accumulator(Model):
    """An accumulator and where it is."""

    accumulator_id: str
    place: Place | None
    cabinet_id: str | None
    cell_number: int | None
    contractor_id: str | None
    scooter_id: str | None
    battery_charge: int | None
    charge_at: Time | None = Field(description="Since when this charge is known")
    state_of_health: int | None
    status: AccumulatorStatus


class AccumulatorPage(Model):
    """Accumulators by id."""

    accumulators: list[Accumulator]
    next_cursor: str | None


class Movement(Model):
    """One link of an accumulator's chain of custody."""

    model_config = ConfigDict(frozen=True, populate_by_name=True)

    movement_id: int
    accumulator_id: str
    at: Time
    cause: Cause
    from_: Place | None = Field(alias="from")
    to: Place | None
    battery_charge: int | None
    booking_id: UUID | None
    command_id: UUID | None
    swap_id: UUID | None
    discrepancy: bool
    reason: str | None


class MovementPage(Model):
    """The chain of custody, newest first."""

    movements: list[Movement]
    next_cursor: str | None


# --- bookings ---------------------------------------------------------------------------------


class BookingRequest(Request):
    """What a contractor will come for."""

    cabinet_id: Id
    contractor_id: Id
    kind: BookingKind
    count: int = Field(ge=1, le=50, strict=True)
    min_charge: Charge | None = Field(None, description="Percent; the setting unless given")
    allow_partial: bool = Field(default=False, description="As many as there are, at least one")

    @model_validator(mode="after")
    def _charge_is_for_issue(self) -> Self:
        if self.kind == "return" and self.min_charge is not None:
            raise ValueError("min_charge is for kind issue")
        return self


class BookingCell(Model):
    """A cell of a booking."""

    cell_number: int
    accumulator_id: str | None
    battery_charge: int | None
    state: Literal["held", "opened", "inserted", "failed", "released"]
    reason: str | None


class Booking(Model):
    """Accumulators or empty cells that are held for a contractor."""

    booking_id: UUID
    cabinet_id: str
    contractor_id: str
    kind: BookingKind
    status: BookingStatus
    requested: int
    min_charge: int | None
    expires_at: Time
    created_at: Time
    command_id: UUID | None
    cells: list[BookingCell]


class BookingPage(Model):
    """Bookings, newest first."""

    bookings: list[Booking]
    next_cursor: str | None


class CellResult(Model):
    """What became of one cell of a command."""

    cell_number: int
    accumulator_id: str | None = None
    battery_charge: int | None = None
    result: str


class Unlock(Model):
    """What the cabinet did for a booking."""

    booking_id: UUID
    command_id: UUID
    status: BookingStatus
    cells: list[CellResult]
    late: bool


class Command(Model):
    """A command and what became of it."""

    command_id: UUID
    cabinet_id: str | None
    kind: str
    status: CommandStatus
    booking_id: UUID | None
    payload: dict[str, Any]
    cells: list[CellResult]
    created_at: Time
    published_at: Time | None
    finished_at: Time | None
    late: bool
    inferred: bool
    reason: str | None


# --- swaps ------------------------------------------------------------------------------------


class SwapRequest(Request):
    """What a contractor did at a scooter."""

    scooter_id: Id
    contractor_id: Id
    installed_accumulator_id: Id
    removed_accumulator_id: Id | None = None
    removed_battery_charge: Charge | None = None
    reconcile: bool = Field(
        default=False, description="Record it as the fact it is, whatever was thought before"
    )

    @model_validator(mode="after")
    def _names_two(self) -> Self:
        if self.installed_accumulator_id == self.removed_accumulator_id:
            raise ValueError("the installed and the removed accumulator are the same")
        if self.removed_battery_charge is not None and self.removed_accumulator_id is None:
            raise ValueError("removed_battery_charge needs removed_accumulator_id")
        return self


class Swap(Model):
    """A swap that was recorded."""

    swap_id: UUID
    scooter_id: str
    contractor_id: str
    installed: Accumulator
    removed: Accumulator | None
    at: Time


# --- health and statistics --------------------------------------------------------------------


class Health(Model):
    """Whether the service can do its work."""

    status: Literal["ok", "unavailable"]
    database: Literal["ok", "unavailable"]
    queue: Literal["ok", "unavailable"]

    @classmethod
    def of(cls, *, database: bool, queue: bool) -> Self:
        """Health by what answers."""
        return cls(
            status="ok" if database and queue else "unavailable",
            database="ok" if database else "unavailable",
            queue="ok" if queue else "unavailable",
        )


class CabinetStock(Model):
    """One cabinet's line of the statistics."""

    cabinet_id: str
    accumulators: int
    available: int
    charge_mean: float | None
    charge_min: int | None


class AnswerTimes(Model):
    """How long cabinets took to answer commands in the last 24 hours, milliseconds."""

    count: int
    median_ms: float | None
    p99_ms: float | None
    max_ms: float | None


class Violation(Model):
    """An invariant that does not hold: a fault of the service that a person must look at."""

    invariant: str
    subject: str
    detail: str


class Audit(Model):
    """Whether the invariants of the domain hold."""

    ok: bool
    violations: list[Violation]


class Stats(Model):
    """The service in numbers."""

    cabinets: list[CabinetStock]
    contractors: dict[str, int] = Field(description="Accumulators with each contractor")
    places: dict[str, int] = Field(description="Accumulators by kind of place")
    bookings: dict[str, int] = Field(description="Bookings of the last 24 hours by status")
    commands: dict[str, int] = Field(description="Commands of the last 24 hours by status")
    answer_times: AnswerTimes
    anomalies: dict[str, int] = Field(description="Anomalies of the last 24 hours by reason")
    audit: Audit


# --- queries ----------------------------------------------------------------------------------


class Page(Request):
    """Which part of a list."""

    limit: int = Field(50, ge=1, le=200)
    cursor: str | None = Field(None, max_length=500, description="next_cursor of the page before")


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


class AccumulatorQuery(Page):
    """Which accumulators."""

    contractor_id: Id | None = None
    cabinet_id: Id | None = None
    scooter_id: Id | None = None
    status: AccumulatorStatus | None = None
    min_charge: int | None = Field(None, ge=0, le=100)


class BookingQuery(Page):
    """Which bookings."""

    cabinet_id: Id | None = None
    contractor_id: Id | None = None
    status: BookingStatus | None = None
