"""A gateway in front of two functions, and its clients."""

import threading
from collections.abc import Callable, Iterator
from contextlib import closing

import pytest
from werkzeug.test import Client

from local.functions import FunctionPool
from local.gateway import Gateway, Routes
from tests.unit.local.gateway.small_gateway import Functions, document


@pytest.fixture
def functions() -> Functions:
    """The two functions."""
    return Functions()


@pytest.fixture
def pool(functions: Functions) -> Iterator[FunctionPool]:
    """The pool that invokes them."""
    with closing(functions.pool()) as pool:
        yield pool


@pytest.fixture
def client(pool: FunctionPool) -> Client:
    """A client of the gateway."""
    return Client(Gateway(Routes(document()), pool, port=0).app)


@pytest.fixture
def impatient_client(pool: FunctionPool) -> Client:
    """A client of a gateway whose functions time out after 0.05 s."""
    return Client(Gateway(Routes(document()), pool, port=0, execution_timeout=0.05).app)


@pytest.fixture
def hang() -> Iterator[Callable[[], bool]]:
    """A function that returns only after the test."""
    release = threading.Event()
    yield lambda: release.wait(30)
    release.set()
