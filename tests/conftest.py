"""Fixtures of all tests: one PostgreSQL server and one broker per worker."""

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import hypothesis
import pytest

from local.broker import Broker
from local.pgbouncer import find_pgbouncer
from local.postgres import Postgres
from tests.support import database, programs, reuse, schedule, tiers
from tests.support.service import Service, running

if TYPE_CHECKING:
    from xdist.scheduler import LoadFileScheduling

# The duration of an example depends on the machine, not on the code.
hypothesis.settings.register_profile("untimed", deadline=None)
hypothesis.settings.load_profile("untimed")


def pytest_addoption(parser: pytest.Parser) -> None:
    text = "connect the service to PostgreSQL through PgBouncer in transaction mode"
    parser.addoption("--pgbouncer", action="store_true", help=text)
    text = "test the broker that this file describes instead of the local ones"
    parser.addoption("--broker", type=Path, metavar="FILE", help=text)


def pytest_configure(config: pytest.Config) -> None:
    database.POOLED = config.getoption("--pgbouncer")
    if database.POOLED and find_pgbouncer() is None:
        raise pytest.UsageError("--pgbouncer: pgbouncer is not installed")


def pytest_deselected(items: list[pytest.Item]) -> None:
    tiers.note(items)


@pytest.hookimpl(optionalhook=True)
def pytest_testnodedown(node: Any) -> None:
    tiers.note_of_worker(node)


def pytest_unconfigure(config: pytest.Config) -> None:
    """Print what was left out, and a line for each missing program, at the end of the run."""
    terminal = config.pluginmanager.get_plugin("terminalreporter")
    if terminal is None or hasattr(config, "workerinput"):
        return
    skipped = programs.summary(str(r.longrepr) for r in terminal.stats.get("skipped", []))
    for line in [*tiers.summary(config), *skipped]:
        terminal.write_line(line)


@pytest.hookimpl(trylast=True)  # after pytest-randomly
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    items.sort(key=lambda item: schedule.rank(item.nodeid))


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config: pytest.Config, log: Any) -> "LoadFileScheduling":
    """Run all tests of a file in one worker, so that its servers start once."""
    from xdist.scheduler import LoadFileScheduling  # noqa: PLC0415 - only with workers

    class LoadGroupScheduling(LoadFileScheduling):  # type: ignore[misc] # it has no types
        def _split_scope(self, nodeid: str) -> str:
            return schedule.group(nodeid)

    config.option.loadscopereorder = False
    return LoadGroupScheduling(config, log)


@pytest.fixture(scope="session")
def postgres() -> Iterator[Postgres]:
    """A PostgreSQL server."""
    with database.fast_directory() as directory, database.server(directory) as server:
        yield server


@pytest.fixture(scope="session")
def template(postgres: Postgres) -> str:
    """The name of an empty, migrated database to clone; never connect to it."""
    return database.make_template(postgres)


@pytest.fixture(scope="session")
def databases(postgres: Postgres, template: str) -> reuse.Pool:
    """Migrated databases, each for one test at a time."""
    return reuse.Pool(postgres, template)


@pytest.fixture
def database_url(postgres: Postgres, template: str, databases: reuse.Pool) -> Iterator[str]:
    """A migrated, empty database for one test."""
    # The pooler would keep connections to a database that is used again.
    lent = database.cloned(postgres, template) if database.POOLED else databases.lent()
    with lent as url:
        yield url


@pytest.fixture(scope="session")
def broker() -> Iterator[Broker]:
    """An MQTT broker."""
    with database.fast_directory() as directory, Broker(directory) as server:
        yield server


@pytest.fixture
def service(database_url: str, monkeypatch: pytest.MonkeyPatch) -> Iterator[Service]:
    """The service in this process, without cabinets."""
    with running(database_url, monkeypatch) as service:
        yield service
