"""The fleet at a glance, and its history."""

from collections.abc import Sequence

from shared.config import Settings
from shared.db import Row, Tx
from shared.models.overview import (
    MAX_POINTS,
    CabinetColumns,
    History,
    HistoryQuery,
    Overview,
    OverviewQuery,
    PlaceCounts,
)
from shared.repo import history, overview
from shared.services import attention

_STEPS_S = (60, 120, 300, 600, 900, 1800, 3600)
"""Lengths of a step: they divide an hour, and a sample is taken once a minute."""


def describe(tx: Tx, query: OverviewQuery, settings: Settings) -> Overview:
    """Return the cabinets as columns, where accumulators are, and how much needs a person."""
    rows = overview.cabinets(
        tx,
        cabinet_ids=query.cabinet_ids,
        min_charge=settings.min_issue_charge,
        offline_after=settings.offline_after_seconds,
    )
    places = overview.places(tx)
    return Overview(
        cabinets=_columns(rows),
        places=PlaceCounts.model_validate(places),
        needs_a_person=attention.total(tx, settings),
        at=places["at"],
    )


def _columns(rows: Sequence[Row]) -> CabinetColumns:
    names = CabinetColumns.model_fields
    return CabinetColumns.model_validate({name: [row[name] for row in rows] for name in names})


def past(tx: Tx, query: HistoryQuery) -> History:
    """Return the stock and the unlocks of the last hours, in steps that all points fit in."""
    step_s = step_of(query.hours)
    return History(
        step_s=step_s,
        stock=history.stock(tx, hours=query.hours, step_s=step_s),
        unlocks=history.unlocks(tx, hours=query.hours, step_s=step_s),
    )


def step_of(hours: int) -> int:
    """Return the length of a step, seconds: the period touches one step more than it is long."""
    return next(step for step in _STEPS_S if hours * 3600 // step < MAX_POINTS)
