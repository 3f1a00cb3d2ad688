"""The broker's machine as deployed."""

from collections.abc import Iterator
from contextlib import ExitStack

import pytest

from tests.database import fast_directory
from tests.deployment import Deployment
from tests.integration.deployment.deployed_broker import Scene
from tests.lockbox import Cloud


@pytest.fixture(scope="module")
def deployment() -> Iterator[Deployment]:
    """A machine that has had its first refresh."""
    with fast_directory() as directory, Cloud() as cloud, Deployment(directory, cloud) as machine:
        assert machine.refresh().returncode == 0
        yield machine


@pytest.fixture
def scene(deployment: Deployment) -> Iterator[Scene]:
    """The test's clients there."""
    with ExitStack() as clients:
        yield Scene(deployment, clients)
