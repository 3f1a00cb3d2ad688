"""The local clouds that end-to-end tests share: one of each kind a worker."""

from collections.abc import Iterator

import pytest

from tests.e2e.command_line import SHORT
from tests.e2e.running import Cabinet, Running, running


@pytest.fixture(scope="session")
def stack() -> Iterator[Running]:
    """A local cloud that all tests use at once: never stop anything in it."""
    settings = {"OFFLINE_AFTER_SECONDS": "7200"}  # cabinets wait for their test unheard
    with running("--cabinets", "40", "--poll-seconds", "3600", settings=settings) as stack:
        yield stack


@pytest.fixture
def cabinet(stack: Running) -> Iterator[Cabinet]:
    """A cabinet for one test; afterwards no invariant is broken."""
    yield stack.cabinet()
    assert_sound(stack)


@pytest.fixture(scope="session")
def _fragile() -> Iterator[Running]:
    settings = {**SHORT, "POLL_SPREAD_SECONDS": "0"}
    with running("--cabinets", "12", "--poll-seconds", "1", settings=settings) as one:
        yield one


@pytest.fixture
def fragile(_fragile: Running) -> Iterator[Running]:
    """A local cloud whose servers a test may stop or kill."""
    yield _fragile
    _fragile.start_database()
    _fragile.control.start_server("broker")
    assert_sound(_fragile)


def assert_sound(stack: Running) -> None:
    assert stack.operator.get("/v1/stats")["audit"] == {"ok": True, "violations": []}
