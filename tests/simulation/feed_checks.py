"""At the end of a run, replaying the feed gives the present, and its order is possible."""

from typing import Any

from shared.states import BOOKING, COMMAND
from tests.simulation.memory import Violation
from tests.simulation.state import RunState
from tests.support.state_guard import reachable

_EVENTS = """
    SELECT position, type, subject, resource FROM (
        SELECT position, type, subject, resource FROM events
         UNION ALL
        SELECT (SELECT position FROM feed) + row_number() OVER (ORDER BY number), type, subject,
               resource
          FROM event_outbox) e
     ORDER BY position"""
_STORED = {
    "booking": "SELECT booking_id::text AS subject, status FROM bookings",
    "command": """
        SELECT command_id::text AS subject, status FROM commands WHERE cabinet_id IS NOT NULL""",
    "accumulator": "SELECT accumulator_id AS subject, status FROM accumulators",
    "cabinet": "SELECT cabinet_id AS subject, status FROM cabinets",
}
_CELLS = """
    SELECT booking_id::text AS subject, jsonb_agg(jsonb_build_object('cell_number', cell_number,
               'accumulator_id', accumulator_id, 'state', state, 'reason', reason)
               ORDER BY cell_number) AS cells
      FROM booking_cells GROUP BY booking_id"""
_HARDWARE = """
    SELECT cabinet_id || '/' || cell_number AS subject, door, content FROM cells
     WHERE reported_at IS NOT NULL"""
_ONLINE = "SELECT cabinet_id AS subject, announced_online FROM cabinets"
_MACHINES = {"booking": BOOKING, "command": COMMAND}


def check_feed(sim: RunState) -> None:
    """Raise Violation if the feed differs from what is stored."""
    events = sim.database.query(_EVENTS)
    last = _last(events)
    for noun, query in _STORED.items():
        for row in sim.database.query(query):
            event = last.get((noun, row["subject"]), {})
            if event.get("status") != row["status"]:
                raise Violation("the feed ends with each status that is stored", (noun, row, event))
    for row in sim.database.query(_CELLS):
        told = [
            {name: cell[name] for name in ("cell_number", "accumulator_id", "state", "reason")}
            for cell in last[("booking", row["subject"])]["cells"]
        ]
        if told != row["cells"]:
            raise Violation("the feed ends with each booking's cells", (row, told))
    for row in sim.database.query(_HARDWARE):
        cell = last.get(("cell", row["subject"]), {})
        if (cell.get("door"), cell.get("content")) != (row["door"], row["content"]):
            raise Violation("the feed ends with each cell's door and content", (row, cell))
    _check_online(sim, events)
    _check_movements(sim, events)
    _check_order(events)


def _last(events: list[dict[str, Any]]) -> dict[tuple[str, str], dict[str, Any]]:
    """Return the last resource of each subject; movements are not among them."""
    return {
        (event["type"].partition(".")[0], event["subject"]): event["resource"]
        for event in events
        if event["type"] != "accumulator.moved"
    }


def _check_online(sim: RunState, events: list[dict[str, Any]]) -> None:
    told = {
        event["subject"]: event["type"] == "cabinet.online"
        for event in events
        if event["type"] in {"cabinet.online", "cabinet.offline"}
    }
    for row in sim.database.query(_ONLINE):
        if told.get(row["subject"], False) != row["announced_online"]:
            raise Violation("the feed says which cabinets are online", row)


def _check_movements(sim: RunState, events: list[dict[str, Any]]) -> None:
    """Each movement has one event, and those of an accumulator are in order."""
    rows = sim.database.query(
        """SELECT accumulator_id, array_agg(movement_id ORDER BY movement_id) AS ids
             FROM movements GROUP BY accumulator_id"""
    )
    told: dict[str, list[int]] = {}
    for event in events:
        if event["type"] == "accumulator.moved":
            told.setdefault(event["subject"], []).append(event["resource"]["movement_id"])
    stored = {row["accumulator_id"]: row["ids"] for row in rows}
    if told != stored:
        raise Violation("each movement has one event, in order", (stored, told))


def _check_order(events: list[dict[str, Any]]) -> None:
    """The statuses of a booking or a command follow each other as their machine allows."""
    before: dict[str, str] = {}
    for event in events:
        noun, _, what = event["type"].partition(".")
        machine = _MACHINES.get(noun)
        if machine is None or what in {"created", "changed"}:
            continue
        previous = before.get(event["subject"])
        if previous not in {None, what} and what not in reachable(machine, str(previous)):
            raise Violation(
                "a feed's statuses follow each other", (event["subject"], previous, what)
            )
        before[event["subject"]] = what
