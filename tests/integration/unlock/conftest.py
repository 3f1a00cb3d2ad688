"""The service with a short and with a long wait for a cabinet's reply."""

from collections.abc import Iterator

import pytest

from tests.integration.unlock.waiting_callers import SECONDS
from tests.support.service import Service, running


@pytest.fixture
def service(database_url: str, monkeypatch: pytest.MonkeyPatch) -> Iterator[Service]:
    """The service; an unlock without a reply is unsettled almost at once."""
    with running(database_url, monkeypatch, UNLOCK_WAIT_SECONDS="0.05") as service:
        yield service


@pytest.fixture
def patient_service(database_url: str, monkeypatch: pytest.MonkeyPatch) -> Iterator[Service]:
    """The service; no command times out or expires during a test, even on a busy machine."""
    longer = str(2 * SECONDS)
    settings = {"UNLOCK_WAIT_SECONDS": longer, "COMMAND_TTL_SECONDS": longer}
    with running(database_url, monkeypatch, **settings) as service:
        yield service
