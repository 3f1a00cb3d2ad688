"""The migrations since 0016: under load, and again after a kill. One divides the ledger by month.

They start from the schema of the release before, and give the users their rights.
"""

import threading
import time
from collections.abc import Iterator
from contextlib import closing
from typing import Any

import psycopg2
import pytest

from functions.migrate.main import MIGRATIONS, MigrationFailed
from local.postgres import Postgres
from tests.support.database import for_functions, invoke_migrate, migrated_before, query

pytestmark = pytest.mark.slow

FIRST = "0016_requested_by"
"""The first migration that the release before does not have."""
DIVIDES = "0020_ledger_by_month"
NEW = sorted(path.stem for path in MIGRATIONS.glob("*.sql") if path.stem >= FIRST)
ROWS = 3000
FILL = """
    CREATE ROLE {reader};
    GRANT SELECT ON movements TO {reader};
    SET LOCAL session_replication_role = replica;
    INSERT INTO cabinets (cabinet_id, device_id, lat, lon, protocol, cells_total)
    SELECT 'C-' || n, 'C-' || n, 0, 0, 'native.v1', 2 FROM generate_series(0, 9) n;
    INSERT INTO cells (cabinet_id, cell_number)
    SELECT cabinet_id, n FROM cabinets, generate_series(1, 2) n;
    INSERT INTO accumulators (accumulator_id, contractor_id)
    SELECT 'A-' || n, 'T-1' FROM generate_series(0, 9) n;
    INSERT INTO movements (accumulator_id, at, cause, to_contractor_id)
    SELECT 'A-' || n % 10, now() - interval '1 year' * (1 - n / {rows}.0), 'issued', 'T-1'
      FROM generate_series(1, {rows}) n"""
WRITE = """
    BEGIN;
    SELECT FROM cabinets WHERE cabinet_id = 'C-{n}' FOR UPDATE;
    UPDATE cabinets SET firmware = now()::text WHERE cabinet_id = 'C-{n}';
    UPDATE cells SET fault = now()::text WHERE cabinet_id = 'C-{n}' AND cell_number = 1;
    SELECT FROM accumulators WHERE accumulator_id = 'A-{n}' FOR UPDATE;
    UPDATE accumulators SET scooter_id = NULL WHERE accumulator_id = 'A-{n}';
    INSERT INTO movements (accumulator_id, cause, to_contractor_id)
    VALUES ('A-{n}', 'issued', 'T-1');
    INSERT INTO bookings (booking_id, cabinet_id, contractor_id, kind, requested, expires_at)
    VALUES (gen_random_uuid(), 'C-{n}', 'T-1', 'return', 1, now());
    INSERT INTO anomalies (reason, device_id, event_id, payload)
    VALUES ('malformed', 'C-{n}', gen_random_uuid()::text, '');
    COMMIT"""
READ = """
    BEGIN;
    SELECT count(*) FROM anomalies;
    SELECT count(*) FROM accumulators;
    SELECT count(*) FROM movements;
    SELECT count(*) FROM bookings;
    SELECT count(*) FROM cells;
    SELECT count(*) FROM cabinets;
    COMMIT"""
"""As `GET /v1/stats`: a request that only reads takes the locks of tables in any order."""


@pytest.fixture
def filled(postgres: Postgres, monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """A database of the release before, with a year's movements and a role that reads them."""
    with migrated_before(FIRST, postgres, monkeypatch) as url:
        reader = f"reader_{time.monotonic_ns()}"
        query(url, FILL.format(reader=reader, rows=ROWS))
        query(url, f"COMMENT ON DATABASE {url.rpartition('/')[2]} IS '{reader}'")
        yield url
        query(url, f"DROP OWNED BY {reader}; DROP ROLE {reader}")


class Client(threading.Thread):
    """Repeats a transaction of the release before until it is stopped; keeps the longest wait."""

    def __init__(self, url: str, statements: str) -> None:
        super().__init__(daemon=True)
        self._url, self._statements = url, statements
        self._stop_it = threading.Event()
        self.done, self.longest = 0, 0.0
        self.error: Exception | None = None

    def run(self) -> None:
        try:
            with closing(psycopg2.connect(self._url)) as connection:
                connection.autocommit = True
                while not self._stop_it.is_set():
                    began = time.monotonic()
                    connection.cursor().execute(self._statements)
                    self.longest = max(self.longest, time.monotonic() - began)
                    self.done += 1
        except psycopg2.Error as error:
            self.error = error

    def stop(self) -> None:
        self._stop_it.set()
        self.join(10)


def test_the_schema_is_migrated_while_the_release_before_writes_and_reads(filled: str) -> None:
    writers = [Client(filled, WRITE.format(n=n)) for n in range(2)]
    clients = [*writers, Client(filled, READ)]
    for client in clients:
        client.start()
    try:
        applied = invoke_migrate(filled)["applied"]
    finally:
        for client in clients:
            client.stop()
    assert applied == NEW
    assert [client.error for client in clients] == [None, None, None]
    assert max(client.longest for client in clients) < 5
    assert all(client.done for client in clients)
    written = sum(writer.done for writer in writers)
    [(count, numbers, last)] = query(
        filled, "SELECT count(*), count(DISTINCT movement_id), max(movement_id) FROM movements"
    )
    assert count == numbers == ROWS + written
    assert last >= count
    parts = query(filled, "SELECT name FROM movement_partitions ORDER BY until_at NULLS LAST")
    assert [name for (name,) in parts[:1] + parts[-1:]] == ["movements_first", "movements_default"]


def test_the_new_table_has_triggers_rights_and_numbers_of_the_old_one(filled: str) -> None:
    invoke_migrate(filled)
    [(reader,)] = query(
        filled,
        "SELECT shobj_description(oid, 'pg_database') FROM pg_database"
        " WHERE datname = current_database()",
    )
    as_reader = f"SET LOCAL ROLE {reader}; SELECT count(*) FROM movements"  # noqa: S608 - ours
    assert query(filled, as_reader) == [(ROWS,)]
    query(for_functions(filled), WRITE.format(n=0))
    assert query(filled, "SELECT max(movement_id) FROM movements") > [(ROWS,)]
    assert query(filled, "SELECT type FROM event_outbox ORDER BY 1") == [
        ("accumulator.moved",),
        ("anomaly.raised",),
        ("booking.created",),
        ("cell.changed",),
    ]
    with pytest.raises(psycopg2.errors.ForeignKeyViolation):
        query(filled, "INSERT INTO movements (accumulator_id, cause) VALUES ('X', 'issued')")


STEPS = {
    "CREATE TABLE IF NOT EXISTS removals": "0016_requested_by",
    "cells ADD COLUMN IF NOT EXISTS held_back": "0017_suspects",
    "TRIGGER IF EXISTS event_of_change ON cells": "0017_suspects",
    "INDEX CONCURRENTLY movements_claims_idx": "0018_claims",
    "VALIDATE CONSTRAINT": DIVIDES,
    "max(accumulator_id)": DIVIDES,
    "CALL divide_movements": DIVIDES,
    "PROCEDURE IF EXISTS": DIVIDES,
}
"""A part of a statement, and the migration that has it."""


@pytest.mark.parametrize("step", STEPS)
def test_a_migration_that_was_killed_is_completed_by_the_next(
    filled: str, step: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    from yoyo.migrations import MigrationStep  # noqa: PLC0415 - only here

    execute = MigrationStep._execute

    def killed(self: Any, cursor: Any, statement: Any, *more: Any) -> Any:
        if step in str(statement):
            raise psycopg2.OperationalError("killed")
        return execute(self, cursor, statement, *more)

    with monkeypatch.context() as patch:
        patch.setattr(MigrationStep, "_execute", killed)
        with pytest.raises(MigrationFailed, match=f"{STEPS[step]}: killed"):
            invoke_migrate(filled)
    assert query(filled, "SELECT count(*) FROM movements") == [(ROWS,)]
    query(filled, WRITE.format(n=0))
    assert invoke_migrate(filled)["applied"] == [name for name in NEW if name >= STEPS[step]]
    assert query(filled, "SELECT count(*) FROM movements") == [(ROWS + 1,)]
    assert invoke_migrate(filled)["applied"] == []


def test_months_ahead_are_not_waited_for_when_the_ledger_is_locked(filled: str) -> None:
    invoke_migrate(filled)
    with closing(psycopg2.connect(filled)) as other:
        other.cursor().execute("LOCK TABLE accumulators IN ROW EXCLUSIVE MODE")
        assert query(filled, "SELECT add_movement_partitions(9)") == [(0,)]
        other.rollback()
    assert query(filled, "SELECT add_movement_partitions(9)") == [(6,)]
