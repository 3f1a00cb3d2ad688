"""Reading a ledger of three years by month: through indexes, and only the parts that can matter."""

import re
from typing import Any, cast

import pytest

from shared import db
from shared.db import Tx
from shared.repo import accumulators, contractors, stats
from tests.support.service import Service

pytestmark = pytest.mark.slow

_PARTS = """
    DO $$
    DECLARE
        first timestamptz := date_trunc('month', now(), 'UTC') - interval '36 months';
    BEGIN
        ALTER TABLE movements DETACH PARTITION movements_first;
        EXECUTE format('ALTER TABLE movements ATTACH PARTITION movements_first'
                       ' FOR VALUES FROM (MINVALUE) TO (%%L)', first);
        FOR n IN 0..36 LOOP
            IF NOT EXISTS (SELECT FROM movement_partitions
                            WHERE from_at = first + make_interval(months => n)) THEN
                CALL add_movement_partition('movements_month_' || n,
                    first + make_interval(months => n), first + make_interval(months => n + 1));
            END IF;
        END LOOP;
    END $$"""
_FILL = """
    INSERT INTO accumulators (accumulator_id, contractor_id, moved_at)
    SELECT 'A-' || n, 'T-' || n %% 50, now() - interval '30 days' FROM generate_series(0, 499) n;
    INSERT INTO movements (accumulator_id, at, cause, to_contractor_id)
    SELECT 'A-' || n %% 500, now() - interval '3 years' * (1 - n / 40000.0), 'issued',
           'T-' || n %% 50
      FROM generate_series(1, 40000) n;
    ANALYZE"""
_PAGE: dict[str, Any] = {
    **dict.fromkeys(["accumulator_id", "cabinet_id", "contractor_id", "scooter_id"]),
    **dict.fromkeys(["requested_by", "reported_by"]),
    **dict.fromkeys(["since", "until", "after_at", "after_id"]),
    "newest_first": True,
    "limit": 50,
}


class Explained:
    """Explains the statements that it is given, and returns no rows."""

    def __init__(self, tx: Tx) -> None:
        self._tx = tx
        self.plan = ""

    def all(self, sql: str, params: dict[str, Any] | None = None) -> list[Any]:
        rows = self._tx.all(f"EXPLAIN (ANALYZE, TIMING off) {sql}", params)
        self.plan = "\n".join(row["QUERY PLAN"] for row in rows)
        return []


@pytest.fixture
def ledger(service: Service) -> Service:
    service.sql(_PARTS)
    service.sql(_FILL)
    return service


def plan_of(query: Any) -> str:
    with db.transaction() as tx:
        explained = Explained(tx)
        query(cast("Tx", explained))
    return explained.plan


def scans(plan: str) -> tuple[int, int]:
    """Return how many parts with rows were read, by an index and from end to end."""
    run = [line for line in plan.splitlines() if " on movements_month_" in line]
    run = [line for line in run if "never executed" not in line]
    return sum("Index" in line for line in run), sum("Seq Scan" in line for line in run)


def rows_read(plan: str) -> int:
    """Return how many rows of parts were read, whether or not they met the conditions."""
    found = re.findall(r" on movements_\S+ .*actual rows=([\d.]+) loops=(\d+)", plan)
    removed = re.findall(r"Rows Removed by Filter: (\d+)", plan)
    return round(sum(float(rows) * int(loops) for rows, loops in found)) + sum(map(int, removed))


@pytest.mark.usefixtures("ledger")
def test_the_last_movements_are_looked_for_in_the_months_since_the_last_one() -> None:
    plan = plan_of(lambda tx: accumulators.last_movements(tx, ["A-1", "A-2"]))
    by_index, from_end_to_end = scans(plan)
    assert 1 <= by_index <= 2, plan
    assert from_end_to_end == 0, plan


@pytest.mark.usefixtures("ledger")
def test_contractors_are_listed_from_the_months_since_the_last_movement() -> None:
    query = {**_PAGE, "after": None, "min_accumulators": 0, "held_since_before": None}
    plan = plan_of(lambda tx: contractors.listing(tx, {**query, "max_items": 50}))
    assert scans(plan)[0] <= 2, plan
    assert scans(plan)[1] == 0, plan


@pytest.mark.usefixtures("ledger")
@pytest.mark.parametrize(
    "more", [{}, {"contractor_id": "T-1"}, {"accumulator_id": "A-1", "limit": 5}]
)
def test_a_page_by_time_reads_a_small_part_of_the_ledger(more: dict[str, Any]) -> None:
    plan = plan_of(lambda tx: accumulators.all_movements(tx, {**_PAGE, **more}))
    assert rows_read(plan) < 40_000 / 20, plan


@pytest.mark.usefixtures("ledger")
def test_an_accumulators_ledger_is_read_by_its_index() -> None:
    query = {"requested_by": None, "before": None, "limit": 5}
    plan = plan_of(lambda tx: accumulators.movements(tx, "A-1", query))
    assert scans(plan)[1] == 0, plan


@pytest.mark.usefixtures("ledger")
def test_the_audit_does_not_search_all_months_for_each_accumulator() -> None:
    plan = plan_of(stats.violations)
    searched = sum(
        int(loops) for loops in re.findall(r"Index.* on movements_month.* loops=(\d+)", plan)
    )
    assert searched < 2.5 * (500 + stats.MOVEMENTS_AUDITED), plan
