"""Reads files of fleets from texts."""

from typing import Any

from tools.fleet.check import check
from tools.fleet.file import form_of
from tools.fleet.records import Checked, Form

CABINET = {"cabinet_id": "C-1", "coords": {"lat": 55.75, "lon": 37.62}, "cells_total": 12}
ROW = "C-1,55.75,37.62,12"
HEADER = "cabinet_id,lat,lon,cells_total"


def form(content: str, suffix: str = ".csv") -> Form:
    return form_of(content, suffix)


def checked(content: str, suffix: str = ".csv") -> Checked:
    return check(form(content, suffix).records)


def bodies(content: str, suffix: str = ".csv") -> list[dict[str, Any]]:
    """Return what would be sent; nothing may have failed."""
    found = checked(content, suffix)
    assert found.failures == []
    return [dict(item.body) for item in found.items]


def faults(content: str, suffix: str = ".csv") -> list[tuple[str, str]]:
    """Return the place of each fault, and its text."""
    return [
        (failure.record.where, str(fault))
        for failure in checked(content, suffix).failures
        for fault in failure.faults
    ]
