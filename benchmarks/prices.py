"""Computes the monthly cost in the cloud from the measured cost of a day."""

from dataclasses import replace

from benchmarks.costs import Load, monthly
from benchmarks.figures import Table, readable
from benchmarks.workload import Day, Measurement

CPU_SHARE = 0.25
"""Assumed share of one of this machine's CPUs for a function of 256 MB."""
ROUND_TRIP_SECONDS = 0.001
"""Assumed time from a function to the database and back."""
CABINET_SECONDS = 1.5
"""Assumed time that a cabinet in the field takes to open."""
_DAY_SECONDS = 86_400
_DAYS = 365 / 12
_CLASSES = (2, 4, 8, 16, 32, 64, 96)
"""CPUs of the classes of database hosts."""
_PEAK = 3
"""Peak load / average: reports arrive within 20 seconds of each minute; people work by day."""


def cost_tables(
    day: Day, polled: Measurement, visited: Measurement, batched: Measurement
) -> list[Table]:
    """Cost at 1, 10 and 100 requests per second, and by poll period and batch size."""
    return [_by_requests(day, polled, visited), _by_polls(day, polled, visited, batched)]


def _by_requests(day: Day, polled: Measurement, visited: Measurement) -> Table:
    loads = [_load(day, polled, visited, requests=r) for r in (1, 10, 100)]
    bills = [monthly(load) for load in loads]
    rows = [[what, *(readable(bill[what]) for bill in bills)] for what in bills[0]]
    rows.append(["**total, roubles per month**", *(readable(sum(bill.values())) for bill in bills)])
    rows.append(["instances busy, average", *(readable(load.function_seconds) for load in loads)])
    rows.append(["CPUs of a database host", *(str(load.cores) for load in loads)])
    rows.append(["disk for one year, GB", *(readable(load.disk_gigabytes) for load in loads)])
    return Table(
        ["requests per second", "1", "10", "100"],
        rows,
        f"The cost of a month with {day.city.cabinets:,} cabinets and increasing numbers of"
        " technicians, by the formulas and assumed prices of [deploying.md](deploying.md#costs)."
        f" Further assumptions: a function of 256 MB gets {CPU_SHARE:g} of one of this machine's"
        f" CPUs; a round trip to the database takes {1000 * ROUND_TRIP_SECONDS:g} ms; a cabinet"
        f" takes {CABINET_SECONDS:g} s to open; a database host has {_PEAK} times as many CPUs as"
        " are busy on average.",
    )


def _by_polls(day: Day, polled: Measurement, visited: Measurement, batched: Measurement) -> Table:
    rows = []
    for minutes in (1, 5, 10):
        for size, part in ((10, polled), (100, batched)):
            rarer = replace(part, times=part.times / minutes)
            load = _load(day, rarer, visited, requests=1)
            bill = monthly(load)
            paid = bill["function calls"] + bill["function time"]
            busy = rarer.times * rarer.server_seconds / _DAY_SECONDS
            rows.append([f"{minutes} min", size, *map(readable, (load.batches, paid, busy))])
    headers = ["poll every", "batch", "million calls", "functions, roubles", "CPUs busy"]
    return Table(
        headers,
        rows,
        "By poll period and batch size, at one request per second: monthly calls of `mqtt_trigger`,"
        " cost of all functions, and CPUs of PostgreSQL that the polls keep busy.",
    )


def _load(day: Day, polled: Measurement, visited: Measurement, *, requests: float) -> Load:
    """The day's polls, with the technicians scaled to this number of requests per second."""
    more = requests * _DAY_SECONDS / (visited.times * visited.requests)
    parts = [(polled, polled.times), (visited, visited.times * more)]
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


def _billed(part: Measurement) -> float:
    """Billed function seconds in the cloud."""
    here = sum(
        part.sum_of(name, "cpu_seconds") / CPU_SHARE
        + part.sum_of(name, "round_trips") * ROUND_TRIP_SECONDS
        for name in part.functions
    )
    return here + part.sum_of("unlock", "calls") * CABINET_SECONDS
