"""Bookings per second: the handler, compared with pgbench that sends the same SQL."""

import json
import multiprocessing
import os
import random
import re
import shutil
import subprocess
import tempfile
import time
from collections.abc import Sequence
from contextlib import redirect_stdout
from dataclasses import dataclass
from http import HTTPStatus
from multiprocessing.context import ForkProcess
from pathlib import Path
from types import SimpleNamespace
from typing import Any

from benchmarks import city, database, service
from benchmarks.city import City
from benchmarks.database import Database
from benchmarks.figures import Figure, Measured, median
from benchmarks.service import Message, Sent
from functions.booking.main import handler

_HOW = """\
`POST /v1/bookings` for one accumulator, by calling the handler without the gateway and HTTP.
Each caller is a process with its own connection, like an instance on the platform. Bookings
expire at once, so each one finds a free accumulator and also records the expiry of the one
before. Reference: pgbench with as many clients, which sends the {statements} SQL messages of a
booking as recorded at the driver, with other ids and cabinets. Callers, pgbench and PostgreSQL
share this machine's {cores} cores. Fsync is on. Medians of {runs} runs of {seconds:g} seconds,
the two alternating."""
_GOAL = 0.6
_SPREAD = 100
_AT_ONCE = "0.000001"


def measure(*, quick: bool) -> Measured:
    """Measure both on one cabinet and on a hundred, with increasing numbers of callers."""
    runs, seconds = (1, 0.5) if quick else (3, 2.0)
    with database.running() as db:
        city.fill(db, City(_SPREAD))
        event, sent, booking_id = _recorded(db)
        bench = _Bench(db, event=event, script=_script(sent, booking_id), seconds=seconds)
        with database.settings(DATABASE_URL=db.functions_url, **_SETTINGS):
            figures = [
                bench.compare(spread, callers, runs)
                for spread in (1, _SPREAD)
                for callers in ((1, 4) if quick else (1, 2, 4, 8, 16, 32))
            ]
    how = _HOW.format(statements=len(sent), cores=os.cpu_count(), seconds=seconds, runs=runs)
    return Measured(how if _pgbench() else f"{how} pgbench is not installed here.", figures)


_SETTINGS = {"BOOKING_SECONDS": _AT_ONCE, "OFFLINE_AFTER_SECONDS": "86400"}


@dataclass(frozen=True)
class _Bench:
    db: Database
    event: Message
    script: str
    seconds: float

    def compare(self, spread: int, callers: int, runs: int) -> Figure:
        """Measure `callers` callers that book at `spread` cabinets."""
        ours, theirs = [], []
        for _ in range(runs):
            self._clean()
            ours.append(self._handle(spread, callers))
            if _pgbench():
                self._clean()
                theirs.append(self._pgbench(spread, callers))
        rate, reference = median(ours), median(theirs) if theirs else None
        return Figure(
            work=f"{_several(spread, 'cabinet')}, {_several(callers, 'caller')}",
            ours=rate,
            unit="bookings/s",
            reference=reference,
            goal=f"≥ {_GOAL} x",
            met=None if reference is None else rate >= _GOAL * reference,
        )

    def _clean(self) -> None:
        self.db.sql("DELETE FROM bookings")
        self.db.settle()

    def _handle(self, spread: int, callers: int) -> float:
        """Bookings per second through the handler."""
        forks = multiprocessing.get_context(
            "fork"
        )  # has imported everything, and has no connection
        together, done = forks.Barrier(callers), forks.SimpleQueue()
        work = (self.event, spread, self.seconds, together, done)
        processes = [ForkProcess(target=_book, args=work, daemon=True) for _ in range(callers)]
        for process in processes:
            process.start()
        booked = sum(done.get() for _ in processes)
        for process in processes:
            process.join()
        return float(booked) / self.seconds

    def _pgbench(self, spread: int, callers: int) -> float:
        """Bookings per second by pgbench."""
        with tempfile.NamedTemporaryFile("w", suffix=".sql") as script:
            script.write(f"\\set cabinet random(1, {spread})\n{self.script}")
            script.flush()
            how = ["-n", "-M", "simple", "-T", str(max(1, round(self.seconds))), "-f", script.name]
            clients = ["-c", str(callers), "-j", str(min(callers, os.cpu_count() or 1))]
            ran = subprocess.run(  # noqa: S603 - our own command
                [_pgbench(), *how, *clients, self.db.url],
                check=True,
                capture_output=True,
                text=True,
            )
        found = re.search(r"tps = ([\d.]+)", ran.stdout)
        if found is None:
            raise RuntimeError(f"pgbench printed no tps: {ran.stdout}{ran.stderr}")
        return float(found[1])


def _recorded(db: Database) -> tuple[Message, tuple[Sent, ...], str]:
    """Make a booking at C-1: its event, what the handler sent to the database, and its id."""
    body = {"cabinet_id": "C-1", "contractor_id": "T-1", "kind": "issue", "count": 1}
    with service.running(db, _SETTINGS) as running:
        running.call("POST", "/v1/bookings", body, status=201)  # connects
        made = running.call("POST", "/v1/bookings", body, status=201)
        return running.events[-1], running.invocations[-1].sent, made["booking_id"]


def _pgbench() -> str:
    return shutil.which("pgbench") or ""


def _script(sent: Sequence[Sent], booking_id: str) -> str:
    """The recorded SQL as a pgbench script, with a random booking id and cabinet."""
    lines = [r"\set id random(1, 9000000000000000000)"]
    for message in sent:
        sql = message.sql.replace(f"'{booking_id}'", "lpad(:id::text, 32, '0')")
        lines.append(sql.replace("'C-1'", "'C-:cabinet'").replace(";", r"\;") + ";")
    return "\n".join(lines)


def _book(event: Message, spread: int, seconds: float, together: Any, done: Any) -> None:
    """One caller: wait for the others, book for `seconds`, and report the number of bookings."""
    rng = random.Random()  # noqa: S311 - a simulation
    context = SimpleNamespace(request_id="benchmark")
    asked = json.loads(event["body"])

    def book() -> bool:
        body = asked | {"cabinet_id": f"C-{rng.randint(1, spread)}"}
        answer = handler({**event, "body": json.dumps(body)}, context)
        return bool(answer["statusCode"] == HTTPStatus.CREATED)

    with Path(os.devnull).open("w") as nowhere, redirect_stdout(nowhere):
        for _ in range(3):
            book()
        together.wait()
        booked, end = 0, time.monotonic() + seconds
        while time.monotonic() < end:
            booked += book()
    done.put(booked)


def _several(number: int, noun: str) -> str:
    return f"one {noun}" if number == 1 else f"{number} {noun}s"
