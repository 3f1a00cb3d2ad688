"""The examples in the generated documents: requests, responses and messages.

The tests check every one of them against the schemas and the codec.
"""

from datetime import UTC, datetime
from typing import Any
from uuid import UUID

Example = dict[str, Any]

NOON = datetime(2026, 11, 22, 12, tzinfo=UTC)
COMMAND_ID = UUID("0b9f2a6c-53a4-4f5b-8a53-6d6c2b1f9e02")
REQUEST_ID = "7d4a1f5e-3f0a-4b6e-9d0e-1c2b3a4d5e6f"

_NOON = "2026-11-22T12:00:00Z"
_BOOKING_ID = "5f0c3c0e-8d1c-4d0a-9b5e-2f6f1f0f7a11"
_SWAP_ID = "c1a8f0f4-7a55-4d43-9a0e-94a0f2b7d303"
_TRANSFER_ID = "3d1f6f52-9c1b-4a53-8a2e-5f0b7c7e1d44"

# --- HTTP: the nouns --------------------------------------------------------------------------

_CABINET: Example = {
    "cabinet_id": "C-001",
    "device_id": "C-001",
    "coords": {"lat": 55.7558, "lon": 37.6173},
    "address": "Tverskaya 1, Moscow",
    "protocol": "native.v1",
    "status": "active",
    "status_reason": None,
    "alarms": [],
    "online": True,
    "last_seen_at": _NOON,
    "enrol_until": None,
    "suspect_since": None,
    "suspect_reason": None,
    "cells_total": 12,
    "accumulators": {
        "total": 8,
        "available": 6,
        "held": 0,
        "charges": [98, 97, 95, 95, 90, 88, 41, 12],
    },
    "free_cells": 3,
    "faulty_cells": 1,
    "distance_m": 120,
    "requested_by": "operator",
}
_CELL: Example = {
    "cell_number": 1,
    "door": "closed",
    "content": "occupied",
    "accumulator_id": "A-0001",
    "battery_charge": 98,
    "health": "ok",
    "health_reason": None,
    "booking_id": None,
    "reported_at": _NOON,
    "requested_by": None,
    "held_back_id": None,
}
_NEW_CELL: Example = _CELL | {
    "door": "unknown",
    "content": "unknown",
    "accumulator_id": None,
    "battery_charge": None,
    "reported_at": None,
}
_NEW_CABINET: Example = _CABINET | {
    "cabinet_id": "C-002",
    "device_id": "C-002",
    "online": False,
    "last_seen_at": None,
    "cells_total": 2,
    "accumulators": {"total": 0, "available": 0, "held": 0, "charges": []},
    "free_cells": 0,
    "faulty_cells": 0,
    "distance_m": None,
    "firmware": None,
    "booted_at": None,
    "reported_at": None,
    "cells": [_NEW_CELL, _NEW_CELL | {"cell_number": 2}],
}
_CABINET_DETAILS: Example = _NEW_CABINET | {
    "firmware": "1.4.2",
    "booted_at": "2026-11-20T06:12:40Z",
    "reported_at": _NOON,
    "online": True,
    "last_seen_at": _NOON,
    "accumulators": {"total": 1, "available": 1, "held": 0, "charges": [98]},
    "free_cells": 1,
    "cells": [
        _CELL,
        _NEW_CELL | {"cell_number": 2, "door": "closed", "content": "empty", "reported_at": _NOON},
    ],
}


_WEBHOOK_ID = "9d4c8f1b-3f2e-4a57-8a0d-6b1e2c3d4f5a"
_WEBHOOK_SECRET = "whsec_MDEyMzQ1Njc4OTAxMjM0NTY3ODkwMTIzNDU2Nzg5MDE="  # noqa: S105 - nobody's
_WEBHOOK: Example = {
    "webhook_id": _WEBHOOK_ID,
    "url": "https://hooks.example/accumulators",
    "types": ["booking.completed", "anomaly.raised"],
    "cabinet_ids": None,
    "status": "active",
    "status_reason": None,
    "created_at": _NOON,
    "requested_by": "operator",
    "oldest_undelivered_at": _NOON,
    "last_attempt_at": _NOON,
    "last_status_code": 503,
    "last_error": None,
    "consecutive_failures": 2,
    "next_attempt_at": "2026-11-22T12:00:10Z",
    "previous_secret_until": None,
}


def _accumulator(accumulator_id: str, charge: int, place: Example) -> Example:
    columns = ("cabinet_id", "cell_number", "contractor_id", "scooter_id")
    return {
        "accumulator_id": accumulator_id,
        "place": place,
        **{column: place.get(column) for column in columns},
        "battery_charge": charge,
        "charge_at": _NOON,
        "state_of_health": 96,
        "status": "in_service",
        "requested_by": "operator",
    }


_IN_CELL = {"cabinet_id": "C-001", "cell_number": 3}
_WITH_CONTRACTOR = {"contractor_id": "T-7"}
_BOOKING: Example = {
    "booking_id": _BOOKING_ID,
    "cabinet_id": "C-001",
    "contractor_id": "T-7",
    "kind": "issue",
    "status": "active",
    "requested": 2,
    "min_charge": 80,
    "expires_at": "2026-11-22T12:30:00Z",
    "created_at": _NOON,
    "command_id": None,
    "requested_by": "backend",
    "cancelled_by": None,
    "cells": [
        {
            "cell_number": number,
            "accumulator_id": accumulator_id,
            "battery_charge": charge,
            "state": "held",
            "reason": None,
        }
        for number, accumulator_id, charge in [(3, "A-0003", 97), (5, "A-0009", 95)]
    ],
}
_OPENED: Example = {
    "cell_number": 3,
    "accumulator_id": "A-0003",
    "battery_charge": 97,
    "result": "opened",
}
_JAMMED: Example = {
    "cell_number": 5,
    "accumulator_id": "A-0009",
    "battery_charge": 95,
    "result": "jammed",
}
_COMMAND: Example = {
    "command_id": str(COMMAND_ID),
    "cabinet_id": "C-001",
    "kind": "unlock",
    "status": "partially_succeeded",
    "booking_id": None,
    "payload": {"cells": [3, 5]},
    "cells": [_OPENED, _JAMMED],
    "created_at": _NOON,
    "published_at": "2026-11-22T12:00:00.012000Z",
    "finished_at": "2026-11-22T12:00:00.840000Z",
    "late": False,
    "inferred": False,
    "reason": None,
    "requested_by": "backend",
}
_SENT: Example = _COMMAND | {"status": "published", "cells": [], "finished_at": None}
_MOVEMENT: Example = {
    "movement_id": 1,
    "accumulator_id": "A-0003",
    "at": _NOON,
    "cause": "issued",
    "from": _IN_CELL,
    "to": _WITH_CONTRACTOR,
    "battery_charge": 97,
    "booking_id": _BOOKING_ID,
    "command_id": str(COMMAND_ID),
    "swap_id": None,
    "transfer_id": None,
    "discrepancy": False,
    "reason": None,
    "requested_by": None,
}
_IMPORTED: Example = {"result": "created", "code": None, "detail": None, "errors": []}

_ANOMALY: Example = {
    "anomaly_id": 17,
    "reason": "vanished",
    "detail": "cell 3: A-0003",
    "cabinet_id": "C-001",
    "device_id": "C-001",
    "accumulator_id": "A-0003",
    "first_at": _NOON,
    "at": _NOON,
    "count": 1,
    "open": True,
    "acknowledged": None,
    "payload": '{"v": 1, "type": "cell_event", "boot_id": "b-17", "seq": 44}',
    "payload_bytes": 60,
}
_ACKNOWLEDGED: Example = _ANOMALY | {
    "open": False,
    "acknowledged": {
        "by": "operator",
        "at": "2026-11-22T12:30:00Z",
        "note": "the technician had it",
    },
}
_ATTENTION: Example = {
    "since": _NOON,
    "cabinet_id": None,
    "cell_number": None,
    "accumulator_id": None,
    "contractor_id": None,
    "command_id": None,
    "anomaly_id": None,
}
_CONTRACTOR: Example = {
    "contractor_id": "T-7",
    "accumulators_total": 1,
    "held_since": _NOON,
    "accumulators": [
        {
            "accumulator_id": "A-0003",
            "battery_charge": 97,
            "status": "in_service",
            "since": _NOON,
            "cause": "issued",
        }
    ],
    "open_bookings": [
        {
            "booking_id": _BOOKING_ID,
            "cabinet_id": "C-001",
            "kind": "return",
            "status": "active",
            "created_at": _NOON,
            "expires_at": "2026-11-22T12:30:00Z",
        }
    ],
}

# --- HTTP: requests, responses, problems ------------------------------------------------------

COMMANDS: dict[str, Example] = {
    "unlock": {"kind": "unlock", "cells": [3, 5]},
    "lock": {"kind": "lock", "cells": [3]},
    "report_state": {"kind": "report_state", "spread_s": 0},
}
"""Commands by kind. A command without an example is documented without one."""

REQUESTS: dict[str, dict[str, Example]] = {
    "register_cabinet": {
        "cabinet": {
            "cabinet_id": "C-002",
            "coords": {"lat": 55.7558, "lon": 37.6173},
            "address": "Tverskaya 1, Moscow",
            "cells_total": 2,
        }
    },
    "import_fleet": {
        "dry run": {
            "cabinets": [
                {
                    "cabinet_id": "C-003",
                    "coords": {"lat": 55.7601, "lon": 37.6187},
                    "cells_total": 12,
                }
            ],
            "accumulators": [
                {"accumulator_id": "A-0101", "battery_charge": 97, "contractor_id": "T-7"},
                {"accumulator_id": "A-0042"},
            ],
            "dry_run": True,
        }
    },
    "change_cabinet": {
        "pause": {"status": "inactive", "status_reason": "being moved"},
        "end the enrolment": {"enrol_until": None},
        "clear a suspect": {"suspect": False, "suspect_reason": "its van was unloaded by hand"},
    },
    "undo_claims": {
        "undo": {"since": _NOON, "reason": "the cabinet's login was stolen"},
    },
    "change_cell": {"disable": {"health": "disabled", "reason": "the door is bent"}},
    "send_command": {
        kind: command | {"reason": "the door is stuck"} for kind, command in COMMANDS.items()
    },
    "register_accumulator": {
        "with a contractor": {
            "accumulator_id": "A-0003",
            "battery_charge": 97,
            "contractor_id": "T-7",
        }
    },
    "correct_accumulator": {
        "found": {"place": _WITH_CONTRACTOR, "reason": "found in the bag"},
        "lost": {"place": {"nowhere": True}, "status": "missing", "reason": "stolen"},
    },
    "create_booking": {
        "issue": {"cabinet_id": "C-001", "contractor_id": "T-7", "kind": "issue", "count": 2},
        "return": {"cabinet_id": "C-001", "contractor_id": "T-7", "kind": "return", "count": 2},
    },
    "acknowledge_anomaly": {"seen": {"note": "the technician had it"}},
    "create_webhook": {
        "some types": {
            "url": "https://hooks.example/accumulators",
            "types": ["booking.completed", "anomaly.raised"],
        },
        "everything": {"url": "https://hooks.example/accumulators"},
    },
    "change_webhook": {
        "pause": {"status": "paused"},
        "rotate the secret": {"rotate_secret": True},
        "all types": {"types": None},
    },
    "create_swap": {
        "swap": {
            "scooter_id": "S-1",
            "contractor_id": "T-7",
            "installed_accumulator_id": "A-0003",
            "removed_accumulator_id": "A-0042",
            "removed_battery_charge": 12,
        },
        "first accumulator": {
            "scooter_id": "S-1",
            "contractor_id": "T-7",
            "installed_accumulator_id": "A-0003",
        },
        "taken out": {
            "scooter_id": "S-1",
            "contractor_id": "T-7",
            "removed_accumulator_id": "A-0042",
        },
    },
    "create_transfer": {
        "end of a shift": {
            "from_contractor_id": "T-7",
            "to_contractor_id": "VAN-1",
            "accumulator_ids": ["A-0003", "A-0042"],
        }
    },
}
"""Request bodies by operation and example name."""

RESPONSES: dict[str, Example] = {
    "list_cabinets 200": {"cabinets": [_CABINET], "next_cursor": None},
    "register_cabinet 201": _NEW_CABINET,
    "get_cabinet 200": _CABINET_DETAILS,
    "change_cabinet 200": _CABINET_DETAILS | {"status": "inactive", "status_reason": "being moved"},
    "undo_claims 200": {
        "restored": ["A-0003"],
        "kept": [{"accumulator_id": "A-0009", "because": "moved_since"}],
        "put_in_service": ["A-0003", "A-0009"],
        "has_more": False,
    },
    "change_cell 200": _CELL
    | {"health": "disabled", "health_reason": "the door is bent", "requested_by": "operator"},
    "import_fleet 200": {
        "results": [
            _IMPORTED | {"kind": "cabinet", "id": "C-003"},
            _IMPORTED | {"kind": "accumulator", "id": "A-0101"},
            {
                "kind": "accumulator",
                "id": "A-0042",
                "result": "failed",
                "code": "accumulator_in_use",
                "detail": "The accumulator is retired; give it another status first.",
                "errors": [],
            },
        ],
        "counts": {"created": 2, "updated": 0, "unchanged": 0, "failed": 1},
    },
    "get_overview 200": {
        "cabinets": {
            "cabinet_id": ["C-001", "C-002"],
            "lat": [55.7558, 55.7601],
            "lon": [37.6173, 37.6187],
            "active": [True, True],
            "online": [True, False],
            "alarms": [0, 1],
            "ready": [6, 0],
            "free": [3, 0],
            "faulty": [1, 0],
            "accumulators": [8, 0],
            "cells_total": [12, 2],
            "last_seen_at": [None, _NOON],
            "firmware": ["1.4.2", None],
        },
        "places": {"cabinet": 8, "contractor": 2, "scooter": 31, "unknown": 0},
        "needs_a_person": 3,
        "at": _NOON,
    },
    "list_attention 200": {
        "items": [
            _ATTENTION
            | {"kind": "cabinet_alarm", "cabinet_id": "C-002", "detail": "fire, over_temperature"},
            _ATTENTION
            | {
                "kind": "cabinet_suspect",
                "cabinet_id": "C-003",
                "detail": "claimed more than 12 accumulators that others have; held back: 4",
            },
            _ATTENTION
            | {
                "kind": "anomaly",
                "cabinet_id": "C-001",
                "accumulator_id": "A-0003",
                "anomaly_id": 17,
                "detail": "vanished: cell 3: A-0003",
            },
            _ATTENTION
            | {
                "kind": "cell_faulty",
                "since": None,
                "cabinet_id": "C-001",
                "cell_number": 5,
                "detail": "jammed",
            },
        ],
        "counts": {
            "cabinet_alarm": 1,
            "cabinet_suspect": 1,
            "cabinet_offline": 0,
            "command_unresolved": 0,
            "accumulator_missing": 0,
            "anomaly": 1,
            "held_too_long": 0,
            "accumulator_quarantined": 0,
            "cell_faulty": 1,
            "cell_disabled": 0,
        },
    },
    "get_history 200": {
        "step_s": 300,
        "stock": [{"at": _NOON, "ready": 6, "free": 3, "online": 1, "active": 2}],
        "unlocks": [{"at": _NOON, "count": 3, "failed": 1, "p50_ms": 412.0, "p99_ms": 1903.5}],
    },
    "find_ids 200": {
        "results": [
            {"kind": "cabinet", "id": "C-001"},
            {"kind": "accumulator", "id": "C-001.A-7"},
        ]
    },
    "get_stats 200": {
        "cabinets": [
            {
                "cabinet_id": "C-001",
                "accumulators": 8,
                "available": 6,
                "charge_mean": 77.0,
                "charge_min": 12,
            }
        ],
        "contractors": {"T-7": 2},
        "places": {
            "registered": 42,
            "in_cells": 8,
            "with_contractors": 2,
            "in_scooters": 31,
            "retired": 1,
            "nowhere_known": 0,
        },
        "bookings": {"completed": 14, "expired": 1},
        "commands": {"succeeded": 27, "no_answer": 1},
        "answer_times": {"count": 27, "median_ms": 412.0, "p99_ms": 1903.5, "max_ms": 2210.0},
        "anomalies": {"unknown_command": 1},
        "audit": {"ok": True, "violations": []},
    },
    "get_me 200": {"caller": "operator", "scope": "operator"},
    "get_health 200": {"status": "ok"},
    "get_readiness 200": {"status": "ok", "database": "ok", "queue": "ok"},
    "get_readiness 503": {"status": "unavailable", "database": "ok", "queue": "unavailable"},
    "list_accumulators 200": {
        "accumulators": [_accumulator("A-0003", 97, _IN_CELL)],
        "next_cursor": None,
    },
    "register_accumulator 201": _accumulator("A-0003", 97, _WITH_CONTRACTOR),
    "get_accumulator 200": _accumulator("A-0003", 97, _IN_CELL),
    "correct_accumulator 200": _accumulator("A-0003", 97, _WITH_CONTRACTOR),
    "list_movements 200": {"movements": [_MOVEMENT], "next_cursor": None},
    "list_all_movements 200": {"movements": [_MOVEMENT], "next_cursor": None},
    "list_contractors 200": {"contractors": [_CONTRACTOR], "next_cursor": None},
    "export_contractor 200": {
        "records": [
            {
                "kind": "movement",
                "record": {
                    "movement_id": 41,
                    "accumulator_id": "A-0003",
                    "at": _NOON,
                    "cause": "issued",
                    "from_cabinet_id": "C-001",
                    "from_cell_number": 3,
                    "to_contractor_id": "T-7",
                },
            }
        ],
        "archived_months": ["2025-09", "2025-10"],
        "pseudonym": "pseudonym:4f0c7a52e8b14c6f9a7d3b2e1c0d5f68",
        "next_cursor": None,
    },
    "erase_contractor 200": {"status": "erased"},
    "list_anomalies 200": {"anomalies": [_ANOMALY], "next_cursor": None},
    "acknowledge_anomaly 200": _ACKNOWLEDGED,
    "create_booking 201": _BOOKING,
    "list_bookings 200": {"bookings": [_BOOKING], "next_cursor": None},
    "get_booking 200": _BOOKING,
    "cancel_booking 200": _BOOKING
    | {
        "status": "cancelled",
        "cancelled_by": "backend",
        "cells": [cell | {"state": "released"} for cell in _BOOKING["cells"]],
    },
    "unlock_booking 200": {
        "booking_id": _BOOKING_ID,
        "command_id": str(COMMAND_ID),
        "status": "partially_completed",
        "cells": [_OPENED, _JAMMED],
        "late": False,
    },
    "unlock_booking 202": _SENT | {"booking_id": _BOOKING_ID},
    "send_command 200": _COMMAND,
    "send_command 202": _SENT,
    "list_commands 200": {"commands": [_COMMAND], "next_cursor": None},
    "get_command 200": _COMMAND,
    "list_webhooks 200": {"webhooks": [_WEBHOOK]},
    "create_webhook 201": _WEBHOOK
    | {
        "oldest_undelivered_at": None,
        "last_attempt_at": None,
        "last_status_code": None,
        "consecutive_failures": 0,
        "next_attempt_at": None,
        "secret": _WEBHOOK_SECRET,
    },
    "change_webhook 200": _WEBHOOK
    | {"previous_secret_until": "2026-11-23T12:00:00Z", "secret": _WEBHOOK_SECRET},
    "test_webhook 200": {
        "delivered": True,
        "status_code": 204,
        "error": None,
        "duration_ms": 87,
    },
    "create_swap 200": {
        "swap_id": _SWAP_ID,
        "scooter_id": "S-1",
        "contractor_id": "T-7",
        "installed": _accumulator("A-0003", 97, {"scooter_id": "S-1"}),
        "removed": _accumulator("A-0042", 12, _WITH_CONTRACTOR),
        "at": _NOON,
        "requested_by": "backend",
    },
    "create_transfer 200": {
        "transfer_id": _TRANSFER_ID,
        "from_contractor_id": "T-7",
        "to_contractor_id": "VAN-1",
        "accumulators": [
            _accumulator("A-0003", 97, {"contractor_id": "VAN-1"}),
            _accumulator("A-0042", 12, {"contractor_id": "VAN-1"}),
        ],
        "at": _NOON,
        "requested_by": "backend",
    },
}
"""Response bodies by operation and status."""

ERROR_FIELDS: Example = {
    "cells": [11, 12],
    "errors": [{"field": "count", "message": "Input should be less than or equal to 50"}],
    "requested": 3,
    "available": 1,
    "limit": 16,
    "held": 2,
    "bookings": 1,
    "commands": 0,
    "accumulator_id": "A-0003",
    "place": _IN_CELL,
    "accumulators": [{"accumulator_id": "A-0003", "place": _IN_CELL}],
    "reason": "busy",
    "command_id": str(COMMAND_ID),
    "retry_after_s": 1,
}
"""Values of the fields that errors add to a problem."""

# --- MQTT -------------------------------------------------------------------------------------


def _message(kind: str, seq: int, **fields: Any) -> Example:
    head = {"v": 1, "type": kind, "boot_id": "b-17", "seq": seq, "sent_at": _NOON}
    return head | fields


_REPORTED: Example = {
    "cell_number": 1,
    "door": "closed",
    "accumulator_id": "A-0001",
    "battery_charge": 90,
    "state_of_health": 96,
    "charging": True,
    "temperature_c": 24.5,
}

MESSAGES: dict[str, dict[str, Example]] = {
    "command_result": {
        "one of two opened": _message(
            "command_result",
            41,
            command_id=str(COMMAND_ID),
            status="done",
            cells=[_OPENED, {"cell_number": 5, "result": "jammed"}],
        ),
        "refused": _message(
            "command_result",
            42,
            command_id=str(COMMAND_ID),
            status="rejected",
            reason="busy",
            cells=[],
        ),
    },
    "state_report": {
        "every kind of cell": _message(
            "state_report",
            43,
            command_id=str(COMMAND_ID),
            alarms=["over_temperature"],
            cells=[
                _REPORTED,
                {"cell_number": 2, "door": "closed", "accumulator_id": None},
                {"cell_number": 3, "door": "open", "accumulator_id": None},
                {"cell_number": 4, "door": "closed", "accumulator_id": "?"},
                {"cell_number": 5, "door": "closed", "accumulator_id": None, "fault": "lock"},
            ],
        ),
    },
    "cell_event": {"an accumulator came": _message("cell_event", 44, cell=_REPORTED)},
    "hello": {"power-up": _message("hello", 0, firmware="1.4.2", cells_total=12, session="s-81")},
    "goodbye": {"the last will": {"v": 1, "type": "goodbye", "boot_id": "b-17", "session": "s-81"}},
}
"""Messages of cabinets by type and example name."""
