"""The verdicts of a soak: sentences that hold or do not."""

from collections.abc import Sequence
from dataclasses import dataclass
from statistics import mean, median

from tests.soak.load import Tally
from tests.soak.samples import Sample

MEMORY_MB_AN_HOUR = {"stack": 16.0, "database": 4.0, "broker": 4.0}
"""At 4 MB an hour the bridge's machine of 2 GB is full after three weeks; a function instance lives
for hours. In the stack, a thousand simulated cabinets store their last 32 replies: about 12 MB an
hour."""
LATENCY_RATIO = 1.5
LEAST_MINUTES = 9
"""With fewer minutes, a slope is only noise."""


@dataclass(frozen=True)
class Minute:
    """The responses and the measurements of one minute."""

    tally: Tally
    sample: Sample


@dataclass(frozen=True)
class Verdict:
    """A sentence, and whether it holds."""

    holds: bool
    sentence: str

    def __str__(self) -> str:
        return f"{'ok  ' if self.holds else 'FAIL'}  {self.sentence}"


def percentile(values: Sequence[float], share: float) -> float:
    """Return the percentile of some values; 0 without values."""
    ordered = sorted(values)
    return ordered[min(len(ordered) - 1, int(share * len(ordered)))] if ordered else 0.0


def over_time(minutes: Sequence[Minute]) -> list[Verdict]:
    """Return the verdicts on the growth of memory, descriptors, connections and latency."""
    if len(minutes) < LEAST_MINUTES:
        return []
    third = len(minutes) // 3
    first, middle, last = minutes[:third], minutes[third : 2 * third], minutes[2 * third :]
    found = [_memory(name, minutes[len(minutes) // 2 :]) for name in MEMORY_MB_AN_HOUR]
    samples = [[minute.sample for minute in part] for part in (middle, last)]
    found.append(
        _flat(
            "connections to the database", *(max(s.connections for s in part) for part in samples)
        )
    )
    for name in MEMORY_MB_AN_HOUR:
        processes = [[sample.processes[name] for sample in part] for part in samples]
        found.append(_flat(f"files of {name}", *(max(p.files for p in part) for part in processes)))
        found.append(
            _flat(f"threads of {name}", *(max(p.threads for p in part) for part in processes))
        )
    operations = sorted({name for minute in minutes for name in minute.tally.latencies})
    return found + [_latency(name, first, last) for name in operations]


def _memory(name: str, minutes: Sequence[Minute]) -> Verdict:
    """Judge the growth of memory that more function instances do not explain.

    More simultaneous requests start more instances, which stay: that is no leak. Nor are the
    caches of a connection, which are full once it has executed every statement: therefore only the
    second half is judged.
    """
    hours = [minute.sample.at / 3600 for minute in minutes]
    sizes = [minute.sample.processes[name].memory_mb for minute in minutes]
    instances = [minute.sample.connections for minute in minutes]
    slope = growth(hours, sizes, instances)
    return Verdict(
        slope <= MEMORY_MB_AN_HOUR[name],
        f"memory of {name}: {slope:+.1f} MB an hour in the second half at constant instances"
        f" ({sizes[0]:.0f} -> {sizes[-1]:.0f} MB with {instances[0]} -> {instances[-1]} instances"
        f" that have a connection; limit {MEMORY_MB_AN_HOUR[name]:g})",
    )


def growth(times: Sequence[float], sizes: Sequence[float], instances: Sequence[float]) -> float:
    """Return the growth of `sizes` with time at constant `instances`, by least squares."""
    x, y, z = (_centred(values) for values in (times, sizes, instances))
    xx, zz, xz, xy, zy = (_product(*pair) for pair in ((x, x), (z, z), (x, z), (x, y), (z, y)))
    determinant = xx * zz - xz * xz
    if determinant < 0.01 * xx * zz or zz == 0:  # the two are collinear
        return xy / xx
    return (xy * zz - zy * xz) / determinant


def _centred(values: Sequence[float]) -> list[float]:
    middle = mean(values)
    return [value - middle for value in values]


def _product(one: Sequence[float], other: Sequence[float]) -> float:
    return sum(a * b for a, b in zip(one, other, strict=True))


def _flat(what: str, middle: int, last: int) -> Verdict:
    """Allow a little growth: instances that are no longer needed stay."""
    return Verdict(last <= middle * 1.1 + 5, f"{what}: at most {middle}, then at most {last}")


def _latency(name: str, first: Sequence[Minute], last: Sequence[Minute]) -> Verdict:
    before, after = (
        median(percentile(m.tally.latencies.get(name, ()), 0.5) for m in part)
        for part in (first, last)
    )
    load_before, load_after = (mean(m.sample.load for m in part) for part in (first, last))
    ratio = after / before if before else 1.0
    return Verdict(
        ratio <= LATENCY_RATIO,
        f"p50 of {name}: {before:.1f} ms in the first third, {after:.1f} in the last:"
        f" x {ratio:.2f} (limit {LATENCY_RATIO:g}; loadavg {load_before:.1f}, {load_after:.1f})",
    )
