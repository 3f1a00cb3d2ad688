"""One story for the documents: what each operation is asked and answers, as its own models say it."""

from datetime import UTC, datetime
from typing import Any
from uuid import UUID

from pydantic import BaseModel, TypeAdapter

from shared import models
from shared.api.commands import CommandRequest

BOOKING_ID = UUID("5f0c3c0e-8d1c-4d0a-9b5e-2f6f1f0f7a11")
COMMAND_ID = UUID("0b9f2a6c-53a4-4f5b-8a53-6d6c2b1f9e02")
SWAP_ID = UUID("c1a8f0f4-7a55-4d43-9a0e-94a0f2b7d303")
REQUEST_ID = "7d4a1f5e-3f0a-4b6e-9d0e-1c2b3a4d5e6f"
NOON = datetime(2026, 11, 22, 10, 0, 0, tzinfo=UTC)
HALF_PAST = NOON.replace(minute=30)

_coords = models.Coords(lat=55.7558, lon=37.6173)
_cabinet = models.Cabinet(
    cabinet_id="C-001",
    device_id="C-001",
    coords=_coords,
    address="Tverskaya 1, Moscow",
    protocol="native.v1",
    status="active",
    status_reason=None,
    alarms=[],
    online=True,
    last_seen_at=NOON,
    cells_total=12,
    accumulators=models.Stock(
        total=8, available=6, held=1, charges=[98, 97, 95, 95, 90, 88, 41, 12]
    ),
    free_cells=3,
    faulty_cells=1,
    distance_m=120,
)
_cell = models.Cell(
    cell_number=1,
    door="closed",
    content="occupied",
    accumulator_id="A-0001",
    battery_charge=98,
    health="ok",
    health_reason=None,
    booking_id=None,
    reported_at=NOON,
)
_details = models.CabinetDetails(
    **{**dict(_cabinet), "distance_m": None},
    cells=[_cell],
)
_registered = models.CabinetDetails(
    **{
        **dict(_cabinet),
        "distance_m": None,
        "online": False,
        "last_seen_at": None,
        "cells_total": 1,
        "accumulators": models.Stock(total=0, available=0, held=0, charges=[]),
        "free_cells": 0,
        "faulty_cells": 0,
    },
    cells=[
        _cell.model_copy(
            update={
                "door": "unknown",
                "content": "unknown",
                "accumulator_id": None,
                "battery_charge": None,
                "reported_at": None,
            }
        )
    ],
)


def _accumulator(accumulator_id: str, charge: int, **place: Any) -> models.Accumulator:
    nowhere = {"cabinet_id": None, "cell_number": None, "contractor_id": None, "scooter_id": None}
    return models.Accumulator(
        accumulator_id=accumulator_id,
        battery_charge=charge,
        charge_at=NOON,
        state_of_health=96,
        status="in_service",
        **{**nowhere, **place},
        place=place or None,
    )


_in_cabinet = _accumulator("A-0001", 98, cabinet_id="C-001", cell_number=1)
_with_contractor = _accumulator("A-0003", 97, contractor_id="T-7")
_booking = models.Booking(
    booking_id=BOOKING_ID,
    cabinet_id="C-001",
    contractor_id="T-7",
    kind="issue",
    status="active",
    requested=2,
    min_charge=80,
    expires_at=HALF_PAST,
    created_at=NOON,
    command_id=None,
    cells=[
        models.BookingCell(
            cell_number=number,
            accumulator_id=name,
            battery_charge=charge,
            state="held",
            reason=None,
        )
        for number, name, charge in [(3, "A-0003", 97), (5, "A-0009", 95)]
    ],
)
_results = [
    models.CellResult(cell_number=3, accumulator_id="A-0003", battery_charge=97, result="opened"),
    models.CellResult(cell_number=5, accumulator_id="A-0009", battery_charge=95, result="jammed"),
]
_command = models.Command(
    command_id=COMMAND_ID,
    cabinet_id="C-001",
    kind="unlock",
    status="partially_succeeded",
    booking_id=None,
    payload={"cells": [3, 5]},
    cells=_results,
    created_at=NOON,
    published_at=NOON.replace(microsecond=12_000),
    finished_at=NOON.replace(microsecond=840_000),
    late=False,
    inferred=False,
    reason=None,
)

_REQUESTS: dict[str, BaseModel] = {
    "register_cabinet": models.CabinetRequest(
        cabinet_id="C-001", coords=_coords, address="Tverskaya 1, Moscow", cells_total=12
    ),
    "change_cabinet": models.CabinetChange(status="inactive", status_reason="being moved"),
    "change_cell": models.CellChange(health="disabled", reason="the door is bent"),
    "register_accumulator": models.AccumulatorRequest(
        accumulator_id="A-0003", battery_charge=97, contractor_id="T-7"
    ),
    "correct_accumulator": models.AccumulatorChange(
        place=models.WithContractor(contractor_id="T-7"), reason="found in the bag"
    ),
    "create_booking": models.BookingRequest(
        cabinet_id="C-001", contractor_id="T-7", kind="issue", count=2
    ),
    "create_swap": models.SwapRequest(
        scooter_id="S-1",
        contractor_id="T-7",
        installed_accumulator_id="A-0003",
        removed_accumulator_id="A-0042",
        removed_battery_charge=12,
    ),
}

_ANSWERS: dict[str, BaseModel] = {
    "list_cabinets": models.CabinetPage(cabinets=[_cabinet], next_cursor=None),
    "register_cabinet": _registered,
    "get_cabinet": _details,
    "change_cabinet": _details.model_copy(
        update={"status": "inactive", "status_reason": "being moved"}
    ),
    "change_cell": _cell.model_copy(
        update={"health": "disabled", "health_reason": "the door is bent"}
    ),
    "get_stats": models.Stats(
        cabinets=[
            models.CabinetStock(
                cabinet_id="C-001", accumulators=8, available=6, charge_mean=77.0, charge_min=12
            )
        ],
        contractors={"T-7": 2},
        places={"cabinet": 8, "contractor": 2, "scooter": 31, "nowhere": 0},
        bookings={"completed": 14, "expired": 1},
        commands={"succeeded": 27, "no_answer": 1},
        answer_times=models.AnswerTimes(count=27, median_ms=412.0, p99_ms=1903.5, max_ms=2210.0),
        anomalies={"unknown_command": 1},
        audit=models.Audit(ok=True, violations=[]),
    ),
    "get_health": models.Health.of(database=True, queue=True),
    "get_health 503": models.Health.of(database=True, queue=False),
    "list_accumulators": models.AccumulatorPage(accumulators=[_in_cabinet], next_cursor=None),
    "register_accumulator": _with_contractor,
    "get_accumulator": _in_cabinet,
    "correct_accumulator": _with_contractor,
    "list_movements": models.MovementPage(
        movements=[
            models.Movement(
                movement_id=1,
                accumulator_id="A-0003",
                at=NOON,
                cause="issued",
                from_=models.InCell(cabinet_id="C-001", cell_number=3),
                to=models.WithContractor(contractor_id="T-7"),
                battery_charge=97,
                booking_id=BOOKING_ID,
                command_id=COMMAND_ID,
                swap_id=None,
                discrepancy=False,
                reason=None,
            )
        ],
        next_cursor=None,
    ),
    "create_booking": _booking,
    "list_bookings": models.BookingPage(bookings=[_booking], next_cursor=None),
    "get_booking": _booking,
    "cancel_booking": _booking.model_copy(
        update={
            "status": "cancelled",
            "cells": [cell.model_copy(update={"state": "released"}) for cell in _booking.cells],
        }
    ),
    "unlock_booking": models.Unlock(
        booking_id=BOOKING_ID,
        command_id=COMMAND_ID,
        status="partially_completed",
        cells=_results,
        late=False,
    ),
    "send_command": _command,
    "get_command": _command,
    "create_swap": models.Swap(
        swap_id=SWAP_ID,
        scooter_id="S-1",
        contractor_id="T-7",
        installed=_accumulator("A-0003", 97, scooter_id="S-1"),
        removed=_accumulator("A-0042", 12, contractor_id="T-7"),
        at=NOON,
    ),
}

ERROR_FIELDS: dict[str, Any] = {
    "errors": [{"field": "count", "message": "Input should be less than or equal to 50"}],
    "requested": 3,
    "available": 1,
    "accumulator_id": "A-0003",
    "place": {"cabinet_id": "C-001", "cell_number": 3},
    "reason": "busy",
    "command_id": str(COMMAND_ID),
}
"""What errors add to a problem, by field."""


