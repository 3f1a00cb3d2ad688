"""The data set and the simulated load that the benchmarks measure with."""

import subprocess
import sys
from collections.abc import Iterator

import pytest

from benchmarks import city, database, operations, service, workload
from benchmarks.city import City
from benchmarks.database import Database
from benchmarks.service import Cabinets
from local import signals
from tests.support.command_line import environment
from tests.support.database import fast_directory
from tests.support.processes import ROOT
from tests.support.waiting import wait_until

pytestmark = pytest.mark.slow

PLACE = City(20, rounds=2)


@pytest.fixture(scope="module")
def empty() -> Iterator[Database]:
    with database.running() as db:
        yield db


@pytest.fixture
def db(empty: Database) -> Database:
    city.fill(empty, PLACE)
    return empty


def test_the_benchmark_data_set_violates_no_invariant(db: Database) -> None:
    assert audit(db) == {"ok": True, "violations": []}
    assert db.one("SELECT count(*) FROM movements WHERE cause <> 'registered'") == PLACE.movements


def test_the_benchmark_of_every_operation_can_be_repeated(db: Database) -> None:
    with service.running(db) as running:
        for number in range(3):
            operations.perform_all(
                lambda step: operations.perform(running, step)[0], running, PLACE, number
            )

    assert audit(db) == {"ok": True, "violations": []}


def test_a_simulated_day_sends_every_request_and_every_message(db: Database) -> None:
    day, cabinets = workload.Day(PLACE), Cabinets()

    polled = workload.measure_work(db, cabinets, 1, workload.polls(day, 2, 7))
    visited = workload.measure_work(db, cabinets, 1, workload.visits(day, 1))

    assert (polled.messages, polled.sum_of("mqtt_trigger", "calls")) == (40, 2 * 3)
    assert (visited.requests, visited.messages) == (20 * 9, 20 * 18)
    assert audit(db) == {"ok": True, "violations": []}


def test_sigterm_stops_a_benchmark_and_leaves_no_server_or_file() -> None:
    command = [sys.executable, "-m", "benchmarks", "ingest", "--quick"]
    with fast_directory() as directory:
        settings = environment({"TMPDIR": str(directory)})
        with subprocess.Popen(
            command, cwd=ROOT, env=settings, stderr=subprocess.PIPE, text=True
        ) as process:
            wait_until(lambda: list(directory.glob("*/postgres.lock")), seconds=30)
            process.terminate()
            assert process.communicate(timeout=30)[1] == "# ingest …\ninterrupted\n"
        assert process.returncode == signals.INTERRUPTED
        assert list(directory.iterdir()) == []


def audit(db: Database) -> object:
    with service.running(db) as running:
        return running.call("GET", "/v1/stats")["audit"]
