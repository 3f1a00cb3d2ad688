"""A broker, a function and bridges of the test's own."""

from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest

from bridge.bridge import Bridge, Invoke
from local.broker import Broker
from tests.integration.bridge.bridges import Function, StartBridge, bridge_settings


@pytest.fixture
def own_broker(tmp_path: Path) -> Iterator[Broker]:
    """A broker of the test's own, which it may kill."""
    with Broker(tmp_path / "broker") as broker:
        yield broker


@pytest.fixture
def function() -> Function:
    """The function that the bridge invokes."""
    return Function()


@pytest.fixture
def start_bridge(own_broker: Broker, function: Function) -> Iterator[StartBridge]:
    """A function that starts a bridge at this broker; the bridges are stopped after the test."""
    with ExitStack() as stack:

        def start(invoke: Invoke, *, port: int | None = None, **settings: Any) -> Bridge:
            bridge = Bridge(bridge_settings(own_broker, port=port, **settings), invoke)
            stack.callback(bridge.stop)
            bridge.start()
            return bridge

        yield start
        function.may_return.set()
