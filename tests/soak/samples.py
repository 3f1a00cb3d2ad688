"""Measurements of the running stack: processes, database, and the lag of the bridge."""

import os
import threading
import time
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

import psycopg2

from tests.support.local_cloud import LocalCloud
from tests.support.waiting import wait_until

PROBED_CABINET = "C-001"
PROBE_SECONDS = 5.0
_TICKS = os.sysconf("SC_CLK_TCK")
_DATABASE = """
    SELECT (SELECT count(*) FROM pg_stat_activity
             WHERE datname = current_database() AND pid <> pg_backend_pid()) AS connections,
           pg_database_size(current_database()) / 1048576.0 AS size_mb,
           (SELECT sum(n_dead_tup) FROM pg_stat_user_tables) AS dead_rows"""
_TABLES = """
    SELECT relname, n_live_tup, pg_total_relation_size(relid) / 1048576.0
      FROM pg_stat_user_tables ORDER BY 3 DESC"""


@dataclass(frozen=True)
class Process:
    """One process, or the sum of a server's processes; memory without files and shared buffers."""

    memory_mb: float
    threads: int
    files: int
    cpu_seconds: float


@dataclass(frozen=True)
class Sample:
    """The measurements at one time."""

    at: float
    processes: dict[str, Process]
    connections: int
    size_mb: float
    dead_rows: int
    lags_ms: list[float]
    load: float


class Sampler:
    """Takes samples of the stack, and measures the lag of the bridge regularly."""

    def __init__(self, stack: LocalCloud) -> None:
        self._stack = stack
        self._database = psycopg2.connect(stack.addresses["database_url"])
        self._database.autocommit = True
        self._using = threading.Lock()
        self._lags: list[float] = []
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._probe, name="probe")

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stopping.set()
        self._thread.join()
        self._database.close()

    def take(self) -> Sample:
        """Take a sample."""
        servers = self._stack.control.servers()
        pids = {"stack": self._stack.process.pid, **servers, "load": os.getpid()}
        processes = {
            name: _process(pid, with_children=name == "database")
            for name, pid in pids.items()
            if pid
        }
        connections, size_mb, dead_rows = self.query(_DATABASE)[0]
        lags, self._lags = self._lags, []
        return Sample(
            at=time.monotonic(),
            processes=processes,
            connections=connections,
            size_mb=float(size_mb),
            dead_rows=int(dead_rows or 0),
            lags_ms=lags,
            load=os.getloadavg()[0],
        )

    def tables(self) -> list[tuple[Any, ...]]:
        """Return name, rows and megabytes of each table, largest first."""
        return self.query(_TABLES)

    def query(self, sql: str, **values: Any) -> list[tuple[Any, ...]]:
        """Return the rows of a statement, which runs on a shared connection."""
        with self._using, self._database.cursor() as cursor:
            cursor.execute(sql, values)
            return cursor.fetchall()

    def _probe(self) -> None:
        while not self._stopping.wait(PROBE_SECONDS):
            [(before,)] = self.query("SELECT clock_timestamp()")
            started = time.monotonic()
            self._stack.control.act(PROBED_CABINET, "report")
            with suppress(TimeoutError):  # then the lag is recorded as 30 s
                wait_until(lambda: self._seen_since(before), seconds=30)  # noqa: B023 - called at once
            self._lags.append((time.monotonic() - started) * 1000)

    def _seen_since(self, before: Any) -> bool:
        sql = "SELECT last_seen_at > %(before)s FROM cabinets WHERE cabinet_id = %(id)s"
        return bool(self.query(sql, before=before, id=PROBED_CABINET)[0][0])


def _process(pid: int, *, with_children: bool) -> Process:
    memory, threads, files, cpu = 0.0, 0, 0, 0
    for one in [pid, *(_children(pid) if with_children else ())]:
        home = Path("/proc", str(one))
        try:
            memory += _field(home / "smaps_rollup", "Pss_Anon:") / 1024
            threads += _field(home / "status", "Threads:")
            files += len(os.listdir(home / "fd"))  # noqa: PTH208 - faster for many names
            fields = (home / "stat").read_text().rpartition(")")[2].split()
        except (FileNotFoundError, ProcessLookupError):
            continue  # it has just ended
        # A parent's time includes that of its children that have ended.
        of_ended = with_children and one == pid
        cpu += sum(map(int, fields[11:15] if of_ended else fields[11:13]))
    return Process(memory, threads, files, cpu / _TICKS)


def _children(pid: int) -> list[int]:
    return [int(one) for one in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]


def _field(file: Path, name: str) -> int:
    lines = file.read_text().splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith(name))
