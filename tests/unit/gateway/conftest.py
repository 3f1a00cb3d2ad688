"""A gateway before two functions that answer as they are told, and a client."""

import threading
from collections.abc import Callable, Iterator
from contextlib import closing

import pytest
from werkzeug.test import Client

from local.functions import FunctionPool
from local.gateway import Gateway
from tests.unit.gateway.small_gateway import Functions, document


@pytest.fixture
def functions() -> Functions:
    """What the gateway asks."""
    return Functions()


@pytest.fixture
def pool(functions: Functions) -> Iterator[FunctionPool]:
    """How the gateway reaches them."""
    with closing(functions.pool()) as pool:
        yield pool


@pytest.fixture
def client(pool: FunctionPool) -> Client:
    """Who asks the gateway."""
    return Client(Gateway(document(), pool, port=0).app)


@pytest.fixture
def impatient_client(pool: FunctionPool) -> Client:
    """The same where functions may take no time."""
    return Client(Gateway(document(), pool, port=0, execution_timeout=0.05).app)


@pytest.fixture
def hang() -> Iterator[Callable[[], bool]]:
    """What a function can do that should take too long."""
    release = threading.Event()
    yield lambda: release.wait(30)
    release.set()
