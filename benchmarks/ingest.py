"""State reports through mqtt_trigger: reports per second, and what they write."""

import io
import time
from collections.abc import Callable, Iterable, Iterator
from functools import partial
from itertools import cycle, islice

import psycopg2

from benchmarks import city, database, service
from benchmarks.city import City
from benchmarks.database import Database
from benchmarks.figures import Figure, Measured, Table, median, readable
from benchmarks.reports import Reports
from benchmarks.service import Service

_HOW = """\
Reports of 12 cells, 10 of them occupied, from {cabinets} cabinets in turn, to the handler of
`mqtt_trigger` in process. 10 % of the cells report a changed charge. This process and all
processes of PostgreSQL run on one core (`sched_setaffinity`), with fsync on. Baseline: COPY of
the same cells into a table without an index, one COPY and one commit per batch, on the same
server and core, with the text prepared beforehand. Medians of {runs} runs."""
_CABINETS = 1000
_GOAL = 2000
_BATCH_OF_GOAL = 100
_BARE = """
    CREATE TABLE IF NOT EXISTS bare (cabinet_id text, cell_number smallint, door text,
        accumulator_id text, battery_charge smallint, state_of_health smallint, charging boolean,
        temperature_c real, seq bigint)"""


def measure(*, quick: bool) -> Measured:
    """Measure reports per second by batch size, write-ahead log per report, and growth."""
    cabinets = 100 if quick else _CABINETS
    runs = 1 if quick else 3
    with database.running() as db, database.one_core(db):
        city.fill(db, City(cabinets))
        db.sql(_BARE)
        with service.running(db) as running:
            bench = _Bench(db, running, cabinets)
            bench.warm_up()
            figures = [bench.speed(batch, runs, quick=quick) for batch in (1, 10, 100)]
            tables = [bench.written(), bench.growth(runs)]
    return Measured(_HOW.format(cabinets=cabinets, runs=runs), figures, tables)


class _Bench:
    def __init__(self, db: Database, running: Service, cabinets: int) -> None:
        self._db = db
        self._service = running
        self._reports = Reports(running)
        self._turn = cycle(range(1, cabinets + 1))
        self._cabinets = cabinets
        self._bare = psycopg2.connect(db.url)

    def warm_up(self) -> None:
        """Have every cabinet report once, to fill caches and log every page in full."""
        self._send(self._cabinets, 100)

    def speed(self, batch: int, runs: int, *, quick: bool) -> Figure:
        """Reports per second in batches of this size."""
        reports = max(batch, {1: 300, 10: 1000, 100: 3000}[batch] // (5 if quick else 1))
        ours, baseline, python, server = [], [], [], []
        for _ in range(runs):
            before = self._db.cpu_seconds()
            took, cpu = self._send(reports, batch)
            ours.append(reports / took)
            python.append(1e6 * cpu / reports)
            server.append(1e6 * (self._db.cpu_seconds() - before) / reports)
            baseline.append(reports / self._copy(reports, batch))
        speed = median(ours)
        aimed = batch == _BATCH_OF_GOAL
        return Figure(
            work=f"in batches of {batch}",
            ours=speed,
            unit="reports/s",
            baseline=median(baseline),
            goal=f"≥ {_GOAL:,}" if aimed else "",
            met=speed >= _GOAL if aimed else None,
            note=f"µs of CPU per report: Python {median(python):.0f},"
            f" PostgreSQL {median(server):.0f}",
        )

    def written(self) -> Table:
        """Write-ahead log by share of changed cells, right after a checkpoint and later."""
        rows = []
        for changed in (0.0, 0.1, 1.0):
            self._db.sql("CHECKPOINT")
            send = partial(self._send, self._cabinets, 100, changed)
            first, again = self._wal(send), median([self._wal(send) for _ in range(3)])
            rows.append([f"{changed:.0%} of the cells changed", *map(readable, (again, first))])
        self._db.sql("CHECKPOINT")
        copied = self._wal(lambda: self._copy(self._cabinets, 100))
        rows.append(["baseline: COPY of all cells", readable(copied), ""])
        return Table(
            ["report", "bytes per report", "right after a checkpoint"],
            rows,
            "Write-ahead log. The first change of a page after a checkpoint logs the whole page:"
            " the last column is therefore the maximum.",
        )

    def growth(self, runs: int) -> Table:
        """Time per report by batch size."""
        rows = []
        for batch in (10, 30, 100, 300):
            if batch <= self._cabinets:
                reports = 300 * runs // batch * batch
                took = median([self._send(reports, batch)[0] / reports for _ in range(runs)])
                rows.append([batch, f"{1000 * took:.3f}"])
        return Table(["reports in the batch", "ms per report"], rows, "Growth.")

    def _send(self, reports: int, batch: int, changed: float = 0.1) -> tuple[float, float]:
        """Send reports; return the handler's seconds and its thread's CPU seconds."""
        batches = [
            self._reports.batch(numbers, changed=changed)
            for numbers in _parts(self._turn, reports, batch)
        ]
        before = len(self._service.invocations)
        for records in batches:
            self._service.deliver(records)
        calls = self._service.invocations[before:]
        return sum(call.seconds for call in calls), sum(call.cpu_seconds for call in calls)

    def _copy(self, reports: int, batch: int) -> float:
        """Seconds that COPY needs for the same number of reports."""
        texts = [
            io.StringIO("".join(_rows(numbers))) for numbers in _parts(self._turn, reports, batch)
        ]
        began = time.perf_counter()
        with self._bare.cursor() as cursor:
            for text in texts:
                cursor.copy_expert("COPY bare FROM STDIN", text)
                self._bare.commit()
        return time.perf_counter() - began

    def _wal(self, work: Callable[[], object]) -> float:
        """Bytes of write-ahead log per report, for one report of each cabinet."""
        before = self._db.wal()
        work()
        return (self._db.wal() - before) / self._cabinets


def _parts(turn: Iterator[int], reports: int, batch: int) -> Iterable[list[int]]:
    for _ in range(reports // batch):
        yield list(islice(turn, batch))


def _rows(cabinets: Iterable[int]) -> Iterator[str]:
    for n in cabinets:
        for cell in range(1, city.CELLS + 1):
            inside = city.content(n, cell)
            rest = f"{inside[0]}\t{inside[1]}\t96\tt" if inside else "\\N\t\\N\t\\N\tf"
            yield f"C-{n}\t{cell}\tclosed\t{rest}\t24.5\t1\n"
