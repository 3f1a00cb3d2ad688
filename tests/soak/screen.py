"""What a soak shows: a row a minute, then the whole."""

from collections import Counter
from collections.abc import Iterator

from tests.soak.soak import Findings
from tests.soak.verdicts import Minute, percentile

SHOWN = ("near", "book", "unlock", "swap", "cabinet")
_HEAD = (
    "min  reqs  2xx  4xx  504 | "
    + " ".join(f"{name:>18}" for name in SHOWN)
    + " | stack MB thr files |  pg MB con  mq MB | cpu s: stack   pg   mq  load |"
    " db MB   dead | lag p50   max | sent late | loadavg"
)


def row(findings: Findings) -> str:
    """The last minute; the head above the first."""
    number, minute = len(findings.minutes), findings.minutes[-1]
    reading, tally = minute.reading, minute.tally
    stack, pg, mq = (reading.processes[name] for name in ("stack", "database", "broker"))
    kinds = Counter(_kind(name.split()[1]) for name in tally.outcomes.elements())
    columns = [
        f"{number:3} {tally.outcomes.total():5} {kinds['2xx']:4} {kinds['4xx']:4} {kinds['504']:4}",
        " ".join(f"{_latency(tally.latencies.get(name, [])):>18}" for name in SHOWN),
        f"{stack.memory_mb:8.1f} {stack.threads:3} {stack.files:5}",
        f"{pg.memory_mb:6.1f} {reading.connections:3} {mq.memory_mb:6.1f}",
        " " * 6 + " ".join(f"{seconds:6.1f}" for seconds in _cpu(findings.minutes)),
        f"{reading.size_mb:6.1f} {reading.dead_rows:6}",
        f"{percentile(reading.lags_ms, 0.5):7.0f} {max(reading.lags_ms, default=0):5.0f}",
        f"{percentile(tally.late, 0.99):9.1f}",
        f"{reading.load:5.2f}",
    ]
    text = " | ".join(columns)
    return f"latency: p50/p99/max ms\n{_HEAD}\n{text}" if number == 1 else text


def whole(findings: Findings) -> Iterator[str]:
    """The lines to end with."""
    minutes = findings.minutes
    yield "\noperation      requests      p50      p99      max ms"
    names = sorted({name for minute in minutes for name in minute.tally.latencies})
    for name in names:
        taken = [ms for minute in minutes for ms in minute.tally.latencies.get(name, ())]
        yield f"{name:<13} {len(taken):9} {_columns(taken)}"
    waited = [ms for minute in minutes for ms in minute.tally.waited]
    yield f"{'no answer':<13} {len(waited):9} {_columns(waited)}"
    yield f"{'stats':<13} {len(findings.stats_ms):9} {_columns(findings.stats_ms)}"
    outcomes: Counter[str] = sum((m.tally.outcomes for m in minutes), Counter())
    yield "\noutcomes: " + ", ".join(f"{name} {n}" for name, n in sorted(outcomes.items()))
    for name in ("bookings", "commands", "anomalies", "places", "answer_times"):
        yield f"{name}: {findings.stats.get(name)}"
    yield "\ntables: " + ", ".join(
        f"{n} {rows} rows {mb:.1f} MB" for n, rows, mb in findings.tables
    )
    for fault in [*findings.results.faults, *findings.violations, *findings.differences][:50]:
        yield f"fault: {fault}"
    yield ""
    yield from map(str, findings.verdicts())


def _kind(came: str) -> str:
    if came == "cabinet_no_answer":
        return "504"
    return "2xx" if came.startswith("2") else "4xx"


def _latency(taken: list[float]) -> str:
    shares = (percentile(taken, 0.5), percentile(taken, 0.99), max(taken, default=0))
    return "/".join(f"{ms:.0f}" for ms in shares)


def _columns(taken: list[float]) -> str:
    shares = (percentile(taken, 0.5), percentile(taken, 0.99), max(taken, default=0))
    return " ".join(f"{ms:8.1f}" for ms in shares)


def _cpu(minutes: list[Minute]) -> list[float]:
    """Seconds of CPU in the last minute."""
    now = minutes[-1].reading.processes
    before = minutes[-2].reading.processes if len(minutes) > 1 else now
    names = ("stack", "database", "broker", "load")
    return [now[name].cpu_seconds - before[name].cpu_seconds for name in names]
