"""The service with the publisher that is deployed, at a broker that may be stopped."""

import json
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from typing import Any

import pytest

from local.broker import DEVICE_PASSWORD, SERVICE_LOGIN, Broker
from shared import config
from tests.mqtt import Client
from tests.service import Answer, Service

USER, PASSWORD = SERVICE_LOGIN


@contextmanager
def cabinet_at(broker: Broker) -> Iterator[Client]:
    with Client(broker, ("C-1", DEVICE_PASSWORD)) as client:
        client.subscribe("$devices/C-1/commands")
        client.subscribe("$registries/local/commands")
        yield client


def use(monkeypatch: pytest.MonkeyPatch, **settings: str) -> None:
    """Other settings from the next request on."""
    for name, value in settings.items():
        monkeypatch.setenv(name, value)
    config.settings.cache_clear()


def unlock_answered(service: Service, booking: Any, cabinet: Client) -> Answer:
    """Unlock while the cabinet does what the message says that it gets."""
    with ThreadPoolExecutor(1) as other:
        answer: Future[Answer] = other.submit(service.unlock, booking)
        service._arrive("C-1", json.loads(cabinet.take().payload))
        return answer.result()


def is_unavailable(answer: Answer) -> bool:
    return (
        answer.status == 503
        and answer.body["code"] == "queue_unavailable"
        and answer.headers["Retry-After"] == "1"
    )


def check_nothing_happened(service: Service, booking: Any) -> None:
    found = service.booking(booking)
    assert found["status"] == "active"
    assert [cell["state"] for cell in found["cells"]] == ["held"]
    assert [row["status"] for row in service.sql("SELECT status FROM commands")] == [
        "not_published"
    ]
    service.check_invariants()
