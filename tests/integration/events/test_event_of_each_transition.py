"""Every transition of the state machines writes an event that shows the new state."""

from collections.abc import Iterator
from contextlib import closing
from typing import Any

import psycopg2
import psycopg2.extras
import pytest

from local.postgres import Postgres
from shared import states
from shared.models.events import TYPES
from shared.states import MACHINES, Machine
from tests.support import state_guard
from tests.support.database import cloned

CHANGES = [
    pytest.param(machine, source, t.target, id=f"{machine.name}-{source}-{t.target}")
    for machine in MACHINES
    for t in machine.transitions
    for source in t.sources
]

SEED = """
    INSERT INTO cabinets (cabinet_id, device_id, lat, lon, protocol, cells_total)
    VALUES ('C-1', 'D-1', 0, 0, 'native.v1', 1);
    INSERT INTO cells (cabinet_id, cell_number) VALUES ('C-1', 1);"""
INSERT = {
    states.BOOKING: """
    INSERT INTO bookings (booking_id, cabinet_id, contractor_id, kind, requested, status,
                          expires_at, finished_at)
    VALUES (%(id)s, 'C-1', 'T-1', 'return', 1, %(state)s, now() + interval '1 hour',
            CASE WHEN %(finished)s THEN now() END)""",
    states.BOOKING_CELL: """
    INSERT INTO bookings (booking_id, cabinet_id, contractor_id, kind, requested, expires_at)
    VALUES (%(id)s, 'C-1', 'T-1', 'return', 1, now() + interval '1 hour');
    INSERT INTO booking_cells (booking_id, cabinet_id, cell_number, state, finished)
    VALUES (%(id)s, 'C-1', 1, %(state)s, %(finished)s)""",
    states.COMMAND: """
    INSERT INTO commands (command_id, cabinet_id, kind, payload, status, requested_by, deadline)
    VALUES (%(id)s, 'C-1', 'lock', '{}', %(state)s, 'x', now())""",
    states.ACCUMULATOR: """
    INSERT INTO accumulators (accumulator_id, status) VALUES ('A-1', %(state)s)""",
    states.CABINET: "UPDATE cabinets SET status = %(state)s",
}
UPDATE = {
    states.BOOKING: """
    UPDATE bookings SET status = %(state)s, finished_at = CASE WHEN %(finished)s THEN now() END
     WHERE booking_id = %(id)s""",
    states.BOOKING_CELL: """
    UPDATE booking_cells SET state = %(state)s, finished = %(finished)s
     WHERE booking_id = %(id)s""",
    states.COMMAND: "UPDATE commands SET status = %(state)s WHERE command_id = %(id)s",
    states.ACCUMULATOR: "UPDATE accumulators SET status = %(state)s",
    states.CABINET: "UPDATE cabinets SET status = %(state)s",
}
ID = "00000000-0000-4000-8000-000000000001"


@pytest.fixture(scope="module")
def url(postgres: Postgres, template: str) -> Iterator[str]:
    with cloned(postgres, template) as url:
        with closing(psycopg2.connect(url)) as connection, connection.cursor() as cursor:
            cursor.execute(SEED)
            connection.commit()
            cursor.execute("DELETE FROM event_outbox")
            connection.commit()
        yield url


@pytest.fixture
def cursor(url: str) -> Iterator[Any]:
    """A cursor in a transaction that is rolled back."""
    with (
        closing(psycopg2.connect(url)) as connection,
        connection.cursor(cursor_factory=psycopg2.extras.RealDictCursor) as cursor,
    ):
        yield cursor


@pytest.mark.parametrize(("machine", "source", "target"), CHANGES)
def test_a_transition_writes_an_event(
    cursor: Any, machine: Machine, source: str, target: str
) -> None:
    cursor.execute(state_guard.OFF + INSERT[machine], _values(machine, source))
    _events(cursor)
    cursor.execute(UPDATE[machine], _values(machine, target))
    [event] = _events(cursor)
    assert event["type"] in TYPES
    assert (event["type"], event["subject"], _shown(machine, event["resource"])) == {
        states.BOOKING: (f"booking.{target}", ID, target),
        states.BOOKING_CELL: ("booking.changed", ID, target),
        states.COMMAND: (f"command.{target}", ID, target),
        states.ACCUMULATOR: ("accumulator.changed", "A-1", target),
        states.CABINET: ("cabinet.changed", "C-1", target),
    }[machine]


@pytest.mark.parametrize("machine", MACHINES, ids=lambda machine: machine.name)
def test_a_new_row_writes_an_event(cursor: Any, machine: Machine) -> None:
    if machine is states.CABINET:
        cursor.execute(SEED.replace("C-1", "C-2").replace("D-1", "D-2"))
    else:
        cursor.execute(INSERT[machine], _values(machine, machine.initial[0]))
    [event] = _events(cursor)
    assert event["type"] == {
        states.BOOKING: "booking.created",
        states.BOOKING_CELL: "booking.created",
        states.COMMAND: "command.pending",
        states.ACCUMULATOR: "accumulator.changed",
        states.CABINET: "cabinet.changed",
    }[machine]  # fmt: skip


def test_there_is_a_type_for_every_status_of_a_booking_and_of_a_command() -> None:
    wanted = {f"booking.{status}" for status in states.BOOKING.states}
    wanted |= {f"command.{status}" for status in states.COMMAND.states}
    assert wanted <= {*TYPES}


def _values(machine: Machine, state: str) -> dict[str, Any]:
    return {"id": ID, "state": state, "finished": state in machine.final}


def _events(cursor: Any) -> list[dict[str, Any]]:
    """Return the events that a commit would write now, and forget them."""
    cursor.execute("SET CONSTRAINTS ALL IMMEDIATE; SET CONSTRAINTS ALL DEFERRED")
    cursor.execute("SELECT set_config('feed.bookings', '', true)")  # as at the commit
    cursor.execute("DELETE FROM event_outbox RETURNING type, subject, resource, number")
    return sorted(cursor.fetchall(), key=lambda row: row["number"])


def _shown(machine: Machine, resource: dict[str, Any]) -> Any:
    if machine is states.BOOKING_CELL:
        return resource["cells"][0]["state"]
    return resource["status"]
