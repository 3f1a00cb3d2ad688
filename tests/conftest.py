"""The real things that tests stand on: one PostgreSQL and one broker a worker."""

from collections.abc import Iterator

import hypothesis
import pytest

from local.broker import Broker
from local.postgres import Postgres
from tests import database
from tests.service import Service, running

# How long an example takes on a busy machine says nothing of the code.
hypothesis.settings.register_profile("untimed", deadline=None)
hypothesis.settings.load_profile("untimed")


@pytest.fixture(scope="session")
def postgres() -> Iterator[Postgres]:
    """A PostgreSQL server."""
    with database.fast_directory() as directory, Postgres(directory, durable=False) as server:
        yield server


@pytest.fixture(scope="session")
def template(postgres: Postgres) -> str:
    """A database with the service's tables, empty; never connect to it."""
    return database.make_template(postgres)


@pytest.fixture
def database_url(postgres: Postgres, template: str) -> Iterator[str]:
    """A migrated, empty database of this test's own."""
    with database.cloned(postgres, template) as url:
        yield url


@pytest.fixture(scope="session")
def broker() -> Iterator[Broker]:
    """An MQTT broker."""
    with database.fast_directory() as directory, Broker(directory) as server:
        yield server


@pytest.fixture
def service(database_url: str, monkeypatch: pytest.MonkeyPatch) -> Iterator[Service]:
    """The service in this process, with no cabinet yet."""
    with running(database_url, monkeypatch) as service:
        yield service
