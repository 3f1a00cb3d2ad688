"""Lists in a large city: time, and what they read."""

import re
import time
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from benchmarks import city, database, service
from benchmarks.city import City
from benchmarks.database import Database
from benchmarks.figures import Figure, Measured, Table, percentile, readable
from benchmarks.service import Service
from shared import cursor

_HOW = """\
{cabinets:,} cabinets; {commands:,} commands of a year, of which one in fifty did not succeed and
one in twenty is no unlock; {anomalies:,} anomalies of 30 days, of which one in fifty was
acknowledged; {movements:,} movements. Each list with 50 items, {calls} calls of its handler in
process, the first page unless it is a later one. *Rows* and *pages* (8 KB) are those that the
statement reads, and *plan* how it reads each table that grows with the years, by
`EXPLAIN (ANALYZE, BUFFERS)`."""
_SETTINGS = re.compile(r"^\s*(SET LOCAL [^;]*;\s*)*")
"""What shared.db sends before a statement."""
_GROWING = {"commands", "anomalies", "movements", "bookings"}
_GOAL_MS = 20


@dataclass(frozen=True)
class _Size:
    city: City
    commands: int
    anomalies: int
    calls: int


@dataclass(frozen=True)
class _Read:
    """What one list costs."""

    name: str
    seconds: list[float]
    rows: int
    pages: int
    plan: list[str]

    @property
    def scans(self) -> bool:
        """Whether it reads a whole table that grows with the years."""
        return any(step.startswith("Seq Scan") for step in self.plan)


def measure(*, quick: bool) -> Measured:
    """Measure each list, and explain its statement."""
    size = (
        _Size(City(50, 1), 2_000, 2_000, 3)
        if quick
        else _Size(City(10_000, 3), 2_000_000, 1_000_000, 50)
    )
    with database.running() as server:
        _fill(server, size)
        with service.running(server) as running:
            lists = dict(_lists(server))
            reads = [_read(running, server, *one, size.calls) for one in lists.items()]
            commands = server.one("SELECT count(*) FROM commands")
    slowest = max(percentile(read.seconds, 50) for read in reads) * 1000
    scanning = [read.name for read in reads if read.scans]
    return Measured(
        _HOW.format(
            cabinets=size.city.cabinets,
            commands=commands,
            anomalies=size.anomalies + size.city.cabinets,
            movements=size.city.movements,
            calls=size.calls,
        ),
        [
            Figure(
                "slowest list, p50", slowest, "ms", goal=f"≤ {_GOAL_MS} ms", met=slowest <= _GOAL_MS
            ),
            Figure(
                "lists that scan a growing table", len(scanning), "", goal="0", met=not scanning
            ),
        ],
        [_table(reads)],
    )


def _fill(server: Database, size: _Size) -> None:
    city.fill(server, size.city)
    server.sql("SET session_replication_role = replica")
    numbers = {"cabinets": size.city.cabinets, "commands": size.commands}
    server.sql(_COMMANDS, **numbers)
    server.sql(_ANOMALIES, cabinets=size.city.cabinets, anomalies=size.anomalies)
    server.sql("RESET ALL")
    server.settle()


def _lists(server: Database) -> Iterator[tuple[str, str]]:
    """Yield each list with its path."""
    at, command_id = server.sql(
        "SELECT created_at, command_id FROM commands WHERE created_at < now() - interval '180 days'"
        " ORDER BY created_at DESC LIMIT 1"
    )[0]
    seen, anomaly_id = server.sql(
        "SELECT at, anomaly_id FROM anomalies WHERE at < now() - interval '15 days'"
        " ORDER BY at DESC LIMIT 1"
    )[0]
    [[booking_id]] = server.sql(
        "SELECT booking_id FROM commands WHERE booking_id IS NOT NULL LIMIT 1"
    )
    commands, anomalies, contractors = "/v1/commands", "/v1/anomalies", "/v1/contractors"
    yield "commands", commands
    yield "commands, half a year back", f"{commands}?cursor={cursor.encode(at, command_id)}"
    yield "commands of a cabinet", f"{commands}?cabinet_id=C-7"
    yield "commands of a booking", f"{commands}?booking_id={booking_id}"
    for query in ("status=succeeded", "status=no_answer", "status=published", "kind=report_state"):
        yield f"commands, {query}", f"{commands}?{query}"
    yield "commands, kind and status", f"{commands}?kind=lock&status=failed"
    yield "anomalies", anomalies
    yield "anomalies, 15 days back", f"{anomalies}?cursor={cursor.encode(seen, anomaly_id)}"
    for query in ("open=true", "open=false", "reason=vanished", "reason=vanished&open=false"):
        yield f"anomalies, {query}", f"{anomalies}?{query}"
    yield "anomalies of a cabinet", f"{anomalies}?cabinet_id=C-7"
    yield "anomalies of an accumulator", f"{anomalies}?accumulator_id=A-7-1"
    yield "contractors", contractors
    yield "contractors with 5 accumulators", f"{contractors}?min_accumulators=5"
    since = "held_since_before=2020-01-01T00:00:00Z"
    yield "contractors with one since 2020 (none)", f"{contractors}?{since}"
    movements = "/v1/movements"
    for place in ("cabinet_id=C-7", "contractor_id=T-7", "scooter_id=S-7", "scooter_id=none"):
        yield f"movements, {place}", f"{movements}?{place}&limit=50"
    yield "attention", "/v1/attention?limit=50"
    for text in ("C-7", "A-7-1", "T-7", "S-7", "none", str(booking_id)):
        yield f"search, {text}", f"/v1/search?q={text}"


def _read(running: Service, server: Database, name: str, path: str, calls: int) -> _Read:
    for _ in range(3):
        running.call("GET", path)
    seconds = []
    for _ in range(calls):
        running.call("GET", path)
        seconds.append(running.invocations[-1].seconds)
        time.sleep(0)  # lets the server's background tasks run
    [sent] = running.invocations[-1].sent
    statement = _SETTINGS.sub("", sent.sql)
    server.sql(f"BEGIN; {sent.sql.removesuffix(statement)}")
    [[[explained]]] = server.sql(f"EXPLAIN (ANALYZE, BUFFERS, FORMAT JSON) {statement}")
    server.sql("COMMIT")
    steps = [*_steps(explained["Plan"])]
    growing = [step for step in steps if step.get("Relation Name") in _GROWING]
    return _Read(
        name,
        seconds,
        rows=round(sum(_rows(step) for step in steps if "Relation Name" in step)),
        pages=explained["Plan"]["Shared Hit Blocks"] + explained["Plan"]["Shared Read Blocks"],
        plan=sorted({_described(step) for step in growing if step["Actual Loops"]}),
    )


def _steps(plan: dict[str, Any]) -> Iterator[dict[str, Any]]:
    yield plan
    for part in plan.get("Plans", []):
        yield from _steps(part)


def _rows(step: dict[str, Any]) -> float:
    """Rows that a step reads, also those that it removes."""
    removed = step.get("Rows Removed by Filter", 0)
    return float((step["Actual Rows"] + removed) * step["Actual Loops"])


def _described(step: dict[str, Any]) -> str:
    index = f" `{step['Index Name']}`" if "Index Name" in step else f" {step['Relation Name']}"
    return f"{step['Node Type']}{index}"


def _table(reads: list[_Read]) -> Table:
    rows = [
        [
            read.name,
            " / ".join(readable(1000 * percentile(read.seconds, p)) for p in (50, 99)),
            f"{read.rows:,}",
            f"{read.pages:,}",
            "<br>".join(read.plan),
        ]
        for read in reads
    ]
    return Table(["list", "ms, p50 / p99", "rows", "pages", "plan"], rows)


_COMMANDS = """
    INSERT INTO commands (command_id, cabinet_id, kind, payload, status, requested_by, created_at,
                          deadline, published_at, finished_at)
    SELECT gen_random_uuid(), 'C-' || 1 + n %% %(cabinets)s,
           CASE WHEN n %% 20 > 0 THEN 'unlock' WHEN n %% 40 = 0 THEN 'lock' ELSE 'report_state' END,
           '{"cells": [1]}',
           CASE WHEN n %% 50 > 0 THEN 'succeeded'
                ELSE (ARRAY['failed', 'rejected', 'partially_succeeded', 'not_published',
                            'not_executed', 'unresolved'])[1 + n / 50 %% 6] END,
           'benchmark', at, at + interval '15 s', at + interval '0.01 s', at + interval '0.8 s'
      FROM (SELECT n, now() - (1 - n / %(commands)s::float8) * interval '365 days' AS at
              FROM generate_series(1, %(commands)s) n) t"""
_ANOMALIES = """
    INSERT INTO anomalies (at, first_at, reason, detail, device_id, cabinet_id, accumulator_id,
                           event_id, payload, counted, open, acknowledged_at, acknowledged_by,
                           acknowledged_note)
    SELECT at, at, (ARRAY['vanished', 'unreadable_value', 'malformed', 'alarm'])[1 + n %% 4],
           'cell ' || n, 'C-' || 1 + n %% %(cabinets)s, 'C-' || 1 + n %% %(cabinets)s,
           CASE WHEN n %% 4 = 0 THEN 'A-' || 1 + n %% %(cabinets)s || '-1' END, 'event ' || n,
           convert_to(repeat('x', 500), 'UTF8'), true, seen IS NULL, seen,
           CASE WHEN seen IS NOT NULL THEN 'operator' END, CASE WHEN seen IS NOT NULL THEN 'x' END
      FROM (SELECT n, at, CASE WHEN n %% 50 = 0 THEN at END AS seen
              FROM (SELECT n, now() - (1 - n / %(anomalies)s::float8) * interval '29 days' AS at
                      FROM generate_series(1, %(anomalies)s) n) t) t"""
