"""What needs a person."""

from shared.commands import registry
from shared.config import Settings
from shared.db import Row, Tx
from shared.models.attention import (
    KINDS,
    MAX_COUNTED,
    Attention,
    AttentionCounts,
    AttentionKind,
    AttentionQuery,
)
from shared.repo import attention


def listing(tx: Tx, query: AttentionQuery, settings: Settings) -> Attention:
    """Return what needs a person, most urgent first, and the counts of all kinds."""
    found = _find(tx, settings, kind=query.kind, limit=query.limit)
    return Attention(items=found["items"], counts=_counts(found))


def total(tx: Tx, settings: Settings) -> int:
    """Return the sum of the counts."""
    return sum(_find(tx, settings, kind=None, limit=0)["counts"].values())


def _find(tx: Tx, settings: Settings, *, kind: AttentionKind | None, limit: int) -> Row:
    opening = [name for name, command in registry().items() if command.cell_result == "opened"]
    return attention.find(
        tx,
        {
            "kind": kind,
            "limit": limit,
            "offline_after": settings.offline_after_seconds,
            "held_hours": settings.held_too_long_hours,
            "opening": opening,
            "most": MAX_COUNTED,
        },
    )


def _counts(found: Row) -> AttentionCounts:
    return AttentionCounts.model_validate({kind: found["counts"].get(kind, 0) for kind in KINDS})
