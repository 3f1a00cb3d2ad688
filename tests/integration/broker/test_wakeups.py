"""The bridge wakes the callers that wait for a command, over a real broker."""

import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any
from uuid import UUID, uuid4

import pytest

from bridge.bridge import Bridge
from local.broker import BRIDGE_LOGIN, DEVICE_PASSWORD, SERVICE_LOGIN, Broker
from shared import config, mqtt
from tests.integration.bridge.bridges import Function, bridge_settings, send
from tests.integration.broker.conftest import UNLOCK_SECONDS
from tests.support.brokers import AnyBroker
from tests.support.mqtt import Client
from tests.support.service import change_settings
from tests.support.waiting import wait_until

LONG_SECONDS = float(UNLOCK_SECONDS)


@pytest.fixture
def at_broker(any_broker: AnyBroker, monkeypatch: pytest.MonkeyPatch) -> Iterator[AnyBroker]:
    """Each broker, which the functions of this process use."""
    use(any_broker, monkeypatch)
    yield any_broker
    config.settings.cache_clear()


def use(broker: AnyBroker, monkeypatch: pytest.MonkeyPatch) -> None:
    """Let the functions of this process use the broker."""
    broker.start()
    change_settings(
        monkeypatch,
        MQTT_HOST=broker.host,
        MQTT_PORT=str(broker.port_of(SERVICE_LOGIN[0])),
        MQTT_USERNAME=SERVICE_LOGIN[0],
        MQTT_PASSWORD=SERVICE_LOGIN[1],
        MQTT_TLS="false",
        MQTT_VERSION=broker.mqtt_version,
        DATABASE_URL="postgresql://unused",
    )


def waited(command_id: UUID, seconds: float, begun: threading.Event) -> float:
    """Wait for a wake-up in this thread; return how long it took, in seconds."""
    try:
        with mqtt.Publisher().wakeups(command_id) as wait:
            begun.set()
            began = time.monotonic()
            wait(seconds)
            return time.monotonic() - began
    finally:
        mqtt.close()


@pytest.mark.parametrize("response", ["settled", "of an older release", "unreadable"])
def test_the_bridge_wakes_whoever_waits_for_a_command_that_a_batch_settled(
    at_broker: AnyBroker, response: str
) -> None:
    command_id, function, begun = uuid4(), Function(), threading.Event()
    responses: dict[str, Any] = {
        "settled": {"messages": 1, "anomalies": 0, "settled": [str(command_id)]},
        "of an older release": {"messages": 1, "anomalies": 0},
        "unreadable": "not what was expected",
    }
    function.response = responses[response]
    bridge = Bridge(bridge_settings(at_broker), function)
    bridge.start()
    wakes = response == "settled"
    try:
        wait_until(lambda: bridge.is_connected)
        with ThreadPoolExecutor(1) as other:
            waiting = other.submit(waited, command_id, LONG_SECONDS if wakes else 0.3, begun)
            assert begun.wait(LONG_SECONDS)
            send(at_broker, "the command's result")
            wait_until(lambda: bridge.counters.delivered == 1)
            took = waiting.result(LONG_SECONDS)
    finally:
        bridge.stop()
    assert took < LONG_SECONDS / 2 if wakes else took >= 0.3


def test_a_wakeup_for_another_command_wakes_nobody(at_broker: AnyBroker) -> None:
    begun = threading.Event()
    with ThreadPoolExecutor(1) as other, Client(at_broker, BRIDGE_LOGIN) as bridge:
        waiting = other.submit(waited, uuid4(), 0.5, begun)
        assert begun.wait(LONG_SECONDS)
        bridge.publish(mqtt.wakeup_topic(uuid4()), b"")
        assert waiting.result(LONG_SECONDS) >= 0.5


def test_a_cabinet_can_neither_wake_a_caller_nor_read_wakeups(at_broker: AnyBroker) -> None:
    command_id, begun = uuid4(), threading.Event()
    at_broker.add_device("C-1")
    login = ("C-1", DEVICE_PASSWORD)
    with ThreadPoolExecutor(1) as other, Client(at_broker, login, client_id="C-1") as cabinet:
        cabinet.attempt_to_subscribe("$commands/+/settled")
        waiting = other.submit(waited, command_id, 0.5, begun)
        assert begun.wait(LONG_SECONDS)
        with Client(at_broker, login, client_id="C-1") as again:
            again.attempt(mqtt.wakeup_topic(command_id))
        assert waiting.result(LONG_SECONDS) >= 0.5
        with Client(at_broker, BRIDGE_LOGIN) as bridge:
            bridge.publish(mqtt.wakeup_topic(command_id), b"")
        assert not cabinet.has_received()


def test_without_a_broker_the_wait_takes_its_whole_time(
    own_broker: Broker, monkeypatch: pytest.MonkeyPatch
) -> None:
    use(own_broker, monkeypatch)
    own_broker.stop()
    try:
        assert waited(uuid4(), 0.2, threading.Event()) >= 0.2
    finally:
        config.settings.cache_clear()
        own_broker.start()


def test_a_connection_that_is_lost_during_the_wait_does_not_end_it(
    own_broker: Broker, monkeypatch: pytest.MonkeyPatch
) -> None:
    begun = threading.Event()
    use(own_broker, monkeypatch)
    try:
        with ThreadPoolExecutor(1) as other:
            waiting = other.submit(waited, uuid4(), 1.0, begun)
            assert begun.wait(LONG_SECONDS)
            own_broker.kill()
            assert waiting.result(LONG_SECONDS) >= 1.0
    finally:
        config.settings.cache_clear()
        own_broker.start()
