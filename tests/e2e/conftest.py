"""The local clouds that end-to-end tests share: one of each kind per worker."""

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import pytest

from tests.support.command_line import SHORT_WAITS
from tests.support.local_cloud import Cabinet, LocalCloud, check_invariants, running


@pytest.fixture(scope="session")
def stack() -> Iterator[LocalCloud]:
    """A local cloud that many tests use; never stop anything in it."""
    settings = {
        "OFFLINE_AFTER_SECONDS": "7200",  # a cabinet sends nothing until its test begins
        "UNLOCK_WAIT_SECONDS": "5",  # enough for a busy machine, short for no reply
    }
    options = ("--cabinets", "40", "--poll-seconds", "3600", "--no-rate-limits")
    with running(*options, settings=settings) as stack:
        yield stack


@pytest.fixture
def cabinet(stack: LocalCloud) -> Iterator[Cabinet]:
    """A cabinet for one test."""
    yield stack.cabinet()
    check_invariants(stack)


@pytest.fixture(scope="session")
def _stoppable() -> Iterator[LocalCloud]:
    settings = {**SHORT_WAITS, "POLL_SPREAD_SECONDS": "0"}
    with running("--cabinets", "12", "--poll-seconds", "1", settings=settings) as stack:
        yield stack


@pytest.fixture
def stoppable(_stoppable: LocalCloud) -> Iterator[LocalCloud]:
    """A local cloud whose servers a test may stop or kill."""
    yield _stoppable
    _stoppable.start_database()
    _stoppable.control.start_server("broker")
    check_invariants(_stoppable)


@pytest.fixture
def threads() -> Iterator[ThreadPoolExecutor]:
    """Threads for requests that wait."""
    with ThreadPoolExecutor(4) as threads:
        yield threads
