"""Fixtures: the service that may send to the loopback, and a receiver there."""

from collections.abc import Iterator

import pytest

from tests.support.receiver import Receiver
from tests.support.service import Service, running


@pytest.fixture
def service(database_url: str, monkeypatch: pytest.MonkeyPatch) -> Iterator[Service]:
    """The service, which may send to private addresses."""
    with running(database_url, monkeypatch, WEBHOOKS_ALLOW_PRIVATE="true") as service:
        yield service


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    """A receiver that answers 200 unless told otherwise."""
    with Receiver() as receiver:
        yield receiver
