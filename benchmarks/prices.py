"""From what a day costs here to what a month costs in the cloud, and what to turn when."""

from dataclasses import replace

from benchmarks.costs import Load, monthly
from benchmarks.figures import Table, readable
from benchmarks.played import Day, Played

CPU_SHARE = 0.25
"""Of a processor of this machine: what a function of 256 MB is assumed to get."""
ROUND_TRIP_SECONDS = 0.001
"""From a function to the database and back, assumed."""
CABINET_SECONDS = 1.5
"""What a cabinet in the field takes to open, assumed."""
_DAY_SECONDS = 86_400
_DAYS = 365 / 12
_CLASSES = (2, 4, 8, 16, 32, 64, 96)
"""Processors of database hosts."""
_PEAK = 3
"""Times the average: the reports to a poll come in 20 seconds of each 60; people work by day."""


def cost_tables(day: Day, asked: Played, visited: Played, batched: Played) -> list[Table]:
    """A month at 1, 10 and 100 requests a second; and by the poll's period and the batch."""
    return [_by_requests(day, asked, visited), _by_polls(day, asked, visited, batched)]


def _by_requests(day: Day, asked: Played, visited: Played) -> Table:
    loads = [_load(day, asked, visited, requests=r) for r in (1, 10, 100)]
    bills = [monthly(load) for load in loads]
    rows = [[what, *(readable(bill[what]) for bill in bills)] for what in bills[0]]
    rows.append(["**all, roubles a month**", *(readable(sum(bill.values())) for bill in bills)])
    rows.append(["instances busy, average", *(readable(load.function_seconds) for load in loads)])
    rows.append(["processors of a database host", *(str(load.cores) for load in loads)])
    rows.append(["its disk for a year, GB", *(readable(load.disk_gigabytes) for load in loads)])
    return Table(
        ["requests a second", "1", "10", "100"],
        rows,
        f"A month of {day.city.cabinets:,} cabinets with more and more technicians, by the formulae"
        " and the assumed prices of [deploying.md](deploying.md#costs). Assumed besides: a function"
        f" of 256 MB has {CPU_SHARE:g} of a processor of this machine, a round trip to the database"
        f" takes {1000 * ROUND_TRIP_SECONDS:g} ms, a cabinet {CABINET_SECONDS:g} s to open; a"
        f" database host has {_PEAK} times the processors that are busy on average.",
    )


def _by_polls(day: Day, asked: Played, visited: Played, batched: Played) -> Table:
    rows = []
    for minutes in (1, 5, 10):
        for size, part in ((10, asked), (100, batched)):
            rarer = replace(part, times=part.times / minutes)
            load = _load(day, rarer, visited, requests=1)
            bill = monthly(load)
            paid = bill["function calls"] + bill["function time"]
            busy = rarer.times * rarer.server_seconds / _DAY_SECONDS
            rows.append([f"{minutes} min", size, *map(readable, (load.batches, paid, busy))])
    headers = ["poll every", "batch", "million calls", "functions, roubles", "processors busy"]
    return Table(
        headers,
        rows,
        "What the polls alone make, at one request a second: calls of `mqtt_trigger` a month, what"
        " all functions cost, and PostgreSQL's processors for the polls.",
    )


def _load(day: Day, asked: Played, visited: Played, *, requests: float) -> Load:
    """The day's polls, and its technicians as many times as make so many requests a second."""
    more = requests * _DAY_SECONDS / (visited.times * visited.requests)
    parts = [(asked, asked.times), (visited, visited.times * more)]
    busy = sum(times * part.server_seconds for part, times in parts) / _DAY_SECONDS
    grown = visited.times * more * visited.grown_megabytes * 365 / 1000
    return Load(
        requests=requests,
        batches=sum(t * part.sum_of("mqtt_trigger", "calls") for part, t in parts) * _DAYS / 1e6,
        function_seconds=sum(t * _billed(part) for part, t in parts) / _DAY_SECONDS,
        cabinets=day.city.cabinets,
        log_gigabytes=sum(t * part.log_megabytes for part, t in parts) * _DAYS / 1000,
        cores=next((n for n in _CLASSES if n >= _PEAK * busy), _CLASSES[-1]),
        disk_gigabytes=max(20, grown),
    )


def _billed(part: Played) -> float:
    """Function seconds in the cloud."""
    here = sum(
        part.sum_of(name, "cpu_seconds") / CPU_SHARE
        + part.sum_of(name, "round_trips") * ROUND_TRIP_SECONDS
        for name in part.functions
    )
    return here + part.sum_of("unlock", "calls") * CABINET_SECONDS
