"""The service's health and numbers."""

from typing import Literal, Self

from pydantic import Field

from shared.models.base import Model


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
