"""Two keys act at one cabinet: everything is attributable by the API, by the feed and by SQL."""

from typing import Any

from tests.support.local_cloud import Cabinet, LocalCloud

BACKEND, OPERATOR = "local-backend", "local-operator"


def events(stack: LocalCloud, cursor: str, more: str) -> list[dict[str, Any]]:
    """Return the events after a cursor."""
    found: list[dict[str, Any]] = []
    while True:
        page = stack.backend.get(f"/v1/events?after={cursor}&limit=1000{more}")
        found += page["events"]
        if page["cursor"] == cursor:
            return found
        cursor = page["cursor"]


def play(cabinet: Cabinet) -> tuple[str, str]:
    """Let both keys act; return the accumulator that was issued, and a booking that was cancelled.

    The backend's key books, unlocks and reports; the operator's cancels, corrects and disables.
    """
    stack = cabinet.stack
    booking = cabinet.book()
    unlocked = cabinet.unlock(booking).body
    [cell] = unlocked["cells"]
    cabinet.take(cell["cell_number"])
    cabinet.catch_up()  # a command of the operator
    accumulator_id: str = cell["accumulator_id"]
    transfer = {
        "from_contractor_id": cabinet.technician,
        "to_contractor_id": "VAN-1",
        "accumulator_ids": [accumulator_id],
    }
    stack.backend.post("/v1/transfers", transfer)
    correction = {"place": {"scooter_id": f"S-{cabinet.cabinet_id}"}, "reason": "found there"}
    path = f"/v1/accumulators/{accumulator_id}"
    stack.operator.expect({200}, "PATCH", path, correction)
    cancelled: str = cabinet.book()["booking_id"]
    stack.operator.expect({200}, "DELETE", f"/v1/bookings/{cancelled}")
    change = {"health": "disabled", "reason": "bent"}
    path = f"/v1/cabinets/{cabinet.cabinet_id}/cells/12"
    stack.operator.expect({200}, "PATCH", path, change)
    return accumulator_id, cancelled


def test_what_two_keys_did_is_attributable(stack: LocalCloud, cabinet: Cabinet) -> None:
    cursor = stack.backend.get("/v1/events")["cursor"]
    accumulator_id, cancelled = play(cabinet)

    of_cabinet = f"cabinet_id={cabinet.cabinet_id}"
    ledger = stack.backend.get(f"/v1/accumulators/{accumulator_id}/movements")["movements"]
    assert [(one["cause"], one["requested_by"]) for one in ledger][:3] == [
        ("corrected", OPERATOR),
        ("transferred", BACKEND),
        ("issued", None),
    ]
    booking = stack.backend.get(f"/v1/bookings/{cancelled}")
    assert (booking["requested_by"], booking["cancelled_by"]) == (BACKEND, OPERATOR)
    commands = stack.backend.get(f"/v1/commands?{of_cabinet}")["commands"]
    assert {(one["kind"], one["requested_by"]) for one in commands} == {
        ("unlock", BACKEND),
        ("report_state", OPERATOR),
    }
    assert cabinet.cell(12)["requested_by"] == OPERATOR

    for name, kinds in {
        BACKEND: {"booking.created", "booking.unlocking", "command.pending", "accumulator.moved"},
        OPERATOR: {"booking.cancelled", "command.pending", "accumulator.moved", "cell.changed"},
    }.items():
        found = [e for e in events(stack, cursor, f"&requested_by={name}") if concerns(e, cabinet)]
        assert {event["type"] for event in found} >= kinds
        assert {event["requested_by"] for event in found} == {name}
    by_cabinet = events(stack, cursor, f"&{of_cabinet}&types=booking.completed,accumulator.moved")
    assert {event["requested_by"] for event in by_cabinet} == {None}

    stored = stack.sql(
        """SELECT cause AS what, requested_by FROM movements WHERE accumulator_id = %(id)s
            UNION ALL SELECT 'booked', requested_by FROM bookings WHERE booking_id = %(booking)s
            UNION ALL SELECT 'cancelled', cancelled_by FROM bookings WHERE booking_id = %(booking)s
            UNION ALL SELECT DISTINCT kind, requested_by FROM commands WHERE cabinet_id = %(at)s
            UNION ALL SELECT health, requested_by FROM cells
                       WHERE (cabinet_id, cell_number) = (%(at)s, 12)""",
        id=accumulator_id,
        booking=cancelled,
        at=cabinet.cabinet_id,
    )
    assert {(row["what"], row["requested_by"]) for row in stored} >= {
        ("issued", None),
        ("transferred", BACKEND),
        ("corrected", OPERATOR),
        ("booked", BACKEND),
        ("cancelled", OPERATOR),
        ("unlock", BACKEND),
        ("report_state", OPERATOR),
        ("disabled", OPERATOR),
    }


def concerns(event: dict[str, Any], cabinet: Cabinet) -> bool:
    """Whether an event is of this test's cabinet or technician: other tests use the same cloud."""
    told = str((event["cabinet_id"], event["resource"]))
    return cabinet.cabinet_id in told or cabinet.technician in told
