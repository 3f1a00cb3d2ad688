"""Cabinets and cells: register, look up, change, remove."""

from collections.abc import Mapping
from typing import Annotated, Any

from pydantic import Field

from shared import cursor, states
from shared.config import Settings
from shared.db import Tx
from shared.errors import (
    CabinetExists,
    CabinetNotEmpty,
    CabinetNotFound,
    CellNotFound,
    CellsInUse,
    DeviceExists,
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

_NO_CONDITION = {
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
    """Register a cabinet and its cells. It is offline until its first message."""
    _check_protocol(request.protocol)
    if not cabinets.insert(tx, request):
        raise CabinetExists
    return get(tx, request.cabinet_id, settings)


def get(tx: Tx, cabinet_id: str, settings: Settings) -> CabinetDetails:
    """Return one cabinet with its cells."""
    rows = cabinets.describe(tx, {**_defaults(settings), "cabinet_id": cabinet_id})
    if not rows:
        raise CabinetNotFound
    return CabinetDetails.model_validate(
        {**_fields_of(rows[0]), "cells": cells.describe(tx, cabinet_id)}
    )


def listing(tx: Tx, query: CabinetQuery, settings: Settings) -> CabinetPage:
    """Return cabinets with their stock: nearest first if the query has `near`, else by id."""
    after_away_m, after_id = cursor.decode(query.cursor, Distance, Id)
    conditions = {
        **_defaults(settings),
        **query.model_dump(exclude={"near", "cursor", "min_charge"}),
        "after_away_m": after_away_m,
        "after_id": after_id,
    }
    if query.near is not None:
        conditions |= query.near.model_dump()
    if query.min_charge is not None:
        conditions["min_charge"] = query.min_charge
    rows = cabinets.describe(tx, conditions)
    page = rows[: query.limit]
    last = page[-1] if len(rows) > query.limit else None
    return CabinetPage(
        cabinets=[record(row) for row in page],
        next_cursor=cursor.encode(last["away_m"], last["cabinet_id"]) if last else None,
    )


def record(row: Mapping[str, Any]) -> Cabinet:
    """Return a cabinet as the API shows it."""
    return Cabinet.model_validate(_fields_of(row))


def change(tx: Tx, cabinet_id: str, request: CabinetChange, settings: Settings) -> CabinetDetails:
    """Change the fields that the request names."""
    locked = cabinets.lock(tx, [cabinet_id])
    if not locked:
        raise CabinetNotFound
    before = locked[0]
    if request.status is not None:
        states.CABINET.changed_to(before["status"], request.status)
    if request.protocol is not None:
        _check_protocol(request.protocol)
    if request.cells_total is not None:
        _resize(tx, cabinet_id, request.cells_total)
    if request.device_id not in {None, before["device_id"]}:
        if cabinets.of_devices(tx, [request.device_id]):
            raise DeviceExists
        cabinets.start_again(tx, cabinet_id)
    cabinets.update(tx, cabinet_id, request)
    return get(tx, cabinet_id, settings)


def _resize(tx: Tx, cabinet_id: str, cells_total: int) -> None:
    """Give a cabinet more cells, or fewer: those that go must be closed, empty and not held."""
    if in_use := cells.in_use_above(tx, cabinet_id, cells_total):
        raise CellsInUse(cells=in_use)
    cells.resize(tx, cabinet_id, cells_total)


def _check_protocol(name: str) -> None:
    if name not in codecs():
        message = f"must be one of {', '.join(sorted(codecs()))}"
        raise InvalidRequest(errors=[{"field": "protocol", "message": message}])


def remove(tx: Tx, cabinet_id: str) -> None:
    """Remove an empty cabinet with nothing unfinished. The ledger stays."""
    if not cabinets.lock(tx, [cabinet_id]):
        raise CabinetNotFound
    if cabinets.busy(tx, cabinet_id):
        raise CabinetNotEmpty
    cabinets.delete(tx, cabinet_id)


def change_cell(tx: Tx, cabinet_id: str, cell_number: int, request: CellChange) -> Cell:
    """Take a cell out of use, or put it back. The unlock checks again whether it can be opened."""
    if not cabinets.lock(tx, [cabinet_id]):
        raise CabinetNotFound
    if not cells.set_health(tx, cabinet_id, [cell_number], request.health, request.reason):
        raise CellNotFound
    [row] = cells.describe(tx, cabinet_id, cell_number)
    return Cell.model_validate(row)


def _defaults(settings: Settings) -> dict[str, Any]:
    return {
        **_NO_CONDITION,
        "min_charge": settings.min_issue_charge,
        "offline_after": settings.offline_after_seconds,
    }


def _fields_of(row: Mapping[str, Any]) -> dict[str, Any]:
    stock = {name: row[name] for name in ("total", "available", "held", "charges")}
    return {**row, "coords": {"lat": row["lat"], "lon": row["lon"]}, "accumulators": stock}
