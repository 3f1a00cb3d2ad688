"""The printed report of a soak: a row per minute, then a summary."""

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
    """Return the row of the last minute, with the head above the first row."""
    number, minute = len(findings.minutes), findings.minutes[-1]
    sample, tally = minute.sample, minute.tally
    stack, pg, mq = (sample.processes[name] for name in ("stack", "database", "broker"))
    kinds = Counter(_kind(name.split()[1]) for name in tally.outcomes.elements())
    columns = [
        f"{number:3} {tally.outcomes.total():5} {kinds['2xx']:4} {kinds['4xx']:4} {kinds['504']:4}",
        " ".join(f"{_latency(tally.latencies.get(name, [])):>18}" for name in SHOWN),
        f"{stack.memory_mb:8.1f} {stack.threads:3} {stack.files:5}",
        f"{pg.memory_mb:6.1f} {sample.connections:3} {mq.memory_mb:6.1f}",
        " " * 6 + " ".join(f"{seconds:6.1f}" for seconds in _cpu(findings.minutes)),
        f"{sample.size_mb:6.1f} {sample.dead_rows:6}",
        f"{percentile(sample.lags_ms, 0.5):7.0f} {max(sample.lags_ms, default=0):5.0f}",
        f"{percentile(tally.late, 0.99):9.1f}",
        f"{sample.load:5.2f}",
    ]
    text = " | ".join(columns)
    return f"latency: p50/p99/max ms\n{_HEAD}\n{text}" if number == 1 else text


def summary(findings: Findings) -> Iterator[str]:
    """Yield the lines of the summary."""
    minutes = findings.minutes
    yield "\noperation      requests      p50      p99      max ms"
    names = sorted({name for minute in minutes for name in minute.tally.latencies})
    for name in names:
        taken = [ms for minute in minutes for ms in minute.tally.latencies.get(name, ())]
        yield f"{name:<13} {len(taken):9} {_columns(taken)}"
    unanswered = [ms for minute in minutes for ms in minute.tally.unanswered]
    yield f"{'no answer':<13} {len(unanswered):9} {_columns(unanswered)}"
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


def _kind(result: str) -> str:
    if result == "cabinet_no_answer":
        return "504"
    return "2xx" if result.startswith("2") else "4xx"


def _latency(taken: list[float]) -> str:
    shares = (percentile(taken, 0.5), percentile(taken, 0.99), max(taken, default=0))
    return "/".join(f"{ms:.0f}" for ms in shares)


def _columns(taken: list[float]) -> str:
    shares = (percentile(taken, 0.5), percentile(taken, 0.99), max(taken, default=0))
    return " ".join(f"{ms:8.1f}" for ms in shares)


def _cpu(minutes: list[Minute]) -> list[float]:
    """Return the seconds of CPU in the last minute, by process."""
    now = minutes[-1].sample.processes
    before = minutes[-2].sample.processes if len(minutes) > 1 else now
    names = ("stack", "database", "broker", "load")
    return [now[name].cpu_seconds - before[name].cpu_seconds for name in names]
