"""The columns of a table: their names, and how the text in a cell becomes a value."""

import difflib
import re
from collections.abc import Callable, Iterable
from typing import Any

from shared.models.accumulators import Accumulator, AccumulatorRequest
from shared.models.cabinets import Cabinet, CabinetRequest

_WHOLE = re.compile(r"([+-]?[0-9]{1,9})(?:[.,]0*)?")
_DECIMAL = re.compile(r"[+-]?[0-9]{1,9}(?:[.,][0-9]{0,30})?")
_SHOWN = 60

ERROR = "error"
"""The column of a file of failures that says what to mend."""

OF_CABINETS = frozenset(CabinetRequest.model_fields)
OF_ACCUMULATORS = frozenset(AccumulatorRequest.model_fields)
READ_ONLY = (frozenset(Accumulator.model_fields) | frozenset(Cabinet.model_fields)) - (
    OF_CABINETS | OF_ACCUMULATORS
)
"""What the API returns, and does not take: an export may be imported."""


def text(cell: str) -> str:
    """Return the text as it is."""
    return cell


def whole(cell: str) -> int:
    """Return a whole number. Raises ValueError."""
    found = _WHOLE.fullmatch(cell)
    if found is None:
        raise ValueError(f"{shown(cell)} is not a whole number")
    return int(found[1])


def decimal(cell: str) -> float:
    """Return a number with a decimal point or comma. Raises ValueError."""
    if _DECIMAL.fullmatch(cell) is None:
        raise ValueError(f"{shown(cell)} is not a number; an example: 55.7558")
    return float(cell.replace(",", "."))


IMPORTED: dict[str, Callable[[str], Any]] = {
    "cabinet_id": text,
    "device_id": text,
    "lat": decimal,
    "lon": decimal,
    "address": text,
    "cells_total": whole,
    "protocol": text,
    "accumulator_id": text,
    "battery_charge": whole,
    "contractor_id": text,
    "scooter_id": text,
}
IGNORED = READ_ONLY | {"available", "held", ERROR}
_BY_LETTERS = {name.replace("_", ""): name for name in (*IMPORTED, *IGNORED)}


def named(header: str) -> str | None:
    """Return the column of a header, in any case, with spaces or hyphens; None if unknown."""
    return _BY_LETTERS.get(re.sub(r"[\s_\-\ufeff]+", "", header).lower())


def suggestion(name: str, known: Iterable[str]) -> str:
    """Return ` (did you mean X?)` for the nearest known name; empty if none is near."""
    spelled, names = re.sub(r"[\s\-]+", "_", name.lower()), [*known]
    near = difflib.get_close_matches(spelled, names, 1, 0.6)
    near += [one for one in names if spelled.startswith(one)]  # latitude: lat
    return f" (did you mean {near[0]}?)" if near else ""


def shown(value: object) -> str:
    """Return a value for a message: quoted, on one line, not too long."""
    quoted = repr(value)
    return quoted if len(quoted) <= _SHOWN else f"{quoted[:_SHOWN]}…"
