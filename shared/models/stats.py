"""Health and statistics of the service."""

from typing import Literal, Self

from pydantic import Field

from shared.callers import Scope
from shared.models.base import Model


class Liveness(Model):
    """The API is served."""

    status: Literal["ok"] = "ok"


class Readiness(Model):
    """Whether the service can work."""

    status: Literal["ok", "unavailable"]
    database: Literal["ok", "unavailable"]
    queue: Literal["ok", "unavailable"]

    @classmethod
    def of(cls, *, database: bool, queue: bool) -> Self:
        """Build it from what can be reached."""
        return cls(
            status="ok" if database and queue else "unavailable",
            database="ok" if database else "unavailable",
            queue="ok" if queue else "unavailable",
        )


class ApiKey(Model):
    """The API key of a request."""

    caller: str = Field(description="The key's name")
    scope: Scope


class CabinetStock(Model):
    """Stock of one cabinet."""

    cabinet_id: str
    accumulators: int
    available: int
    charge_mean: float | None
    charge_min: int | None


class AnswerTimes(Model):
    """Response times of cabinets to commands in the last 24 hours, milliseconds."""

    count: int
    median_ms: float | None
    p99_ms: float | None
    max_ms: float | None


class Violation(Model):
    """A violated invariant: a fault of the service that needs attention."""

    invariant: str
    subject: str
    detail: str


class Audit(Model):
    """Whether the invariants of the domain hold."""

    ok: bool
    violations: list[Violation]


class Stats(Model):
    """Statistics of the service."""

    cabinets: list[CabinetStock]
    contractors: dict[str, int] = Field(description="Accumulators with each contractor")
    places: dict[str, int] = Field(description="Accumulators by kind of place")
    bookings: dict[str, int] = Field(description="Bookings of the last 24 hours by status")
    commands: dict[str, int] = Field(description="Commands of the last 24 hours by status")
    answer_times: AnswerTimes
    anomalies: dict[str, int] = Field(description="Anomalies of the last 24 hours by reason")
    audit: Audit
