"""The migration that divides the ledger by month: under load, and again after a kill."""

import threading
import time
from collections.abc import Iterator
from contextlib import closing
from typing import Any

import psycopg2
import pytest

from functions.migrate.main import MigrationFailed
from functions.migrate.main import handler as migrate
from local.postgres import Postgres
from tests.support.cloud import Context
from tests.support.database import migrated_before, query

VERSION = "0020_ledger_by_month"
ROWS = 3000
FILL = """
    CREATE ROLE {reader};
    GRANT SELECT ON movements TO {reader};
    SET session_replication_role = replica;
    INSERT INTO accumulators (accumulator_id, contractor_id)
    SELECT 'A-' || n, 'T-1' FROM generate_series(0, 9) n;
    INSERT INTO movements (accumulator_id, at, cause, to_contractor_id)
    SELECT 'A-' || n % 10, now() - interval '1 year' * (1 - n / {rows}.0), 'issued', 'T-1'
      FROM generate_series(1, {rows}) n"""
WRITE = """
    BEGIN;
    SELECT FROM accumulators WHERE accumulator_id = %(id)s FOR UPDATE;
    UPDATE accumulators SET scooter_id = NULL WHERE accumulator_id = %(id)s;
    INSERT INTO movements (accumulator_id, cause, to_contractor_id)
    VALUES (%(id)s, 'issued', 'T-1');
    COMMIT"""


@pytest.fixture
def filled(postgres: Postgres, monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """A database of the release before, with a year's movements and a role that reads them."""
    with migrated_before(VERSION, postgres, monkeypatch) as url:
        reader = f"reader_{time.monotonic_ns()}"
        query(url, FILL.format(reader=reader, rows=ROWS))
        query(url, f"COMMENT ON DATABASE {url.rpartition('/')[2]} IS '{reader}'")
        yield url
        query(url, f"DROP OWNED BY {reader}; DROP ROLE {reader}")


class Writer(threading.Thread):
    """Writes movements as the release before does, until it is stopped; keeps the longest wait."""

    def __init__(self, url: str, accumulator_id: str) -> None:
        super().__init__(daemon=True)
        self._url, self._id = url, accumulator_id
        self._stop_it = threading.Event()
        self.written, self.longest = 0, 0.0
        self.error: Exception | None = None

    def run(self) -> None:
        try:
            with closing(psycopg2.connect(self._url)) as connection:
                connection.autocommit = True
                while not self._stop_it.is_set():
                    began = time.monotonic()
                    connection.cursor().execute(WRITE, {"id": self._id})
                    self.longest = max(self.longest, time.monotonic() - began)
                    self.written += 1
        except psycopg2.Error as error:
            self.error = error

    def stop(self) -> None:
        self._stop_it.set()
        self.join(10)


def test_the_ledger_is_divided_while_the_release_before_writes(filled: str) -> None:
    writers = [Writer(filled, f"A-{n}") for n in range(2)]
    for writer in writers:
        writer.start()
    migrate({}, Context())
    for writer in writers:
        writer.stop()
    assert [writer.error for writer in writers] == [None, None]
    assert max(writer.longest for writer in writers) < 5
    written = sum(writer.written for writer in writers)
    assert written > 0
    [(count, numbers, last)] = query(
        filled, "SELECT count(*), count(DISTINCT movement_id), max(movement_id) FROM movements"
    )
    assert count == numbers == ROWS + written
    assert last >= count
    parts = query(filled, "SELECT name FROM movement_partitions ORDER BY until_at NULLS LAST")
    assert [name for (name,) in parts[:1] + parts[-1:]] == ["movements_first", "movements_default"]


def test_the_new_table_has_triggers_rights_and_numbers_of_the_old_one(filled: str) -> None:
    migrate({}, Context())
    [(reader,)] = query(
        filled,
        "SELECT shobj_description(oid, 'pg_database') FROM pg_database"
        " WHERE datname = current_database()",
    )
    as_reader = f"SET ROLE {reader}; SELECT count(*) FROM movements"  # noqa: S608 - ours
    assert query(filled, as_reader) == [(ROWS,)]
    query(filled, WRITE % {"id": "'A-0'"})
    assert query(filled, "SELECT max(movement_id) FROM movements") > [(ROWS,)]
    assert query(filled, "SELECT type FROM event_outbox") == [("accumulator.moved",)]
    with pytest.raises(psycopg2.errors.ForeignKeyViolation):
        query(filled, "INSERT INTO movements (accumulator_id, cause) VALUES ('X', 'issued')")


STEPS = [
    "VALIDATE CONSTRAINT",
    "max(accumulator_id)",
    "CALL divide_movements",
    "PROCEDURE IF EXISTS",
]


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
        with pytest.raises(MigrationFailed, match="killed"):
            migrate({}, Context())
    assert query(filled, "SELECT count(*) FROM movements") == [(ROWS,)]
    query(filled, WRITE % {"id": "'A-0'"})
    assert migrate({}, Context())["applied"] == [VERSION]
    assert query(filled, "SELECT count(*) FROM movements") == [(ROWS + 1,)]
    assert migrate({}, Context())["applied"] == []


def test_months_ahead_are_not_waited_for_when_the_ledger_is_locked(filled: str) -> None:
    migrate({}, Context())
    with closing(psycopg2.connect(filled)) as other:
        other.cursor().execute("LOCK TABLE accumulators IN ROW EXCLUSIVE MODE")
        assert query(filled, "SELECT add_movement_partitions(9)") == [(0,)]
        other.rollback()
    assert query(filled, "SELECT add_movement_partitions(9)") == [(6,)]
