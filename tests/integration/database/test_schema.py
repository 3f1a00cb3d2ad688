"""The schema: its constraints, and the view of what can be issued and returned."""

from collections.abc import Iterator
from contextlib import closing
from typing import Any

import psycopg2
import psycopg2.errors
import pytest

from local.postgres import Postgres
from tests.support import state_guard
from tests.support.database import cloned, query

# --- constraints ------------------------------------------------------------------------------

SEED = """
    INSERT INTO cabinets (cabinet_id, device_id, lat, lon, protocol, cells_total)
    VALUES ('C-1', 'C-1', 0, 0, 'native.v1', 3), ('C-2', 'C-2', 0, 0, 'native.v1', 1);
    INSERT INTO cells (cabinet_id, cell_number, door, content, reported_id)
    VALUES ('C-1', 1, 'closed', 'occupied', 'A-1'), ('C-1', 2, 'closed', 'empty', NULL),
           ('C-1', 3, 'closed', 'empty', NULL), ('C-2', 1, 'closed', 'empty', NULL);
    INSERT INTO accumulators (accumulator_id, cabinet_id, cell_number, battery_charge)
    VALUES ('A-1', 'C-1', 1, 98), ('A-2', NULL, NULL, 50);
    INSERT INTO bookings (booking_id, cabinet_id, contractor_id, kind, requested, min_charge,
                          expires_at)
    SELECT ('00000000-0000-0000-0000-00000000000' || n)::uuid, 'C-1', 'T-1', 'issue', 1, 80,
           now() + interval '1 hour' FROM generate_series(1, 2) n;
    INSERT INTO commands (command_id, cabinet_id, kind, payload, booking_id, requested_by,
                          deadline)
    VALUES ('00000000-0000-0000-0000-000000000009', 'C-1', 'unlock', '{"cells": [1]}',
            '00000000-0000-0000-0000-000000000001', 'x', now());
    INSERT INTO idempotency_keys (caller, route, key, fingerprint, request_id, claimed_until)
    VALUES ('a', 'b', 'c', 'd', gen_random_uuid(), now());
    INSERT INTO anomalies (reason, event_id, payload) VALUES ('r', 'e', '')"""

ONE, TWO = (f"'00000000-0000-0000-0000-00000000000{n}'" for n in (1, 2))
HOLD = "INSERT INTO booking_cells (booking_id, cabinet_id, cell_number, accumulator_id) VALUES"
HELD = f"{HOLD} ({ONE}, 'C-1', 1, 'A-1')"
RELEASED = "UPDATE booking_cells SET state = 'released', finished = true"
MOVEMENT = "INSERT INTO movements (accumulator_id, cause"
COMMAND = (
    "INSERT INTO commands (command_id, cabinet_id, kind, payload, booking_id, requested_by,"
    " deadline, status) VALUES (gen_random_uuid(), 'C-1', 'unlock', '{}', "
)

CHECKED = [
    "UPDATE anomalies SET open = false",
    "UPDATE anomalies SET acknowledged_note = 'seen'",
    "UPDATE anomalies SET acknowledged_at = now(), acknowledged_by = 'x', acknowledged_note = ''",
    "UPDATE cabinets SET lat = 91",
    "UPDATE cabinets SET lon = -181",
    "UPDATE cabinets SET status = 'broken'",
    "UPDATE cabinets SET cells_total = 0",
    "UPDATE cabinets SET device_id = 'a b' WHERE cabinet_id = 'C-1'",
    "UPDATE cabinets SET device_id = '' WHERE cabinet_id = 'C-1'",
    "UPDATE cabinets SET device_id = repeat('x', 65) WHERE cabinet_id = 'C-1'",
    "INSERT INTO boots VALUES ('C-1', '', 1)",
    "INSERT INTO boots VALUES ('C-1', 'b', 0)",
    "INSERT INTO cells (cabinet_id, cell_number) VALUES ('C-1', 0)",
    "INSERT INTO cells (cabinet_id, cell_number) VALUES ('C-1', 1001)",
    "UPDATE cells SET door = 'ajar'",
    "UPDATE cells SET content = 'full'",
    "UPDATE cells SET content = 'occupied' WHERE cell_number = 2",
    "UPDATE cells SET reported_id = 'A-1' WHERE cell_number = 2",
    "UPDATE cells SET health = 'poor'",
    "UPDATE cells SET health = 'faulty'",
    "UPDATE accumulators SET battery_charge = 101",
    "UPDATE accumulators SET battery_charge = -1",
    "UPDATE accumulators SET state_of_health = 101",
    "UPDATE accumulators SET status = 'lost'",
    "UPDATE accumulators SET contractor_id = 'T-1' WHERE accumulator_id = 'A-1'",
    "UPDATE accumulators SET scooter_id = 'S-1' WHERE accumulator_id = 'A-1'",
    "UPDATE accumulators SET contractor_id = 'T-1', scooter_id = 'S-1' WHERE cabinet_id IS NULL",
    "UPDATE accumulators SET cell_number = NULL WHERE accumulator_id = 'A-1'",
    "UPDATE accumulators SET status = 'retired' WHERE accumulator_id = 'A-1'",
    f"{MOVEMENT}) VALUES ('A-1', 'stolen')",
    f"{MOVEMENT}, from_cabinet_id) VALUES ('A-1', 'reported', 'C-1')",
    f"{MOVEMENT}, to_cell_number) VALUES ('A-1', 'reported', 1)",
    f"{MOVEMENT}, from_contractor_id, from_scooter_id) VALUES ('A-1', 'reported', 'T', 'S')",
    f"{MOVEMENT}, to_contractor_id, to_scooter_id) VALUES ('A-1', 'reported', 'T', 'S')",
    "UPDATE bookings SET kind = 'loan'",
    "UPDATE bookings SET status = 'done', finished_at = now()",
    "UPDATE bookings SET requested = 0",
    "UPDATE bookings SET requested = 51",
    "UPDATE bookings SET status = 'completed'",
    "UPDATE bookings SET finished_at = now()",
    "UPDATE bookings SET status = 'returning'",
    "UPDATE bookings SET min_charge = NULL",
    f"{HELD}; UPDATE booking_cells SET finished = true",  # noqa: S608 - constants
    f"{HELD}; UPDATE booking_cells SET state = 'released'",  # noqa: S608 - constants
    f"{HELD}; UPDATE booking_cells SET state = 'gone', finished = true",  # noqa: S608 - constants
    "UPDATE commands SET status = 'sent'",
    "UPDATE idempotency_keys SET key = ''",
    "INSERT INTO stock_samples VALUES ('2026-11-22 12:00:01', 0, 0, 0, 0)",
    "INSERT INTO stock_samples VALUES ('2026-11-22 12:00', -1, 0, 0, 0)",
    "INSERT INTO stock_samples VALUES ('2026-11-22 12:00', 0, 0, 2, 1)",
    "UPDATE idempotency_keys SET key = repeat('x', 129)",
]
UNIQUE = [
    "INSERT INTO stock_samples SELECT '2026-11-22 12:00', n, 0, 0, 0 FROM generate_series(1, 2) n",
    "UPDATE cabinets SET device_id = 'C-1'",
    "INSERT INTO boots VALUES ('C-1', 'a', 1), ('C-1', 'b', 1)",
    "INSERT INTO boots VALUES ('C-1', 'a', 1), ('C-1', 'a', 2)",
    "UPDATE accumulators SET cabinet_id = 'C-1', cell_number = 1",
    f"{HOLD} ({ONE}, 'C-1', 1, 'A-1'), ({TWO}, 'C-1', 1, 'A-2')",
    f"{HOLD} ({ONE}, 'C-1', 1, 'A-1'), ({TWO}, 'C-1', 2, 'A-1')",
    f"{COMMAND} {ONE}, 'x', now(), 'pending')",
    f"{COMMAND} {ONE}, 'x', now(), 'published')",
    f"{COMMAND} {ONE}, 'x', now(), 'no_answer')",
    "INSERT INTO idempotency_keys SELECT * FROM idempotency_keys",
    "INSERT INTO anomalies (reason, event_id, payload) VALUES ('r', 'e', 'x')",
]
REFERRING = [
    "INSERT INTO cells (cabinet_id, cell_number) VALUES ('C-9', 1)",
    "UPDATE accumulators SET cell_number = 4 WHERE accumulator_id = 'A-1'",
    "DELETE FROM cabinets WHERE cabinet_id = 'C-1'",
    f"{MOVEMENT}) VALUES ('A-9', 'registered')",
    f"{MOVEMENT}) VALUES ('A-2', 'registered'); DELETE FROM accumulators",  # noqa: S608 - constants
    f"{HOLD} ({ONE}, 'C-1', 1, 'A-9')",
    "UPDATE bookings SET command_id = gen_random_uuid()",
    "UPDATE cells SET opened_by = gen_random_uuid()",
]
ALLOWED = [
    f"{COMMAND} {ONE}, 'x', now(), 'not_executed')",
    f"{COMMAND} {TWO}, 'x', now(), 'pending')",
    f"{COMMAND} NULL, 'x', now(), 'pending'); {COMMAND} NULL, 'x', now(), 'pending')",
    f"{HOLD} ({ONE}, 'C-1', 2, NULL), ({TWO}, 'C-1', 3, NULL)",
    f"{HELD}; {RELEASED}; {HOLD} ({TWO}, 'C-1', 1, 'A-1')",
    "UPDATE accumulators SET cabinet_id = 'C-1', cell_number = 3 - right(accumulator_id, 1)::int",
    "INSERT INTO anomalies (reason, event_id, payload, detail) VALUES ('r', 'e', '', 'other')",
]


@pytest.mark.parametrize(
    ("statement", "violation"),
    [(s, psycopg2.errors.CheckViolation) for s in CHECKED]
    + [(s, psycopg2.errors.UniqueViolation) for s in UNIQUE]
    + [(s, psycopg2.errors.ForeignKeyViolation) for s in REFERRING],
)
def test_the_schema_rejects_an_impossible_row(
    seeded: Any, statement: str, violation: type[Exception]
) -> None:
    with pytest.raises(violation):
        seeded.execute(statement)


@pytest.mark.parametrize("statement", ALLOWED)
def test_the_schema_accepts_a_valid_row(seeded: Any, statement: str) -> None:
    seeded.execute(state_guard.OFF)
    seeded.execute(statement)


@pytest.fixture(scope="module")
def seeded_url(postgres: Postgres, template: str) -> Iterator[str]:
    with cloned(postgres, template) as url:
        query(url, SEED)
        yield url


@pytest.fixture
def seeded(seeded_url: str) -> Iterator[Any]:
    """A cursor on the rows of SEED, in a transaction that is rolled back."""
    with closing(psycopg2.connect(seeded_url)) as connection, connection.cursor() as cursor:
        yield cursor


# --- the view stock ---------------------------------------------------------------------------

SETTLED = "UPDATE commands SET status = 'succeeded'"


def stock(seeded: Any) -> list[tuple[int, bool, bool]]:
    """Return each cell of C-1, whether it is issuable, and whether it is free."""
    seeded.execute(
        "SELECT cell_number, issuable, free FROM stock WHERE cabinet_id = 'C-1' ORDER BY 1"
    )
    return list(seeded.fetchall())


def test_a_usable_cell_is_issuable_or_free(seeded: Any) -> None:
    seeded.execute(SETTLED)
    assert stock(seeded) == [(1, True, False), (2, False, True), (3, False, True)]


@pytest.mark.parametrize("status", ["pending", "published", "no_answer"])
def test_a_cell_with_an_unsettled_command_is_neither_issuable_nor_free(
    seeded: Any, status: str
) -> None:
    change = "UPDATE commands SET status = %(status)s, payload = '{\"cells\": [1, 3]}'"
    seeded.execute(change, {"status": status})
    assert stock(seeded) == [(1, False, False), (2, False, True), (3, False, False)]


@pytest.mark.parametrize(
    "statement",
    [
        "UPDATE cells SET door = 'open'",
        "UPDATE cells SET door = 'unknown'",
        "UPDATE cells SET fault = 'sensor'",
        "UPDATE cells SET health = 'disabled', health_reason = 'x'",
        "UPDATE cells SET health = 'faulty', health_reason = 'x'",
        f"{HOLD} ({ONE}, 'C-1', 1, 'A-1'), ({ONE}, 'C-1', 2, NULL), ({ONE}, 'C-1', 3, NULL)",
        "UPDATE cells SET content = 'unknown', reported_id = NULL",
        "UPDATE cells SET content = 'unidentified', reported_id = NULL",
    ],
)
def test_an_open_faulty_held_or_unknown_cell_is_neither_issuable_nor_free(
    seeded: Any, statement: str
) -> None:
    seeded.execute(SETTLED)
    seeded.execute(statement)
    assert stock(seeded) == [(n, False, False) for n in (1, 2, 3)]


@pytest.mark.parametrize(
    "change",
    [
        "status = 'quarantined'",
        "status = 'missing'",
        "battery_charge = NULL",
        "cabinet_id = NULL, cell_number = NULL",
    ],
)
def test_a_cell_with_an_unfit_accumulator_is_not_issuable(seeded: Any, change: str) -> None:
    seeded.execute(SETTLED)
    seeded.execute(f"UPDATE accumulators SET {change}")  # noqa: S608 - constants
    assert stock(seeded)[0] == (1, False, False)


def test_an_empty_cell_with_a_recorded_accumulator_is_not_free(seeded: Any) -> None:
    seeded.execute(SETTLED)
    seeded.execute(
        "UPDATE accumulators SET cabinet_id = 'C-1', cell_number = 2 WHERE accumulator_id = 'A-2'"
    )
    assert stock(seeded)[1] == (2, False, False)


def test_a_hold_counts_until_expiry_or_while_unlocking(seeded: Any) -> None:
    seeded.execute(SETTLED)
    seeded.execute(f"{HOLD} ({ONE}, 'C-1', 1, 'A-1')")
    seeded.execute("UPDATE bookings SET expires_at = now() - interval '1 second'")
    assert stock(seeded)[0] == (1, True, False)
    seeded.execute("UPDATE bookings SET status = 'unlocking'")
    assert stock(seeded)[0] == (1, False, False)
