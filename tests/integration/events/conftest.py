"""Fixtures of the tests of the feed."""

import pytest

from tests.integration.events.following import Follower
from tests.support.service import Service


@pytest.fixture
def follower(service: Service) -> Follower:
    """A follower of the feed of an empty service."""
    return Follower(service)
