"""Cabinets and cells: register, look up, change, remove."""

import re
from collections.abc import Iterable, Mapping
from datetime import timedelta
from typing import Annotated, Any, NamedTuple

from pydantic import Field

from shared import cursor, states
from shared.config import Settings
from shared.db import Row, Tx
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
from shared.services import nearest
from shared.values import Id

Distance = Annotated[int, Field(ge=0, le=21_000_000)]

ENROLMENT = timedelta(hours=24)
"""How long a cabinet can enrol accumulators, from when an operator says so."""

_NULLABLE = {"address", "status_reason", "enrol_until"}
"""Fields of a change whose null is a value; any other null changes nothing."""

_SHOWN_CELLS = 20

_NO_CONDITION = {
    "lat": None,
    "lon": None,
    "radius_m": None,
    "area": None,
    "min_available": 0,
    "min_free_cells": 0,
    "online": None,
    "requested_by": None,
    "cabinet_id": None,
    "after_away_m": None,
    "after_id": None,
    "limit": 1,
}


def register(tx: Tx, request: CabinetRequest, settings: Settings) -> CabinetDetails:
    """Register a cabinet and its cells. It is offline until its first message."""
    check_protocol(request.protocol)
    row = new_row(request)
    check_device_id(row["device_id"], settings)
    cabinets.lock_devices(tx)
    if not cabinets.insert(tx, [row]):
        raise CabinetExists
    return get(tx, request.cabinet_id, settings)


def new_row(request: CabinetRequest) -> Row:
    """Return the row of a cabinet that is to be registered."""
    return {
        **request.model_dump(exclude={"coords"}),
        **request.coords.model_dump(),
        "device_id": request.device_id or request.cabinet_id,
    }


def get(tx: Tx, cabinet_id: str, settings: Settings) -> CabinetDetails:
    """Return one cabinet with its cells."""
    rows = cabinets.describe(tx, {**_defaults(settings), "cabinet_id": cabinet_id})
    if not rows:
        raise CabinetNotFound
    return CabinetDetails.model_validate(
        {
            **_fields_of(rows[0]),
            **cabinets.board(tx, cabinet_id),
            "cells": cells.describe(tx, cabinet_id),
        }
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
    find = cabinets.describe if query.near is None else nearest.find
    rows = find(tx, conditions)
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
    if request.device_id is not None:
        cabinets.lock_devices(tx)
    locked = cabinets.lock(tx, [cabinet_id])
    if not locked:
        raise CabinetNotFound
    _check_enrolment(tx, request)
    change = planned(locked[0], request)
    if change.device_id is not None:
        check_device_id(change.device_id, settings)
    for error in cells_in_use(tx, [change]).values():
        raise error
    if change.device_id is not None and cabinets.of_devices(tx, [change.device_id]):
        raise DeviceExists
    save(tx, [change])
    return get(tx, cabinet_id, settings)


class Change(NamedTuple):
    """A locked cabinet's row as it is and as it is to be."""

    before: Row
    after: Row

    @property
    def is_shrinking(self) -> bool:
        """Whether the cabinet loses cells."""
        return bool(self.after["cells_total"] < self.before["cells_total"])

    @property
    def device_id(self) -> str | None:
        """The device that replaces the cabinet's; None if it keeps its own."""
        wanted: str = self.after["device_id"]
        return None if wanted == self.before["device_id"] else wanted


def planned(before: Row, request: CabinetChange) -> Change:
    """Return what the request changes. What else has to hold for it is checked separately."""
    if request.status is not None:
        states.CABINET.changed_to(before["status"], request.status)
    if request.protocol is not None:
        check_protocol(request.protocol)
    fields = request.model_fields_set - {"coords", "suspect", "suspect_reason"}
    named = {name: getattr(request, name) for name in fields}
    kept = {name: v for name, v in named.items() if v is not None or name in _NULLABLE}
    if request.coords is not None:
        kept |= request.coords.model_dump()
    if request.suspect or (before["is_suspect"] and request.suspect is False):
        kept |= {"is_suspect": request.suspect, "suspect_reason": request.suspect_reason}
    if request.status == "active":
        kept.setdefault("status_reason", None)
    return Change(before, {**before, **kept})


def cells_in_use(tx: Tx, changes: Iterable[Change]) -> dict[str, CellsInUse]:
    """Return why cabinets cannot lose cells, by cabinet: these must be closed, empty, not held."""
    totals = {c.after["cabinet_id"]: c.after["cells_total"] for c in changes if c.is_shrinking}
    return {
        cabinet_id: CellsInUse(
            cells=numbers,
            detail=f"These cells are not closed and empty, or are booked: {_listed(numbers)}. "
            f"Empty and close them, or leave cells_total at {max(numbers)} or above.",
        )
        for cabinet_id, numbers in cells.in_use_above(tx, totals).items()
    }


def save(tx: Tx, changes: Iterable[Change]) -> None:
    """Save changes that have been checked; devices one by one, since one may free the next."""
    differing = [change for change in changes if change.after != change.before]
    cells.resize(
        tx,
        {
            change.after["cabinet_id"]: change.after["cells_total"]
            for change in differing
            if change.after["cells_total"] != change.before["cells_total"]
        },
    )
    cabinets.update(tx, [change.after for change in differing])
    for change in differing:
        if change.device_id is not None:
            cabinets.change_device(tx, change.after["cabinet_id"], change.device_id)


def _listed(numbers: list[int]) -> str:
    shown = ", ".join(str(number) for number in numbers[:_SHOWN_CELLS])
    return (
        shown if len(numbers) <= _SHOWN_CELLS else f"{shown} and {len(numbers) - _SHOWN_CELLS} more"
    )


def check_protocol(name: str) -> None:
    """Raise InvalidRequest unless there is such a protocol."""
    if name not in codecs():
        message = f"must be one of {', '.join(sorted(codecs()))}"
        raise InvalidRequest(errors=[{"field": "protocol", "message": message}])


def check_device_id(device_id: str, settings: Settings) -> None:
    """Raise InvalidRequest if the broker cannot carry this id in a topic."""
    if not re.fullmatch(settings.device_id_pattern, device_id):
        message = (
            f"the MQTT broker cannot carry the id {device_id!r}, which must match "
            f"{settings.device_id_pattern} (DEVICE_ID_PATTERN): give the cabinet another device_id"
        )
        raise InvalidRequest(errors=[{"field": "device_id", "message": message}])


def _check_enrolment(tx: Tx, request: CabinetChange) -> None:
    """Raise InvalidRequest unless enrolment ends in the future, and within a day."""
    if request.enrol_until is None:
        return
    now = cabinets.now(tx)
    if not now < request.enrol_until <= now + ENROLMENT:
        message = "must be in the future, and at most 24 hours ahead"
        raise InvalidRequest(errors=[{"field": "enrol_until", "message": message}])


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
