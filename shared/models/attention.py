"""What needs a person."""

from typing import Literal, get_args
from uuid import UUID

from pydantic import Field

from shared.models.base import Model, Request, Time

AttentionKind = Literal[
    "cabinet_alarm",
    "cabinet_suspect",
    "cabinet_offline",
    "command_unresolved",
    "accumulator_missing",
    "anomaly",
    "held_too_long",
    "accumulator_quarantined",
    "cell_faulty",
    "cell_disabled",
]
"""Most urgent first."""

KINDS: tuple[AttentionKind, ...] = get_args(AttentionKind)

MAX_COUNTED = 1000
"""Items of one kind that are counted and listed."""


class AttentionQuery(Request):
    """Filters of the list of what needs a person."""

    kind: AttentionKind | None = None
    limit: int = Field(200, ge=1, le=500)


class AttentionItem(Model):
    """Something that a person has to look at; ids that do not apply are null."""

    kind: AttentionKind
    since: Time | None = Field(description="null: not known, sorted as the oldest")
    cabinet_id: str | None = None
    cell_number: int | None = None
    accumulator_id: str | None = None
    contractor_id: str | None = None
    command_id: UUID | None = None
    anomaly_id: int | None = None
    detail: str


class AttentionCounts(Model):
    """Items of each kind: exact up to 1,000, and 1,000 if there are more."""

    cabinet_alarm: int = Field(description="Active cabinets with alarms")
    cabinet_suspect: int = Field(
        description="Cabinets that claimed what others hold, and are not believed about it"
    )
    cabinet_offline: int = Field(description="Active cabinets that are not online")
    command_unresolved: int = Field(description="Unlocks without a known outcome")
    accumulator_missing: int
    anomaly: int = Field(
        description="Anomalies that nobody has acknowledged, without `inserted_without_booking`: "
        "that happens every day"
    )
    held_too_long: int = Field(
        description="Contractors who have had an accumulator for longer than HELD_TOO_LONG_HOURS"
    )
    accumulator_quarantined: int
    cell_faulty: int
    cell_disabled: int = Field(description="Disabled for another reason than an unresolved unlock")


class Attention(Model):
    """What needs a person: by kind in the order of `counts`, the oldest of a kind first."""

    items: list[AttentionItem]
    counts: AttentionCounts
