"""A simulated day of a city through the real handlers: its load, and the cost of a month."""

from benchmarks import city, database
from benchmarks.city import SWAPS_A_DAY, TAKEN, City
from benchmarks.figures import Measured, Table, readable
from benchmarks.prices import cost_tables
from benchmarks.service import Cabinets
from benchmarks.workload import Day, Measurement, measure_work, polls, visits

_HOW = """\
The city has {cabinets:,} cabinets, polled every minute, and {technicians} technicians, who each
make {swaps} swaps a day. {visits} times a day a technician looks for a cabinet nearby, books,
unlocks and takes {taken} accumulators, books, unlocks and fills {taken} cells with flat ones, and
makes {taken} swaps at scooters. Simulated cabinets reply to the commands and report every door and
accumulator.

The benchmark runs all requests and messages of every {every}th technician, in the order of the
day, and {polls} of the {minutes:,} polls with the reports of all cabinets, in batches of
{batch}. At each poll {share:.1%} of the cells report a changed charge, which matches a day of
charging. The figures are then scaled up. Events follow each other without pauses. This has two
effects: cabinets never count as offline, and the benchmark makes a checkpoint after {polls}
polls, as PostgreSQL does every five minutes, so that as many whole pages are logged. Only one
request or message runs at a time, so waiting for locks is not included. Cabinets reply at once;
the time that a real cabinet takes is added in the cost tables only."""
_BATCH = 10
"""What the bridge collects in 20 ms while 10,000 cabinets spread their reports over 20 s."""


def measure(*, quick: bool) -> Measured:
    """Run the sample of a day, scale it up, and compute its cost."""
    place, every, sample = (City(100, 1), 5, 1) if quick else (City(10_000, 1), 10, 5)
    cabinets = Cabinets()
    day = Day(place)
    with database.running() as db:
        city.fill(db, place)
        polled = measure_work(db, cabinets, day.minutes / sample, polls(day, sample, _BATCH))
        db.sql("CHECKPOINT")
        visited = measure_work(db, cabinets, every, visits(day, every))
        batched = measure_work(db, cabinets, day.minutes, polls(day, 1, 100))
    how = _HOW.format(
        cabinets=place.cabinets,
        technicians=place.technicians,
        swaps=SWAPS_A_DAY,
        visits=SWAPS_A_DAY // TAKEN,
        taken=TAKEN,
        every=every,
        polls=sample,
        minutes=day.minutes,
        batch=_BATCH,
        share=day.changed,
    )
    tables = [_functions(polled, visited), _totals(polled, visited)]
    return Measured(how, tables=[*tables, *cost_tables(day, polled, visited, batched)])


def _functions(polled: Measurement, visited: Measurement) -> Table:
    rows = []
    for name in sorted({call.function for part in (polled, visited) for call in part.invocations}):
        sums = [
            sum(part.times * part.sum_of(name, of) for part in (polled, visited))
            for of in ("calls", "seconds", "cpu_seconds", "round_trips")
        ]
        each = [1e3 * sums[1] / sums[0], 1e3 * sums[2] / sums[0], sums[3] / sums[0]]
        rows.append([name, *map(readable, [sums[0], sums[1], sums[2], *each])])
    return Table(
        [
            "function",
            "calls",
            "seconds",
            "CPU seconds",
            "ms per call",
            "CPU ms",
            "round trips",
        ],
        rows,
        "Function seconds of the day on this machine. The time of `unlock` includes the calls of"
        " `mqtt_trigger` that it waits for.",
    )


def _totals(polled: Measurement, visited: Measurement) -> Table:
    rows = []
    for title, name in {
        "requests": "requests",
        "messages of cabinets": "messages",
        "rows inserted, updated, deleted": "rows",
        "write-ahead log, MB": "wal_megabytes",
        "the functions' log, MB": "log_megabytes",
        "PostgreSQL's CPU, s": "server_seconds",
    }.items():
        parts = [part.times * getattr(part, name) for part in (polled, visited)]
        rows.append([title, *map(readable, [*parts, sum(parts)])])
    grown = readable(visited.times * visited.grown_megabytes)
    rows.append(["growth of tables and indexes, MB", "vacuumed away", grown, grown])
    return Table(["in the day", "polls", "technicians", "total"], rows, "The whole day.")
