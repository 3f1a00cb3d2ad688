"""A cabinet at the broker, and requests that publish commands to it."""

import json
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from typing import Any

from local.broker import DEVICE_PASSWORD, SERVICE_LOGIN, Broker
from tests.support.mqtt import Client
from tests.support.service import Response, Service

USER, PASSWORD = SERVICE_LOGIN


@contextmanager
def cabinet_at(broker: Broker) -> Iterator[Client]:
    """An MQTT client with C-1's login and subscriptions."""
    with Client(broker, ("C-1", DEVICE_PASSWORD)) as client:
        client.subscribe("$devices/C-1/commands")
        client.subscribe("$registries/local/commands")
        yield client


def unlock_with_reply(service: Service, booking: Any, cabinet: Client) -> Response:
    """Unlock while the cabinet executes the command that it receives; return the response."""
    with ThreadPoolExecutor(1) as other:
        response: Future[Response] = other.submit(service.unlock, booking)
        service._arrive("C-1", json.loads(cabinet.take().payload))
        return response.result()


def is_unavailable(response: Response) -> bool:
    return (
        response.status == 503
        and response.body["code"] == "queue_unavailable"
        and response.headers["Retry-After"] == "1"
    )


def assert_nothing_changed(service: Service, booking: Any) -> None:
    found = service.booking(booking)
    assert found["status"] == "active"
    assert [cell["state"] for cell in found["cells"]] == ["held"]
    assert [row["status"] for row in service.sql("SELECT status FROM commands")] == [
        "not_published"
    ]
    service.check_invariants()
