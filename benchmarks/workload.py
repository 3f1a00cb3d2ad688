"""Runs parts of a city's day through the functions, and measures their cost."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property

from benchmarks import city, operations, service
from benchmarks.city import SWAPS_A_DAY, TAKEN, City
from benchmarks.database import Database
from benchmarks.reports import Reports
from benchmarks.service import Cabinets, Invocation, Service
from local.cabinet.hardware import Accumulator

Work = Callable[[Service], int]
"""Runs a part of the day; returns the number of messages that cabinets sent."""


@dataclass(frozen=True)
class Day:
    """A day of a city whose cabinets are polled every minute."""

    city: City
    minutes: int = 1440

    @property
    def changed(self) -> float:
        """Share of cells that report a changed charge at a poll; a swap needs 80 percent."""
        charged = self.city.technicians * SWAPS_A_DAY * 80
        return charged / (self.city.cabinets * city.CELLS * self.minutes)


@dataclass(frozen=True)
class Measurement:
    """The measured cost of a part of the day, which occurs `times` times a day."""

    times: float
    invocations: Sequence[Invocation]
    messages: int
    rows: int
    wal_megabytes: float
    grown_megabytes: float
    log_megabytes: float
    server_seconds: float
    """CPU time of PostgreSQL."""

    @property
    def requests(self) -> int:
        """HTTP requests; each calls the authorizer once."""
        return int(self.sum_of("authorizer", "calls"))

    @property
    def functions(self) -> list[str]:
        """The functions that were called."""
        return list(self._sums)

    def sum_of(self, function: str, what: str) -> float:
        """Total `calls`, `seconds`, `cpu_seconds` or `round_trips` of a function."""
        return self._sums.get(function, {}).get(what, 0.0)

    @cached_property
    def _sums(self) -> dict[str, dict[str, float]]:
        sums: dict[str, dict[str, float]] = {}
        for call in self.invocations:
            of = sums.setdefault(call.function, {})
            one = {"calls": 1, "seconds": call.seconds, "cpu_seconds": call.cpu_seconds}
            for what, amount in {**one, "round_trips": len(call.sent)}.items():
                of[what] = of.get(what, 0) + amount
        return sums


def measure_work(db: Database, cabinets: Cabinets, times: float, work: Work) -> Measurement:
    """Run `work` and measure its cost."""
    size, rows, wal = _size(db), _rows(db), db.wal()
    with service.running(db, {"OFFLINE_AFTER_SECONDS": "86400"}) as running:
        running.cabinets = cabinets
        before = db.cpu_seconds()
        messages = work(running)
        server_seconds = db.cpu_seconds() - before
    written = db.wal() - wal
    db.wait_until_alone()  # a connection's rows are counted when it closes
    return Measurement(
        times=times,
        invocations=running.invocations,
        messages=messages,
        rows=_rows(db) - rows,
        wal_megabytes=written / 1e6,
        grown_megabytes=(_size(db) - size) / 1e6,
        log_megabytes=running.log.length / 1e6,
        server_seconds=server_seconds,
    )


def polls(day: Day, number: int, batch: int) -> Work:
    """Work: `number` polls, each with the reports of all cabinets."""
    everyone = range(1, day.city.cabinets + 1)

    def work(running: Service) -> int:
        for _ in range(number):
            reports = Reports(running)
            for first in everyone[::batch]:
                part = everyone[first - 1 : first - 1 + batch]
                running.deliver(reports.batch(part, changed=day.changed))
        return number * len(everyone)

    return work


def visits(day: Day, every: int) -> Work:
    """Work: the whole day of every `every`-th technician; they alternate."""

    def work(running: Service) -> int:
        technicians = range(1, day.city.technicians + 1, every)
        bags = {n: [_carried(n, k) for k in range(1, TAKEN + 1)] for n in technicians}
        messages = 0
        for visit in range(SWAPS_A_DAY // TAKEN):
            for technician in technicians:
                place = (technician - 1) * (SWAPS_A_DAY // TAKEN) + visit
                tour = _Tour(running, technician, 1 + place % day.city.cabinets)
                bags[technician] = tour.go(bags[technician], place * TAKEN, day.city.scooters)
                messages += tour.messages
        return messages

    return work


class _Tour:
    """One visit to a cabinet, and the swaps after it."""

    def __init__(self, running: Service, technician: int, cabinet: int) -> None:
        self.messages = 0
        self._service = running
        self._contractor = f"T-{technician}"
        self._cabinet = running.cabinets[cabinet]

    def go(self, bag: list[Accumulator], scooter: int, scooters: int) -> list[Accumulator]:
        """Take charged accumulators, return the flat ones of the `bag`, swap; the new flat ones."""
        near = operations.near(int(self._cabinet.cabinet_id.removeprefix("C-")))
        self._service.call("GET", f"/v1/cabinets?near={near}&min_available={TAKEN}&limit=10")
        charged = [self._take(number) for number in self._open("issue")]
        for number, flat in zip(self._open("return"), bag, strict=True):
            self._put(number, flat)
        return [
            self._swap(accumulator, 1 + (scooter + n) % scooters)
            for n, accumulator in enumerate(charged)
        ]

    def _open(self, kind: str) -> Iterator[int]:
        body = {
            "cabinet_id": self._cabinet.cabinet_id,
            "contractor_id": self._contractor,
            "kind": kind,
            "count": TAKEN,
        }
        booking = self._service.call("POST", "/v1/bookings", body, status=201)
        path = f"/v1/bookings/{booking['booking_id']}/unlock"
        self.messages += 1
        return iter([c["cell_number"] for c in self._service.call("POST", path)["cells"]])

    def _take(self, number: int) -> Accumulator:
        accumulator = self._cabinet.remove(number)
        self._deliver()
        self._cabinet.close_door(number)
        self._deliver()
        return accumulator

    def _put(self, number: int, accumulator: Accumulator) -> None:
        self._cabinet.insert(number, accumulator)
        self._deliver()
        self._cabinet.close_door(number)
        self._deliver()

    def _deliver(self) -> None:
        """Deliver each message as its own batch: a person takes seconds between actions."""
        for message in self._cabinet.poll_sensors():
            self._service.say(self._cabinet, [message])
            self.messages += 1

    def _swap(self, charged: Accumulator, scooter: int) -> Accumulator:
        body = {
            "scooter_id": f"S-{scooter}",
            "contractor_id": self._contractor,
            "installed_accumulator_id": charged.accumulator_id,
            "removed_accumulator_id": f"S-{scooter}",
            "removed_battery_charge": 12,
        }
        self._service.call("POST", "/v1/swaps", body)
        return Accumulator(f"S-{scooter}", 12, 95)


def _carried(technician: int, number: int) -> Accumulator:
    return Accumulator(f"B-{technician}-{number}", 95, 95)


def _rows(db: Database) -> int:
    return int(
        db.one(
            "SELECT tup_inserted + tup_updated + tup_deleted FROM pg_stat_database"
            " WHERE datname = current_database()"
        )
    )


def _size(db: Database) -> int:
    return int(db.one("SELECT pg_database_size(current_database())"))
