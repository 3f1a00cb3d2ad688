"""Cabinets and cells: register, describe, take out of use."""

from collections.abc import Mapping
from typing import Annotated, Any

from pydantic import Field

from shared import cursor
from shared.config import Settings
from shared.db import Tx
from shared.errors import (
    CabinetExists,
    CabinetNotEmpty,
    CabinetNotFound,
    CellNotFound,
    InvalidRequest,
)
from shared.models.cabinets import (
    Cabinet,
    CabinetChange,
    CabinetDetails,
    CabinetPage,
    CabinetQuery,
    CabinetRequest,
    Cell,
    CellChange,
)
from shared.protocols import codecs
from shared.repo import cabinets, cells
from shared.values import Id

Distance = Annotated[int, Field(ge=0, le=21_000_000)]

_EVERYTHING = {
    "lat": None,
    "lon": None,
    "radius_m": None,
    "min_available": 0,
    "min_free_cells": 0,
    "online": None,
    "cabinet_id": None,
    "after_away_m": None,
    "after_id": None,
    "limit": 1,
}


def register(tx: Tx, request: CabinetRequest, settings: Settings) -> CabinetDetails:
    """Make a cabinet and its cells known. It is offline until it is heard of."""
    if request.protocol not in codecs():
        raise InvalidRequest(
            errors=[{"field": "protocol", "message": f"one of {', '.join(sorted(codecs()))}"}]
        )
    if not cabinets.insert(tx, request):
        raise CabinetExists
    return get(tx, request.cabinet_id, settings)


def get(tx: Tx, cabinet_id: str, settings: Settings) -> CabinetDetails:
    """One cabinet with its cells."""
    rows = cabinets.describe(tx, {**_common(settings), "cabinet_id": cabinet_id})
    if not rows:
        raise CabinetNotFound
    return CabinetDetails.model_validate(
        {**_shown(rows[0]), "cells": cells.describe(tx, cabinet_id)}
    )


def listing(tx: Tx, query: CabinetQuery, settings: Settings) -> CabinetPage:
    """Which cabinet has how many: nearest first if the query says `near`, else by id."""
    after_away_m, after_id = cursor.decode(query.cursor, Distance, Id)
    asked = {
        **_common(settings),
        **query.model_dump(exclude={"near", "cursor", "min_charge"}),
        "after_away_m": after_away_m,
        "after_id": after_id,
    }
    if query.near is not None:
        asked |= query.near.model_dump()
    if query.min_charge is not None:
        asked["min_charge"] = query.min_charge
    rows = cabinets.describe(tx, asked)
    page = rows[: query.limit]
    last = page[-1] if len(rows) > query.limit else None
    return CabinetPage(
        cabinets=[Cabinet.model_validate(_shown(row)) for row in page],
        next_cursor=cursor.encode(last["away_m"], last["cabinet_id"]) if last else None,
    )


def change(tx: Tx, cabinet_id: str, wanted: CabinetChange, settings: Settings) -> CabinetDetails:
    """Change what the request names."""
    cabinets.lock(tx, [cabinet_id])
    if not cabinets.update(tx, cabinet_id, wanted):
        raise CabinetNotFound
    return get(tx, cabinet_id, settings)


def remove(tx: Tx, cabinet_id: str) -> None:
    """Forget a cabinet that holds nothing. The ledger stays."""
    if not cabinets.lock(tx, [cabinet_id]):
        raise CabinetNotFound
    if cabinets.busy(tx, cabinet_id):
        raise CabinetNotEmpty
    cabinets.delete(tx, cabinet_id)


def change_cell(tx: Tx, cabinet_id: str, cell_number: int, wanted: CellChange) -> Cell:
    """Take a cell out of use, or put it back. What is held in it is re-checked at the unlock."""
    if not cabinets.lock(tx, [cabinet_id]):
        raise CabinetNotFound
    if not cells.set_health(tx, cabinet_id, [cell_number], wanted.health, wanted.reason):
        raise CellNotFound
    [row] = cells.describe(tx, cabinet_id, cell_number)
    return Cell.model_validate(row)


def _common(settings: Settings) -> dict[str, Any]:
    return {
        **_EVERYTHING,
        "min_charge": settings.min_issue_charge,
        "offline_after": settings.offline_after_seconds,
    }


def _shown(row: Mapping[str, Any]) -> dict[str, Any]:
    stock = {name: row[name] for name in ("total", "available", "held", "charges")}
    return {**row, "coords": {"lat": row["lat"], "lon": row["lon"]}, "accumulators": stock}
