"""An example of every type of event, for the generated documents."""

import json

from local.examples import COMMAND_ID, RESPONSES, Example
from shared.models.events import TYPES

_CURSOR = "WzQyMSwgImU3ZDJmYjY0LTFjMGUtNGY1My05YTg1LTJkMGY2YjFjM2E5MCJd"
_BOOKING = RESPONSES["get_booking 200"]
_COMMAND = RESPONSES["get_command 200"]
_CABINET = RESPONSES["list_cabinets 200"]["cabinets"][0] | {"distance_m": None}
_BY_REQUESTS = {
    "booking.created",
    "booking.active",
    "booking.unlocking",
    "booking.cancelled",
    "command.pending",
    "command.published",
    "command.not_published",
    "accumulator.changed",
    "cabinet.changed",
    "cabinet.removed",
    "cell.changed",
}
"""Types whose example shows what a request did; the others, what a cabinet or the time did."""
_OTHERWISE = {
    "booking.expired": "poll",
    "command.no_answer": "poll",
    "command.unresolved": "poll",
    "cabinet.offline": "poll",
}
_STATES_OF_CELLS = {
    "unlocking": "held",
    "completed": "opened",
    "partially_completed": "opened",
    "failed": "failed",
    "cancelled": "released",
    "expired": "released",
}
_ANOMALY = {
    name: value
    for name, value in RESPONSES["list_anomalies 200"]["anomalies"][0].items()
    if not name.startswith("payload")
}


def event(kind: str) -> Example:
    """Return an event of this type."""
    noun, _, what = kind.partition(".")
    subject, resource = _resource(noun, what)
    is_asked = kind in _BY_REQUESTS
    return {
        "event_id": f"e7d2fb64-1c0e-4f53-9a85-{TYPES.index(kind):012}",
        "type": kind,
        "subject": subject,
        "cabinet_id": "C-001",
        "at": "2026-11-22T12:00:00.840000Z",
        "caused_by": resource["requested_by"] if is_asked else _OTHERWISE.get(kind, "C-001"),
        "requested_by": resource["requested_by"] if is_asked else None,
        "resource": resource,
    }


def pages() -> dict[str, Example]:
    """Return a page with one event for each type, by type."""
    return {kind: {"events": [event(kind)], "cursor": _CURSOR} for kind in TYPES}


def markdown() -> str:
    """Return a section with an example for each type."""
    shown = ((kind, json.dumps(event(kind), indent=2, default=str)) for kind in TYPES)
    return "\n\n".join(f"## {kind}\n\n```json\n{text}\n```" for kind, text in shown)


def _resource(noun: str, what: str) -> tuple[str, Example]:
    """Return the subject and the resource."""
    movement = RESPONSES["list_movements 200"]["movements"][0]
    found: dict[str, tuple[str, Example]] = {
        "booking": (_BOOKING["booking_id"], _booking(what)),
        "command": (str(COMMAND_ID), _command(what)),
        "accumulator": (
            "A-0003",
            movement if what == "moved" else RESPONSES["get_accumulator 200"],
        ),
        "cabinet": ("C-001", _CABINET | {"online": what not in {"offline", "removed"}}),
        "cell": ("C-001/1", RESPONSES["change_cell 200"]),
        "anomaly": (str(_ANOMALY["anomaly_id"]), _ANOMALY),
    }
    return found[noun]


def _booking(what: str) -> Example:
    if what == "returning":
        cells = [c | {"state": "opened", "accumulator_id": None, "battery_charge": None}
                 for c in _BOOKING["cells"]]  # fmt: skip
        return _BOOKING | {"kind": "return", "status": what, "min_charge": None, "cells": cells}
    cells = [c | {"state": _STATES_OF_CELLS.get(what, "held")} for c in _BOOKING["cells"]]
    status = what if what not in {"created", "changed"} else "active"
    cancelled_by = "backend" if what == "cancelled" else None
    return _BOOKING | {"status": status, "cancelled_by": cancelled_by, "cells": cells}


def _command(status: str) -> Example:
    if status in {"succeeded", "partially_succeeded", "failed"}:
        return _COMMAND | {"status": status}
    is_published = status not in {"pending", "not_published"}
    is_finished = status in {"rejected", "not_published", "not_executed", "unresolved"}
    return _COMMAND | {
        "status": status,
        "cells": [],
        "published_at": _COMMAND["published_at"] if is_published else None,
        "finished_at": _COMMAND["finished_at"] if is_finished else None,
        "reason": "busy" if status == "rejected" else None,
    }
