"""JSON schemas of native.v1's messages, after docs/protocol.md."""

import json
from typing import Any

import jsonschema

from local.cabinet.hardware import Message

# Written by hand from the page, not from shared.messages, to test one against the other.
PERCENT_OR_UNKNOWN = {"type": ["integer", "null"], "minimum": 0, "maximum": 100}
ACCUMULATOR_ID = {"type": ["string", "null"], "minLength": 1}
CELL_NUMBER = {"type": "integer", "minimum": 1}
CELL = {
    "type": "object",
    "required": ["cell_number", "door", "accumulator_id"],
    "properties": {
        "cell_number": CELL_NUMBER,
        "door": {"enum": ["open", "closed", "unknown"]},
        "accumulator_id": ACCUMULATOR_ID,
        "battery_charge": PERCENT_OR_UNKNOWN,
        "state_of_health": PERCENT_OR_UNKNOWN,
        "charging": {"type": "boolean"},
        "temperature_c": {"type": "number"},
        "fault": {"type": "string"},
    },
    "additionalProperties": False,
}
FAILURES = ["jammed", "not_detected", "empty", "occupied", "faulty", "disabled", "unknown_cell"]
RESULTS = ["opened", "locked", *FAILURES]
REASONS = ["busy", "maintenance", "updating", "alarm", "unknown_command", "invalid"]
ENVELOPE = {
    "v": {"const": 1},
    "boot_id": {"type": "string", "minLength": 1, "maxLength": 64},
    "seq": {"type": "integer", "minimum": 1},
    "sent_at": {"type": "string", "pattern": r"^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z$"},
}
FIELDS: dict[str, dict[str, Any]] = {
    "command_result": {
        "command_id": {"type": "string"},
        "status": {"enum": ["done", "rejected", "expired"]},
        "reason": {"enum": REASONS},
        "cells": {
            "type": "array",
            "items": {
                "type": "object",
                "required": ["cell_number", "result"],
                "properties": {
                    "cell_number": CELL_NUMBER,
                    "result": {"enum": RESULTS},
                    "accumulator_id": ACCUMULATOR_ID,
                    "battery_charge": PERCENT_OR_UNKNOWN,
                },
                "additionalProperties": False,
            },
        },
    },
    "state_report": {
        "command_id": {"type": "string"},
        "alarms": {"type": "array", "items": {"type": "string"}},
        "cells": {"type": "array", "items": CELL},
    },
    "cell_event": {"cell": CELL},
    "hello": {"firmware": {"type": "string"}, "cells_total": {"type": "integer"}},
}
OPTIONAL = {"reason", "cells", "command_id"}


def check_shape(message: Message) -> None:
    """Fail unless the message is exactly one of the protocol's four."""
    fields = {**ENVELOPE, "type": {"type": "string"}, **FIELDS[message["type"]]}
    required = set(fields) - (OPTIONAL if message["type"] == "command_result" else {"command_id"})
    if message["type"] == "command_result":
        required |= {"command_id"} | ({"reason"} if message["status"] == "rejected" else {"cells"})
        required -= {"cells"} if message["status"] == "expired" else set()
    shape = {"type": "object", "required": sorted(required), "properties": fields}
    jsonschema.validate(json.loads(json.dumps(message)), shape | {"additionalProperties": False})
