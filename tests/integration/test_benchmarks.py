"""What the benchmarks measure with: if it were wrong, their figures would be."""

import subprocess
import sys
from collections.abc import Iterator

import pytest

from benchmarks import city, database, played, service, story
from benchmarks.city import City
from benchmarks.database import Database
from benchmarks.service import Cabinets
from local import signals
from tests.database import fast_directory
from tests.e2e.command_line import environment
from tests.processes import ROOT
from tests.waiting import wait_until

PLACE = City(20, rounds=2)


@pytest.fixture(scope="module")
def empty() -> Iterator[Database]:
    with database.running() as db:
        yield db


@pytest.fixture
def db(empty: Database) -> Database:
    city.fill(empty, PLACE)
    return empty


def test_a_city_that_was_filled_in_contradicts_no_invariant(db: Database) -> None:
    assert audit(db) == {"ok": True, "violations": []}
    assert db.one("SELECT count(*) FROM movements WHERE cause <> 'registered'") == PLACE.movements


def test_the_story_of_every_operation_can_be_told_again_and_again(db: Database) -> None:
    with service.running(db) as running:
        for number in range(3):
            story.tell(lambda step: story.perform(running, step)[0], running, PLACE, number)

    assert audit(db) == {"ok": True, "violations": []}


def test_a_day_is_played_with_every_request_and_every_message(db: Database) -> None:
    day, cabinets = played.Day(PLACE), Cabinets()

    asked = played.play(db, cabinets, 1, played.polls(day, 2, 7))
    visited = played.play(db, cabinets, 1, played.visits(day, 1))

    assert (asked.messages, asked.sum_of("mqtt_trigger", "calls")) == (40, 2 * 3)
    assert (visited.requests, visited.messages) == (20 * 9, 20 * 18)
    assert audit(db) == {"ok": True, "violations": []}


def test_a_sigterm_ends_it_with_no_server_and_no_file_left() -> None:
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
