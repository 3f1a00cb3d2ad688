"""Anomalies: messages that could not be applied, and unexpected facts."""

from collections.abc import Mapping
from typing import Annotated, Any, Self

from pydantic import Field

from shared.models.base import CallerName, Model, Page, Reason, Request, Time
from shared.values import AccumulatorId, Id

MAX_PAYLOAD = 2000
"""Characters of a message that are shown."""

AnomalyReason = Annotated[str, Field(min_length=1, max_length=64, pattern=r"^[a-z_]+$")]


class Acknowledgement(Model):
    """Who has seen an anomaly."""

    by: str = Field(description="The name of the API key")
    at: Time
    note: str


class AnomalyRecord(Model):
    """Something unexpected, and how often a device has reported it."""

    anomaly_id: int
    reason: str
    detail: str
    cabinet_id: str | None
    device_id: str | None
    accumulator_id: str | None = Field(description="The accumulator concerned, if it is one")
    first_at: Time
    at: Time = Field(description="The last time")
    count: int
    open: bool = Field(description="Not acknowledged, or repeated since")
    acknowledged: Acknowledgement | None = Field(description="The last acknowledgement")

    @classmethod
    def of(cls, row: Mapping[str, Any]) -> Self:
        """Build it from a row of `anomalies`."""
        names = ("by", "at", "note")
        seen = {name: row[f"acknowledged_{name}"] for name in names}
        return cls.model_validate({**row, "acknowledged": seen if seen["at"] is not None else None})


class Anomaly(AnomalyRecord):
    """An anomaly and its last message."""

    payload: str = Field(
        description=f"The beginning of the last message, up to {MAX_PAYLOAD:,} characters;"
        " bytes that are not UTF-8 are shown as \\xff, characters that are invisible as \\u200b"
    )
    payload_bytes: int = Field(description="The size of the whole message")

    @classmethod
    def of(cls, row: Mapping[str, Any]) -> Self:
        """Build it from a row of `anomalies`."""
        return super().of({**row, "payload": _shown(bytes(row["payload"]))})


def _shown(payload: bytes) -> str:
    """Return a message as text that can be shown anywhere."""
    text = payload.decode(errors="backslashreplace")
    return "".join(c if c.isprintable() or c in "\n\t" else _escaped(c) for c in text)[:MAX_PAYLOAD]


def _escaped(character: str) -> str:
    return character.encode("unicode_escape").decode()


class AnomalyPage(Model):
    """A page of anomalies: the one that occurred last comes first."""

    anomalies: list[Anomaly]
    next_cursor: str | None


class AnomalyQuery(Page):
    """Filters of the list of anomalies."""

    reason: AnomalyReason | None = None
    cabinet_id: Id | None = None
    accumulator_id: AccumulatorId | None = None
    open: bool | None = Field(None, description="Not acknowledged, or repeated since")
    requested_by: CallerName | None = Field(
        None, description="Whose last acknowledgement is by this API key"
    )


class AcknowledgeRequest(Request):
    """What the person who has seen the anomaly found out, or did."""

    note: Reason
