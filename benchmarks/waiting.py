"""A thousand callers wait for silent cabinets, behind a pooler with fifty connections.

Each caller is a thread with its own connection to the broker and to the pooler, as a function's
instance has them, in one of several processes. Run as a program, this module is such a process.
"""

import json
import os
import subprocess
import sys
import tempfile
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager, redirect_stdout
from dataclasses import dataclass
from io import StringIO
from pathlib import Path
from uuid import UUID, uuid4

from benchmarks import database, local_cloud
from benchmarks.database import MEMORY, Database
from benchmarks.figures import Figure, Measured, Table, median, percentile
from benchmarks.local_cloud import LocalCloud, TimedCabinet, wait_until
from local.children import allow_descriptors
from local.pgbouncer import PgBouncer
from local.postgres import Postgres
from shared import config, db, mqtt
from shared.commands.report_state import ReportState
from shared.errors import ServiceError
from shared.services import dispatch

CONNECTIONS = 50
_PROCESSES = 4
_WAIT_SECONDS = 60
"""Of the thousand; the measurements meanwhile must take less."""
_WATCHED_SECONDS = 8.0
_CALLS = 90
_DELAY_S = 0.3
_P50_MS, _P99_MS, _CORES = 8, 25, 0.1
_SILENT = """
    INSERT INTO cabinets (cabinet_id, device_id, lat, lon, protocol, cells_total, last_seen_at)
    SELECT 'silent-' || n, 'silent-' || n, 55.7, 37.6, 'native.v1', 12, now()
      FROM generate_series(1, %(callers)s) n"""
_IN_FLIGHT = """
    SELECT count(*) FROM commands WHERE cabinet_id LIKE 'silent-%' AND status = 'published'"""
_HOW = """\
{callers:,} callers wait up to {wait} s for cabinets that never reply: in {processes} processes,
each caller a thread with a connection of its own to Mosquitto and to PgBouncer, which has
{connections} connections to PostgreSQL. They run `shared.services.dispatch.send`, as the functions
do, and read their command's row once a second. Meanwhile a single caller asks a cabinet that
replies after {delay} ms: added is the time from the reply on the wire until that caller has its
answer. PostgreSQL's processor time was read over {watched:g} s in which nothing else happened,
less what it uses while nobody waits. The thousand's processes have the lowest priority, as they
would be on other machines. Reference: the single caller without wake-ups."""


@dataclass(frozen=True)
class Callers:
    """What became of the callers that waited for silent cabinets."""

    outcomes: Mapping[str, int]
    cores: float
    """PostgreSQL's processor time for their waiting, per second."""
    server_connections: int
    """Most of the pooler's connections to PostgreSQL that were open."""


def measure(*, quick: bool) -> Measured:
    """Measure a single caller alone and beside a thousand, and what their waiting costs."""
    callers, calls = (20, 6) if quick else (1000, _CALLS)
    with _cloud() as (cloud, base):
        base.sql(_SILENT, callers=callers)
        cabinet = cloud.cabinets[0]
        cabinet.reply_delay_s = _DELAY_S
        alone = _ask(cabinet, calls // 3)
        reads = _ask(cabinet, calls // 3, publisher=_WithoutWakeups())
        idle = _cores(base)
        with _waiting(callers, base) as waiting:
            cores = _cores(base) - idle
            beside = _ask(cabinet, calls)
            most = base.one(
                "SELECT count(*) FROM pg_stat_activity WHERE backend_type = 'client backend'"
            )
        found = Callers(waiting, cores, most - 1)
    return _measured(found, alone, beside, reads, callers)


class _WithoutWakeups(mqtt.Publisher):
    """Publishes, and never wakes: the caller finds its outcome by reading."""

    @contextmanager
    def wakeups(self, command_id: UUID) -> Iterator[Callable[[float], bool | None]]:
        del command_id
        yield time.sleep


def _measured(
    found: Callers, alone: list[float], beside: list[float], reads: list[float], callers: int
) -> Measured:
    refused = sum(n for outcome, n in found.outcomes.items() if outcome != "CabinetNoAnswer")
    who = f"beside {callers:,}"
    p50, p99 = median(beside), percentile(beside, 99)
    figures = [
        Figure(f"callers of {callers:,} that were refused", refused, "", goal="0", met=not refused),
        Figure(
            "PostgreSQL, for their waiting",
            found.cores,
            "cores",
            goal=f"≤ {_CORES}",
            met=found.cores <= _CORES,
            note=f"connections to PostgreSQL: {found.server_connections}",
        ),
        Figure("a single caller alone: added, p50", median(alone), "ms", reference=median(reads)),
        Figure("alone: added, p99", percentile(alone, 99), "ms", reference=percentile(reads, 99)),
        Figure(f"{who}: added, p50", p50, "ms", goal=f"≤ {_P50_MS} ms", met=p50 <= _P50_MS),
        Figure(f"{who}: added, p99", p99, "ms", goal=f"≤ {_P99_MS} ms", met=p99 <= _P99_MS),
    ]
    outcomes = [[name, f"{count:,}"] for name, count in sorted(found.outcomes.items())]
    how = _HOW.format(
        callers=callers,
        wait=_WAIT_SECONDS,
        processes=_PROCESSES,
        connections=CONNECTIONS,
        delay=round(1000 * _DELAY_S),
        watched=_WATCHED_SECONDS,
    )
    table = Table(["outcome", "callers"], outcomes, "How the waiting callers' requests ended.")
    return Measured(how, figures, [table])


@contextmanager
def _cloud() -> Iterator[tuple[LocalCloud, Database]]:
    """A local cloud whose database is behind the pooler; this process is one more function."""
    allow_descriptors()
    with ExitStack() as stack:
        directory = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="waiting-")))
        server = stack.enter_context(Postgres(directory / "postgres", settings=MEMORY))
        # Opening a connection costs more than a hundred reads; a managed pooler keeps them, too.
        pooler = PgBouncer(server, directory / "pooler", connections=CONNECTIONS, idle_seconds=600)
        url = stack.enter_context(pooler).url
        cloud = stack.enter_context(local_cloud.running(1, {"DATABASE_URL": url}))
        wait = {"UNLOCK_WAIT_SECONDS": str(_WAIT_SECONDS), "API_KEYS": ""}
        stack.enter_context(database.settings(**cloud.settings, **wait))
        stack.enter_context(redirect_stdout(StringIO()))  # the functions' log
        stack.callback(mqtt.close)
        stack.callback(db.close)
        base = Database(server)
        stack.callback(base.close)
        yield cloud, base


def _ask(
    cabinet: TimedCabinet, calls: int, *, publisher: dispatch.Publisher | None = None
) -> list[float]:
    """Ask the cabinet for reports; return the added milliseconds of each call."""
    sender = _sender(publisher or mqtt.Publisher())
    added = []
    for _ in range(calls + 2):
        dispatch.send(ReportState(), cabinet.device_id, sender, command_id=uuid4())
        added.append(1000 * (time.perf_counter() - cabinet.spoke_at))
    return added[2:]  # without those that connect


def _cores(base: Database) -> float:
    before, began = base.cpu_seconds(), time.perf_counter()
    time.sleep(_WATCHED_SECONDS)
    return (base.cpu_seconds() - before) / (time.perf_counter() - began)


@contextmanager
def _waiting(callers: int, base: Database) -> Iterator[Counter[str]]:
    """Callers that all wait; on leaving, they have ended, and the counter has their outcomes."""
    outcomes: Counter[str] = Counter()
    share = callers // _PROCESSES
    commands = [
        [sys.executable, "-m", "benchmarks.waiting", str(1 + share * n), str(share)]
        for n in range(_PROCESSES)
    ]
    with ExitStack() as stack:
        processes = [
            stack.enter_context(subprocess.Popen(command, stdout=subprocess.PIPE))  # noqa: S603 - ours
            for command in commands
        ]
        try:
            wait_until(lambda: base.one(_IN_FLIGHT) == callers, "not all callers wait", seconds=40)
            yield outcomes
            if base.one(_IN_FLIGHT) != callers:
                raise RuntimeError(f"the measurement took longer than {_WAIT_SECONDS} s")
            for process in processes:
                outcomes.update(json.loads(process.communicate(timeout=60)[0]))
        finally:
            for process in processes:
                process.kill()


def _sender(publisher: dispatch.Publisher) -> dispatch.Sender:
    return dispatch.Sender(publisher, config.settings(), requested_by="benchmark")


def _wait_for_silent(first: int, count: int) -> Counter[str]:
    """Let callers wait for the cabinets from `first` on; return how many ended in which way."""
    outcomes: Counter[str] = Counter()

    def wait(number: int) -> None:
        outcome = "answered"
        try:
            sender = _sender(mqtt.Publisher())
            dispatch.send(ReportState(), f"silent-{number}", sender, command_id=uuid4())
        except ServiceError as error:
            outcome = type(error).__name__
        finally:
            mqtt.close()
            db.close()
        with lock:
            outcomes[outcome] += 1

    lock = threading.Lock()
    callers = [threading.Thread(target=wait, args=(n,)) for n in range(first, first + count)]
    for caller in callers:
        caller.start()
    for caller in callers:
        caller.join()
    return outcomes


if __name__ == "__main__":
    allow_descriptors()
    os.nice(19)  # callers are other machines: they must not take the service's processor time
    with redirect_stdout(StringIO()):
        counted = _wait_for_silent(*map(int, sys.argv[1:]))
    sys.stdout.write(json.dumps(counted))
