"""What a soak has shown, as sentences that hold or do not."""

from collections.abc import Sequence
from dataclasses import dataclass
from statistics import mean, median

from tests.soak.gauges import Reading
from tests.soak.load import Tally

MEMORY_MB_AN_HOUR = {"stack": 16.0, "database": 4.0, "broker": 4.0}
"""At 4 the bridge's machine of 2 GB would take three weeks to fill; a function instance lives for
hours. In the stack a thousand simulated cabinets learn about 12 an hour: their last 32 answers."""
LATENCY_RATIO = 1.5
LEAST_MINUTES = 9
"""Fewer show no slope, only noise."""


@dataclass(frozen=True)
class Minute:
    """One row of the table."""

    tally: Tally
    reading: Reading


@dataclass(frozen=True)
class Verdict:
    """A sentence, and whether it holds."""

    holds: bool
    sentence: str

    def __str__(self) -> str:
        return f"{'ok  ' if self.holds else 'FAIL'}  {self.sentence}"


def percentile(values: Sequence[float], share: float) -> float:
    """The value that `share` of all are not above; 0 of none."""
    ordered = sorted(values)
    return ordered[min(len(ordered) - 1, int(share * len(ordered)))] if ordered else 0.0


def over_time(minutes: Sequence[Minute]) -> list[Verdict]:
    """Memory, descriptors, connections and latency stay as they are."""
    if len(minutes) < LEAST_MINUTES:
        return []
    third = len(minutes) // 3
    first, middle, last = minutes[:third], minutes[third : 2 * third], minutes[2 * third :]
    found = [_memory(name, minutes[len(minutes) // 2 :]) for name in MEMORY_MB_AN_HOUR]
    found += [
        _flat("connections to the database", *(_connections(part) for part in (middle, last)))
    ]
    for name in MEMORY_MB_AN_HOUR:
        found.append(_flat(f"files of {name}", *(_files(part, name) for part in (middle, last))))
        found.append(
            _flat(f"threads of {name}", *(_threads(part, name) for part in (middle, last)))
        )
    operations = sorted({name for minute in minutes for name in minute.tally.latencies})
    return found + [_latency(name, first, last) for name in operations]


def _memory(name: str, minutes: Sequence[Minute]) -> Verdict:
    """More requests at once start more instances, each with connections, and they stay.

    What that explains is no leak: it ends with the most that are ever needed at once. Nor are
    the caches of a connection, which are full when it has met every statement: a leak is as steep
    in the second half as in the first.
    """
    hours = [minute.reading.at / 3600 for minute in minutes]
    sizes = [minute.reading.processes[name].memory_mb for minute in minutes]
    instances = [minute.reading.connections for minute in minutes]
    slope = growth(hours, sizes, instances)
    return Verdict(
        slope <= MEMORY_MB_AN_HOUR[name],
        f"memory of {name}: {slope:+.1f} MB an hour in the second half, all else equal"
        f" ({sizes[0]:.0f} -> {sizes[-1]:.0f} MB with {instances[0]} -> {instances[-1]} instances"
        f" that have a connection; limit {MEMORY_MB_AN_HOUR[name]:g})",
    )


def growth(times: Sequence[float], sizes: Sequence[float], instances: Sequence[float]) -> float:
    """How fast `sizes` grow with time where `instances` stay the same: least squares of both."""
    x, y, z = (_centred(values) for values in (times, sizes, instances))
    xx, zz, xz, xy, zy = (_product(*pair) for pair in ((x, x), (z, z), (x, z), (x, y), (z, y)))
    determinant = xx * zz - xz * xz
    if determinant < 0.01 * xx * zz or zz == 0:  # the two cannot be told apart
        return xy / xx
    return (xy * zz - zy * xz) / determinant


def _centred(values: Sequence[float]) -> list[float]:
    middle = mean(values)
    return [value - middle for value in values]


def _product(one: Sequence[float], other: Sequence[float]) -> float:
    return sum(a * b for a, b in zip(one, other, strict=True))


def _connections(minutes: Sequence[Minute]) -> int:
    return max(minute.reading.connections for minute in minutes)


def _files(minutes: Sequence[Minute], name: str) -> int:
    return max(minute.reading.processes[name].files for minute in minutes)


def _threads(minutes: Sequence[Minute], name: str) -> int:
    return max(minute.reading.processes[name].threads for minute in minutes)


def _flat(what: str, middle: int, last: int) -> Verdict:
    """As many as were needed at once, and instances that are not needed stay: a little more."""
    return Verdict(last <= middle * 1.1 + 5, f"{what}: at most {middle}, then at most {last}")


def _latency(name: str, first: Sequence[Minute], last: Sequence[Minute]) -> Verdict:
    before, after = (
        median(percentile(m.tally.latencies.get(name, ()), 0.5) for m in part)
        for part in (first, last)
    )
    load_before, load_after = (mean(m.reading.load for m in part) for part in (first, last))
    ratio = after / before if before else 1.0
    return Verdict(
        ratio <= LATENCY_RATIO,
        f"p50 of {name}: {before:.1f} ms in the first third, {after:.1f} in the last:"
        f" x {ratio:.2f} (limit {LATENCY_RATIO:g}; loadavg {load_before:.1f}, {load_after:.1f})",
    )
