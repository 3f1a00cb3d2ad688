"""How every operation, the poll and the database scale with the city."""

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import Any

from benchmarks import city, database, operations, service
from benchmarks.city import City
from benchmarks.database import Database
from benchmarks.figures import Figure, Measured, Table, percentile, readable
from benchmarks.operations import Step
from benchmarks.service import Service

_HOW = """\
Every operation, by calling its handler in process: {calls} calls each, one at a time, after
{warm} warm-up calls. A slow operation gets as many calls as fit into {budget:g} seconds. Ten of
a cabinet's 12 cells are occupied. There are four scooters per cabinet, with an accumulator each,
and one technician per twenty cabinets. The ledger (movements with their bookings and commands)
is filled by SQL: {filled}. One year with {most:,} cabinets would be {year:,.0f} million
movements; therefore the effect of a year's ledger is measured at {least} cabinets."""
_NEAR_MS = 20
_NEAR = "list_cabinets near"


@dataclass
class _Grown:
    """The measurements in one city."""

    city: City
    seconds: dict[str, list[float]] = field(default_factory=lambda: defaultdict(list))
    """Seconds of each call, by the step's name."""
    sizes: dict[str, int] = field(default_factory=dict)
    """Bytes by table, with indexes."""
    published: int = 0
    """Messages that one poll publishes."""


def measure(*, quick: bool) -> Measured:
    """Measure cities of increasing size, and one with a year's ledger."""
    if quick:
        calls, warm, budget, cities = 10, 1, 1.0, [City(20, 1), City(200, 1)]
    else:
        calls, warm, budget = 200, 5, 4.0
        cities = [City(100, 3), City(100, 146), City(1000, 3), City(10_000, 3)]
    grown = []
    with database.running() as db:
        for place in cities:
            city.fill(db, place)
            with service.running(db) as running:
                grown.append(_measure(db, running, place, _Pace(calls, warm, budget)))
    return Measured(_how(cities, calls, warm, budget), _figures(grown), _tables(grown))


@dataclass(frozen=True)
class _Pace:
    calls: int
    warm: int
    budget: float


def _measure(db: Database, running: Service, place: City, pace: _Pace) -> _Grown:
    found = _Grown(place)
    for number in range(pace.warm):
        operations.perform_all(
            lambda step: operations.perform(running, step)[0], running, place, number
        )
    for number in range(pace.warm, pace.warm + pace.calls):
        operations.perform_all(partial(_timed, running, found, pace.budget), running, place, number)
    for _ in range(pace.calls):
        before = len(running.published)
        if sum(found.seconds["poll_cabinets"]) < pace.budget:
            running.poll()
            found.seconds["poll_cabinets"].append(running.invocations[-1].seconds)
            found.published = len(running.published) - before
    found.sizes = _sizes(db)
    return found


def _timed(running: Service, found: _Grown, budget: float, step: Step) -> Any:
    times = found.seconds[step.name]
    if step.method == "GET" and sum(times) > budget:
        return None
    answer, call = operations.perform(running, step)
    times.append(call.seconds)
    return answer


def _sizes(db: Database) -> dict[str, int]:
    return dict(
        db.sql(
            "SELECT relname, pg_total_relation_size(relid)::bigint FROM pg_stat_user_tables"
            " WHERE relname !~ '^_?yoyo' ORDER BY 2 DESC"
        )
    )


def _how(cities: Sequence[City], calls: int, warm: int, budget: float) -> str:
    filled = "; ".join(f"{_title(c)}, {c.movements:,} movements" for c in cities)
    most = max(cities, key=lambda c: c.cabinets)
    year = most.movements / most.days * 365 / 1e6
    least = min(c.cabinets for c in cities)
    words = {"calls": calls, "warm": warm, "budget": budget, "filled": filled}
    return _HOW.format(**words, most=most.cabinets, year=year, least=least)


def _figures(grown: Sequence[_Grown]) -> list[Figure]:
    most = max(grown, key=lambda g: g.city.cabinets)
    near = 1000 * percentile(most.seconds[_NEAR], 99)
    return [
        Figure(
            work=f"GET /v1/cabinets?near= at {most.city.cabinets:,} cabinets, p99",
            ours=near,
            unit="ms",
            goal=f"≤ {_NEAR_MS} ms",
            met=near <= _NEAR_MS,
        ),
        Figure(
            work=f"messages that a poll of {most.city.cabinets:,} cabinets publishes",
            ours=most.published,
            unit="",
            goal="1",
            met=most.published == 1,
        ),
    ]


def _tables(grown: Sequence[_Grown]) -> list[Table]:
    titles = [_title(g.city) for g in grown]
    first, last = grown[0].seconds, grown[-1].seconds
    rows = [
        [name, *(_shown(g.seconds[name]) for g in grown), f"{_ratio(first[name], last[name]):.1f}"]
        for name in first
    ]
    tables = sorted(grown[-1].sizes, key=lambda name: -grown[-1].sizes[name])
    sizes = [[t, *(readable(g.sizes[t] / 1e6) for g in grown)] for t in tables]
    total = ["all", *(readable(sum(g.sizes.values()) / 1e6) for g in grown)]
    return [
        Table(
            ["operation", *titles, "last p50 / first"],
            rows,
            "Milliseconds, p50 / p99. In parentheses: the number of calls, if it was lower.",
        ),
        Table(["table", *titles], [total, *sizes], "Megabytes, with indexes."),
    ]


def _title(place: City) -> str:
    return f"{place.cabinets:,} cabinets, {place.days:.0f} days"


def _shown(seconds: Sequence[float]) -> str:
    middle, most = (readable(1000 * percentile(seconds, p)) for p in (50, 99))
    few = f" ({len(seconds)})" if len(seconds) < 200 else ""  # noqa: PLR2004 - enough for a p99
    return f"{middle} / {most}{few}"


def _ratio(first: Sequence[float], last: Sequence[float]) -> float:
    return percentile(last, 50) / percentile(first, 50)
