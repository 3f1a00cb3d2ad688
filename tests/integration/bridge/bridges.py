"""Bridges for tests, and a function that can fail and hang."""

import base64
import logging
import threading
from collections import deque
from collections.abc import Callable
from typing import Any, Protocol, Self

from paho.mqtt import publish

from bridge.bridge import Bridge, Invoke
from bridge.settings import Settings
from local.broker import BRIDGE_LOGIN, DEVICE_PASSWORD
from tests.support.brokers import AnyBroker

DEADLINE_SECONDS = 20


class Function:
    """Records its events, raises `failures` in turn, waits for `may_return`, returns `response`."""

    def __init__(self) -> None:
        self.events: list[dict[str, Any]] = []
        self.failures: deque[Exception] = deque()
        self.response: Any = None
        self.may_return = threading.Event()
        self.may_return.set()
        self._invoked = threading.Condition()

    def __call__(self, event: dict[str, Any]) -> Any:
        with self._invoked:
            self.events.append(event)
            self._invoked.notify_all()
        if self.failures:
            raise self.failures.popleft()
        assert self.may_return.wait(DEADLINE_SECONDS)
        return self.response

    @staticmethod
    def decoded(event: dict[str, Any]) -> list[str]:
        return [base64.b64decode(m["details"]["payload"]).decode() for m in event["messages"]]

    @property
    def batches(self) -> list[list[str]]:
        return [self.decoded(event) for event in self.events]

    @property
    def payloads(self) -> list[str]:
        return [payload for batch in self.batches for payload in batch]

    def wait_for(self, condition: Callable[[], bool]) -> None:
        with self._invoked:
            assert self._invoked.wait_for(condition, DEADLINE_SECONDS), self.batches


class RecordedLogs(logging.Handler):
    """Records what is logged in its context."""

    def __init__(self) -> None:
        super().__init__()
        self.kept: list[tuple[str, dict[str, Any]]] = []

    def emit(self, record: logging.LogRecord) -> None:
        self.kept.append((record.getMessage(), record.__dict__["fields"]))

    def __enter__(self) -> Self:
        logger = logging.getLogger("scooter_accumulator")
        self._level = logger.level
        logger.setLevel(logging.INFO)
        logger.addHandler(self)
        return self

    def __exit__(self, *_: object) -> None:
        logger = logging.getLogger("scooter_accumulator")
        logger.removeHandler(self)
        logger.setLevel(self._level)


class StartBridge(Protocol):
    def __call__(self, invoke: Invoke, *, port: int | None = None, **settings: Any) -> Bridge: ...


def bridge_settings(broker: AnyBroker, *, port: int | None = None, **settings: Any) -> Settings:
    usual = {
        "bridge_retry_first_seconds": 0.02,
        "bridge_retry_max_seconds": 0.1,
        "mqtt_host": broker.host,
        "mqtt_port": port or broker.port_of(BRIDGE_LOGIN[0]),
        "mqtt_tls": False,
        "mqtt_username": BRIDGE_LOGIN[0],
        "mqtt_password": BRIDGE_LOGIN[1],
    }
    return Settings.model_validate(usual | settings)


def send(broker: AnyBroker, *payloads: str | bytes, device: str = "cab-1") -> None:
    """Publish as a device; return when the broker has acknowledged every message."""
    broker.add_device(device)
    publish.multiple(
        [(f"$devices/{device}/events", payload, 1, False) for payload in payloads],
        hostname=broker.host,
        port=broker.port,
        client_id=device,
        auth={"username": device, "password": DEVICE_PASSWORD},
    )
