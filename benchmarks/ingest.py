"""State reports through mqtt_trigger: how many a second, and what they write."""

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
Reports of 12 cells, 10 occupied, by {cabinets} cabinets in turn, to the handler of `mqtt_trigger`
in process. 10 % of the cells show another charge. Everything (this process, PostgreSQL with all its
processes) is kept on one core by `sched_setaffinity`, with fsync on. The floor is a COPY of the
same cells into a bare table without an index, one COPY and one commit a batch, same server, same
core; the text that it copies is made beforehand. Medians of {runs} runs."""
_CABINETS = 1000
_GOAL = 2000
_BATCH_OF_GOAL = 100
_BARE = """
    CREATE TABLE IF NOT EXISTS bare (cabinet_id text, cell_number smallint, door text,
        accumulator_id text, battery_charge smallint, state_of_health smallint, charging boolean,
        temperature_c real, seq bigint)"""


def measure(*, quick: bool) -> Measured:
    """Reports a second by batch, bytes of write-ahead log a report, and growth with the batch."""
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
        """Every cabinet reports once: connections, plans, caches; every page is logged whole."""
        self._send(self._cabinets, 100)

    def speed(self, batch: int, runs: int, *, quick: bool) -> Figure:
        """Reports a second in batches of this size."""
        reports = max(batch, {1: 300, 10: 1000, 100: 3000}[batch] // (5 if quick else 1))
        ours, floor, python, server = [], [], [], []
        for _ in range(runs):
            before = self._db.cpu_seconds()
            took, cpu = self._send(reports, batch)
            ours.append(reports / took)
            python.append(1e6 * cpu / reports)
            server.append(1e6 * (self._db.cpu_seconds() - before) / reports)
            floor.append(reports / self._copy(reports, batch))
        speed = median(ours)
        aimed = batch == _BATCH_OF_GOAL
        return Figure(
            work=f"in batches of {batch}",
            ours=speed,
            unit="reports/s",
            floor=median(floor),
            goal=f"≥ {_GOAL:,}" if aimed else "",
            met=speed >= _GOAL if aimed else None,
            note=f"µs of processor a report: Python {median(python):.0f},"
            f" PostgreSQL {median(server):.0f}",
        )

    def written(self) -> Table:
        """Write-ahead log by how much changed, first after a checkpoint and then again."""
        rows = []
        for changed in (0.0, 0.1, 1.0):
            self._db.sql("CHECKPOINT")
            send = partial(self._send, self._cabinets, 100, changed)
            first, again = self._wal(send), median([self._wal(send) for _ in range(3)])
            rows.append([f"{changed:.0%} of the cells changed", *map(readable, (again, first))])
        self._db.sql("CHECKPOINT")
        copied = self._wal(lambda: self._copy(self._cabinets, 100))
        rows.append(["floor: COPY of all cells", readable(copied), ""])
        return Table(
            ["report", "bytes a report", "first after a checkpoint"],
            rows,
            "Write-ahead log. After a checkpoint the first change of each page logs the whole"
            " page, whatever changed: that is the last column, the most it can be.",
        )

    def growth(self, runs: int) -> Table:
        """Time a report by the size of the batch."""
        rows = []
        for batch in (10, 30, 100, 300):
            if batch <= self._cabinets:
                reports = 300 * runs // batch * batch
                took = median([self._send(reports, batch)[0] / reports for _ in range(runs)])
                rows.append([batch, f"{1000 * took:.3f}"])
        return Table(["reports in the batch", "ms a report"], rows, "Growth.")

    def _send(self, reports: int, batch: int, changed: float = 0.1) -> tuple[float, float]:
        """The handler's seconds, and its thread's processor time."""
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
        """The seconds that COPY needs for as many reports."""
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
        """Bytes a report, of as many as there are cabinets."""
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
