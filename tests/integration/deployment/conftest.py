"""The broker's virtual machine as deployed."""

from collections.abc import Iterator
from contextlib import ExitStack

import pytest

from tests.integration.deployment.deployed_broker import Scene
from tests.support.database import fast_directory
from tests.support.deployment import Deployment
from tests.support.lockbox import Cloud


@pytest.fixture(scope="module")
def deployment() -> Iterator[Deployment]:
    """The machine after its first refresh."""
    with fast_directory() as directory, Cloud() as cloud, Deployment(directory, cloud) as machine:
        assert machine.refresh().returncode == 0
        yield machine


@pytest.fixture
def scene(deployment: Deployment) -> Iterator[Scene]:
    """The clients of one test."""
    with ExitStack() as clients:
        yield Scene(deployment, clients)
