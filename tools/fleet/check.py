"""Checks records by the API's own models, before anything is sent."""

import re
import unicodedata
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from pydantic import ValidationError

from shared.models.accumulators import AccumulatorRequest
from shared.models.base import Request
from shared.models.cabinets import CabinetRequest
from tools.fleet import columns
from tools.fleet.records import Checked, Failure, Fault, Item, Kind, Record

_MODELS: dict[Kind, type[Request]] = {
    "cabinet": CabinetRequest,
    "accumulator": AccumulatorRequest,
}
_FIELDS = {"cabinet": columns.OF_CABINETS, "accumulator": columns.OF_ACCUMULATORS}
_ID_ERRORS = {"string_pattern_mismatch", "string_too_long", "string_too_short"}
_NOT_IN_AN_ID = re.compile(r"[^A-Za-z0-9._:-]")
_LOCATION = "cabinet_id"  # of an accumulator: a cabinet's report says it, not a file


def check(records: Iterable[Record]) -> Checked:
    """Return what can be sent, and what cannot and why."""
    items: list[Item] = []
    failures: list[Failure] = []
    ignored: dict[str, None] = {}
    seen: dict[tuple[str, str], str] = {}
    for record in records:
        kind = record.kind or _kind_of(record.fields)
        body, skipped = _split(kind, record.fields)
        ignored |= dict.fromkeys(skipped)
        checked = _checked(record, kind, body)
        faults = [*record.faults, *(checked if isinstance(checked, list) else [])]
        if kind is not None:
            faults += _duplicates(seen, kind, body, record.where)
        if faults or kind is None or isinstance(checked, list):
            failures.append(Failure(record, _one_a_column(faults), kind, _id_of(kind, body)))
        else:
            items.append(Item(kind, checked[f"{kind}_id"], checked, record))
    items.sort(key=lambda item: item.kind == "accumulator")  # the order in which they are sent
    return Checked(items, failures, [*ignored])


def _kind_of(fields: Mapping[str, Any]) -> Kind | None:
    if "accumulator_id" in fields:
        return "accumulator"
    return "cabinet" if "cabinet_id" in fields else None


def _split(kind: Kind | None, fields: Mapping[str, Any]) -> tuple[dict[str, Any], list[str]]:
    """Return what is checked and sent, and the names of what is known and not imported."""
    skipped = columns.IGNORED | ({_LOCATION} if kind == "accumulator" else set())
    return (
        {name: value for name, value in fields.items() if name not in skipped},
        [name for name in fields if name in skipped],
    )


def _checked(
    record: Record, kind: Kind | None, body: dict[str, Any]
) -> dict[str, Any] | list[Fault]:
    """Return the body as the API understands it, or what is wrong."""
    if any(not fault.column for fault in record.faults):
        return []  # the record as a whole is not what it should be
    if kind is None:
        return [Fault("", "neither cabinet_id nor accumulator_id is given")]
    other: Kind = "cabinet" if kind == "accumulator" else "accumulator"
    if foreign := sorted(body.keys() & (_FIELDS[other] - _FIELDS[kind])):
        name = "lat" if foreign[0] == "coords" else foreign[0]
        has = "an" if kind == "accumulator" else "no"
        return [Fault(name, f"is of {other}s, but the row has {has} accumulator_id")]
    try:
        model = _MODELS[kind].model_validate(body)
    except ValidationError as error:
        return [_fault(one, kind) for one in error.errors(include_url=False, include_context=False)]
    return model.model_dump(mode="json", exclude_unset=True)


def _fault(error: Mapping[str, Any], kind: Kind) -> Fault:
    path = [str(part) for part in error["loc"]]
    column = path[-1] if path else ""
    value = error["input"]
    if error["type"] == "missing":
        return Fault("lat" if column == "coords" else column, "is missing")
    if error["type"] == "extra_forbidden":
        return Fault(column, f"unknown field{columns.suggestion(column, _FIELDS[kind])}")
    if error["type"] in _ID_ERRORS and column.endswith("_id"):
        return Fault(column, _id_message(str(value)))
    message = error["msg"].removeprefix("Value error, ")
    return Fault(column, f"{message}, not {columns.shown(value)}" if column else message)


def _id_message(value: str) -> str:
    wrong = _NOT_IN_AN_ID.search(value)
    if wrong is None:
        return f"{columns.shown(value)} has {len(value)} characters; an id has 1 to 64"
    name = unicodedata.name(wrong[0], repr(wrong[0])).capitalize()
    allowed = "an id has only A-Z a-z 0-9 . _ : -"
    return f"{columns.shown(value)} has {columns.shown(wrong[0])} ({name}); {allowed}"


def _duplicates(
    seen: dict[tuple[str, str], str], kind: Kind, body: Mapping[str, Any], where: str
) -> list[Fault]:
    """Return a fault for each id that an earlier record has, and remember the ids of this one."""
    ids = {f"{kind}_id": body.get(f"{kind}_id")}
    if kind == "cabinet":
        ids["device_id"] = body.get("device_id") or ids["cabinet_id"]
    faults = []
    for column, value in ids.items():
        if isinstance(value, str):
            first = seen.setdefault(
                (column, value.upper() if kind == "accumulator" else value), where
            )
            if first != where:
                faults.append(
                    Fault(column, f"{columns.shown(value)} is on {first}, too", "duplicate")
                )
    return faults[:1]


def _one_a_column(faults: Sequence[Fault]) -> list[Fault]:
    """Return the first fault of each column: a value that was not read is missing, too."""
    return [*{fault.column: fault for fault in reversed(faults)}.values()][::-1]


def _id_of(kind: Kind | None, body: Mapping[str, Any]) -> str | None:
    value = body.get(f"{kind}_id")
    return value if isinstance(value, str) else None
