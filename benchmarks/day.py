"""A day of a city through the real handlers: what it does to them, and what a month of it costs."""

from benchmarks import city, database
from benchmarks.city import SWAPS_A_DAY, TAKEN, City
from benchmarks.figures import Measured, Table, readable
from benchmarks.played import Day, Played, play, polls, visits
from benchmarks.prices import cost_tables
from benchmarks.service import Cabinets

_HOW = """\
{cabinets:,} cabinets that are polled every minute, and {technicians} technicians with {swaps} swaps
each: {visits} times a day one looks for a cabinet nearby, books, unlocks and takes {taken}
accumulators, books, unlocks and fills {taken} cells with flat ones, and makes {taken} swaps at
scooters. Simulated cabinets answer the commands and tell of every door and accumulator.

Played are all requests and messages of every {every}th technician, in the order of the day, and
{polls} of the {minutes:,} polls with the reports of all cabinets, {batch} a batch; {share:.1%} of
the cells show another charge, as much as charges in a day. Then it is multiplied. Time is
compressed, not shifted: two events follow each other at once. Nothing here depends on how much time
is between them, with two exceptions: cabinets never count as offline here, and a checkpoint comes
after {polls} polls, as it does every five minutes, so that the log has as many whole pages. One
thing happens at a time: what waiting for each other adds is not in it. A cabinet answers at once:
what it takes in the field is added to the costs, not here."""
_BATCH = 10
"""What the bridge collects in its 20 ms while 10,000 cabinets spread their reports over 20 s."""


def measure(*, quick: bool) -> Measured:
    """Play it, multiply, price it."""
    place, every, sample = (City(100, 1), 5, 1) if quick else (City(10_000, 1), 10, 5)
    cabinets = Cabinets()
    day = Day(place)
    with database.running() as db:
        city.fill(db, place)
        asked = play(db, cabinets, day.minutes / sample, polls(day, sample, _BATCH))
        db.sql("CHECKPOINT")
        visited = play(db, cabinets, every, visits(day, every))
        batched = play(db, cabinets, day.minutes, polls(day, 1, 100))
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
    tables = [_functions(asked, visited), _totals(asked, visited)]
    return Measured(how, tables=[*tables, *cost_tables(day, asked, visited, batched)])


def _functions(asked: Played, visited: Played) -> Table:
    rows = []
    for name in sorted({call.function for part in (asked, visited) for call in part.invocations}):
        sums = [
            sum(part.times * part.sum_of(name, of) for part in (asked, visited))
            for of in ("calls", "seconds", "cpu_seconds", "round_trips")
        ]
        each = [1e3 * sums[1] / sums[0], 1e3 * sums[2] / sums[0], sums[3] / sums[0]]
        rows.append([name, *map(readable, [sums[0], sums[1], sums[2], *each])])
    return Table(
        [
            "function",
            "calls",
            "seconds",
            "of processor",
            "ms a call",
            "of processor",
            "round trips",
        ],
        rows,
        "Function seconds of the day, here. What an unlock waits for includes its messages' calls.",
    )


def _totals(asked: Played, visited: Played) -> Table:
    rows = []
    for title, name in {
        "requests": "requests",
        "messages of cabinets": "messages",
        "rows inserted, updated, deleted": "rows",
        "write-ahead log, MB": "wal_megabytes",
        "the functions' log, MB": "log_megabytes",
        "PostgreSQL's processor, s": "server_seconds",
    }.items():
        parts = [part.times * getattr(part, name) for part in (asked, visited)]
        rows.append([title, *map(readable, [*parts, sum(parts)])])
    grown = readable(visited.times * visited.grown_megabytes)
    rows.append(["tables and indexes grow by, MB", "vacuumed away", grown, grown])
    return Table(["in the day", "polls", "technicians", "together"], rows, "The whole day.")
