"""A database is as empty for the next test as it was for the first."""

import pytest

from local.postgres import Postgres
from tests.support.database import query
from tests.support.reuse import Pool

ROWS = """
SELECT (SELECT count(*) FROM accumulators), (SELECT count(*) FROM movements),
       (SELECT count(*) FROM event_outbox), (SELECT count(*) FROM _yoyo_migration) > 0
"""
REGISTER = """
INSERT INTO accumulators (accumulator_id, status) VALUES ('A', 'in_service');
INSERT INTO movements (accumulator_id, at, cause) VALUES ('A', now(), 'registered')
"""


@pytest.fixture
def pool(postgres: Postgres, template: str) -> Pool:
    """Databases that no other test uses."""
    return Pool(postgres, template)


def test_rows_and_numbers_do_not_survive(pool: Pool) -> None:
    with pool.lent() as first:
        query(first, REGISTER)
        assert query(first, ROWS)[0][:2] == (1, 1)
    with pool.lent() as second:
        assert second == first
        assert query(second, ROWS) == [(0, 0, 0, True)]
        query(second, REGISTER)
        assert query(second, "SELECT movement_id FROM movements") == [(1,)]


@pytest.mark.parametrize(
    "change",
    [
        "CREATE TABLE added (a int)",
        "ALTER TABLE cabinets ADD COLUMN added int",
        "ALTER TABLE cabinets ALTER COLUMN address SET DEFAULT 'x'",
        "DROP INDEX commands_in_doubt",
        "CREATE OR REPLACE FUNCTION added() RETURNS int LANGUAGE sql AS 'SELECT 1'",
        "ALTER TABLE cabinets DISABLE TRIGGER ALL",
        "CREATE SCHEMA added",
        "DO $$BEGIN EXECUTE 'ALTER DATABASE ' || current_database() || ' SET work_mem = 65'; END$$",
        "INSERT INTO accumulators (accumulator_id, status) VALUES ('A', 'in_service'); ANALYZE",
    ],
)
def test_a_database_with_another_schema_is_not_used_again(pool: Pool, change: str) -> None:
    with pool.lent() as first:
        query(first, change)
    with pool.lent() as second:
        assert second != first
