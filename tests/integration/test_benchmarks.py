"""What the benchmarks measure with: if it were wrong, their figures would be."""

from collections.abc import Iterator

import pytest

from benchmarks import city, database, played, service, story
from benchmarks.city import City
from benchmarks.database import Database
from benchmarks.service import Cabinets

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


def audit(db: Database) -> object:
    with service.running(db) as running:
        return running.call("GET", "/v1/stats")["audit"]
