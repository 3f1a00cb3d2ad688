"""A year of 10,000 cabinets: what it takes on disk, and what it costs a booking."""

import tempfile
import time
from collections import defaultdict
from collections.abc import Iterator
from contextlib import closing, contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from benchmarks import city, database, operations, service
from benchmarks.city import City
from benchmarks.database import Database
from benchmarks.figures import Figure, Measured, Table, median, percentile, readable
from benchmarks.service import Service
from functions.migrate import main as migrate
from local.functions import FunctionPool
from shared import config
from shared.services import retention

_HOW = """\
Two databases with the same {cabinets:,} cabinets: one has no past, the other {movements:,}
movements with their bookings and commands, spread over a year, in a part of the ledger for each
month. A year of such a city has {year:.0f} million; sizes are scaled up to that. Each operation
runs {calls} times on each, in {rounds} alternating blocks, one call at a time, by calling its
handler in process. What other programs do on the machine so affects both. Figures compare the year
with the empty past ("baseline")."""
_YEAR = 30_000_000
_RATIO = 1.2
_MONTHS = 12
_PARTS = """
    DO $$
    DECLARE
        first timestamptz := date_trunc('month', now(), 'UTC') - make_interval(months => {months});
    BEGIN
        ALTER TABLE movements DETACH PARTITION movements_first;
        EXECUTE format('ALTER TABLE movements ATTACH PARTITION movements_first'
                       ' FOR VALUES FROM (MINVALUE) TO (%L)', first);
        FOR n IN 0..{months} LOOP
            IF NOT EXISTS (SELECT FROM movement_partitions
                            WHERE from_at = first + make_interval(months => n)) THEN
                CALL add_movement_partition(
                    to_char(first + make_interval(months => n), '"movements_"YYYY_MM'),
                    first + make_interval(months => n), first + make_interval(months => n + 1));
            END IF;
        END LOOP;
    END $$"""
_SIZES = """
    SELECT CASE WHEN relname LIKE 'movements%' THEN 'movements' ELSE relname END AS name,
           sum(pg_table_size(c.oid))::bigint, sum(pg_indexes_size(c.oid))::bigint
      FROM pg_class c
     WHERE relnamespace = 'public'::regnamespace AND relkind = 'r' AND relname !~ 'yoyo'
     GROUP BY 1 ORDER BY 2 DESC LIMIT 8"""
_DEAD = """
    SELECT relname, n_live_tup, n_dead_tup FROM pg_stat_user_tables
     WHERE n_dead_tup > 0 ORDER BY n_dead_tup DESC LIMIT 5"""


def measure(*, quick: bool) -> Measured:
    """Measure both databases in turn; then the archive of a month, and a poll that removes."""
    place, calls, rounds = (City(200, 1), 10, 2) if quick else (City(10_000, 2), 120, 4)
    with database.running() as empty, database.running() as year:
        city.fill(empty, City(place.cabinets))
        _divide(year)
        city.fill(year, place, days=365)
        seconds = [defaultdict[str, list[float]](list), defaultdict[str, list[float]](list)]
        for block in range(rounds):
            numbers = range(block * calls // rounds, (block + 1) * calls // rounds)
            for db, found in zip((empty, year), seconds, strict=True):
                with service.running(db) as running:
                    for number in numbers:
                        _perform(running, place, number, found)
        dead, sizes = year.sql(_DEAD), year.sql(_SIZES)
        upkeep = _upkeep(year)
    how = _HOW.format(
        cabinets=place.cabinets,
        movements=place.movements,
        year=_YEAR / 1e6,
        calls=calls,
        rounds=rounds,
    )
    tables = [_operations(seconds), _disk(sizes, place), _vacuum(dead), upkeep]
    return Measured(how, _figures(seconds), tables)


def _divide(db: Database) -> None:
    """Give the ledger a part for each month of the past year, as if it had run so long."""
    db.sql(_PARTS.format(months=_MONTHS))


def _perform(running: Service, place: City, number: int, found: dict[str, list[float]]) -> None:
    def timed(step: operations.Step) -> Any:
        answer, call = operations.perform(running, step)
        if number > 0:  # the first one connects
            found[step.name].append(call.seconds)
        return answer

    near = f"/v1/cabinets?near={operations.near(number)}"
    timed(operations.Step("list_cabinets near", "GET", near))
    technician = 1 + number % place.technicians
    for kind in ("movements", "bookings"):
        path = f"/v1/{kind}?contractor_id=T-{technician}&limit=50"
        name = "list_all_movements" if kind == "movements" else "list_bookings"
        timed(operations.Step(f"{name} of a contractor", "GET", path))
    operations.visit(timed, running, place, number)


@contextmanager
def _clock() -> Iterator[list[float]]:
    began, took = time.perf_counter(), [0.0]
    yield took
    took[0] = time.perf_counter() - began


def _upkeep(db: Database) -> Table:
    """Archive the oldest full month, and remove the oldest bookings."""
    [[month, movements]] = db.sql(
        "SELECT to_char(p.until_at AT TIME ZONE 'UTC', 'YYYY-MM'),"
        " (SELECT count(*) FROM movements m WHERE m.at >= p.from_at AND m.at < p.until_at)"
        " FROM movement_partitions p WHERE p.from_at > '-infinity' ORDER BY p.from_at LIMIT 1"
    )
    with (
        tempfile.TemporaryDirectory() as folder,
        service.running(db, {"ARCHIVE_DIRECTORY": folder}),
    ):
        pool = FunctionPool({"migrate": migrate.handler})
        with closing(pool), _clock() as archived:
            pool.invoke("migrate", {"archive": month}, timeout=600)
        size = sum(path.stat().st_size for path in Path(folder).iterdir())
        with service.running(db, {"BOOKING_KEEP_DAYS": "200"}), _clock() as removed:
            done = retention.apply(config.settings())
    return Table(
        ["work", "rows", "seconds", "note"],
        [
            [
                "archive a month, verify the file, drop its movements",
                f"{movements:,}",
                readable(archived[0]),
                f"{size / max(1, movements):.0f} bytes a movement in the file",
            ],
            [
                "a poll that removes bookings, with their cells and commands",
                f"{done.bookings_removed:,}",
                readable(removed[0]),
                f"{1000 * removed[0] / max(1, done.bookings_removed):.2f} ms a booking",
            ],
        ],
        f"Upkeep, measured on {datetime.now(UTC):%d %B %Y}.",
    )


def _figures(seconds: list[defaultdict[str, list[float]]]) -> list[Figure]:
    figures = []
    for name in ("list_cabinets near", "create_booking"):
        before, after = (1000 * percentile(of[name], 99) for of in seconds)
        figures.append(
            Figure(
                work=f"{name}, p99, with a year's past",
                ours=after,
                unit="ms",
                baseline=before,
                goal=f"≤ {_RATIO} x",
                met=after <= _RATIO * before,
            )
        )
    return figures


def _operations(seconds: list[defaultdict[str, list[float]]]) -> Table:
    empty, year = seconds
    rows = [
        [
            name,
            *(
                readable(1000 * value)
                for of in (empty, year)
                for value in (median(of[name]), percentile(of[name], 99))
            ),
            f"{median(year[name]) / median(empty[name]):.2f}",
        ]
        for name in empty
    ]
    headers = ["operation", "no past: p50", "p99", "a year: p50", "p99", "p50 ratio"]
    return Table(headers, rows, "Milliseconds.")


def _disk(sizes: list[tuple[Any, ...]], place: City) -> Table:
    scale = _YEAR / place.movements
    rows = [
        [
            name,
            *(readable(n / 1e6) for n in (table, indexes)),
            readable(scale * (table + indexes) / 1e9),
        ]
        for name, table, indexes in sizes
    ]
    return Table(
        ["table", "rows, MB", "indexes, MB", f"at {_YEAR / 1e6:.0f} million movements, GB"],
        rows,
        "Disk. What does not grow with the movements (accumulators, cells) is scaled up, too.",
    )


def _vacuum(dead: list[tuple[Any, ...]]) -> Table:
    return Table(
        ["table", "live rows", "dead rows"],
        [[name, f"{live:,}", f"{gone:,}"] for name, live, gone in dead],
        "Dead rows after these operations, which autovacuum removes. A part of the ledger has none:"
        " its rows are only added, and go with their part.",
    )
