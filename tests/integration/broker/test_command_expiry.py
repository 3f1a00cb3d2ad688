"""A command whose ttl_s has passed is not delivered, whatever session the client asked for."""

import time
from collections.abc import Iterator
from contextlib import ExitStack, closing, contextmanager
from typing import Any

import pytest
from paho.mqtt.enums import MQTTProtocolVersion

from local.broker import DEVICE_PASSWORD, Broker
from shared import config, mqtt
from shared.errors import QueueUnavailable
from tests.support.brokers import AnyBroker
from tests.support.database import fast_directory
from tests.support.given_broker import new_device, settings_of
from tests.support.mqtt import Client
from tests.support.programs import skip_without
from tests.support.service import change_settings

TTL_S = 1
PASSED_SECONDS = TTL_S + 1.1
"""The broker counts whole seconds: it keeps a message up to one second longer.

Tests sleep for it: nothing shows from outside that a message has expired.
"""
LONG_S = 60


class Scene:
    """One device with the persistent session at QoS 1 that the protocol forbids."""

    def __init__(self, broker: AnyBroker, clients: ExitStack) -> None:
        self.broker = broker
        self.device_id = new_device(broker)
        self.commands = f"$devices/{self.device_id}/commands"
        self._clients = clients

    def persistent(self, **options: Any) -> Client:
        return self._clients.enter_context(
            Client(self.broker, self._login, client_id=self.device_id, persistent=True, **options)
        )

    def clean(self) -> Client:
        client = Client(self.broker, self._login, client_id=self.device_id)
        return self._clients.enter_context(client)

    def leave_a_session(self, **options: Any) -> None:
        with closing(self.persistent(**options)) as device:
            assert device.subscribe(self.commands, qos=1) == 1

    @property
    def _login(self) -> tuple[str, str]:
        return (self.device_id, DEVICE_PASSWORD)


def publish(scene: Scene, payload: bytes, *, ttl_s: float) -> None:
    mqtt.Publisher().publish(scene.device_id, payload, ttl_s=ttl_s)


def publish_briefly(scene: Scene, payload: bytes) -> None:
    """Publish with a TTL that passes soon; connect before it begins."""
    assert mqtt.is_reachable()
    publish(scene, payload, ttl_s=TTL_S)


def received(scene: Scene, device: Client) -> list[bytes]:
    """What the device has received before the command that is published now."""
    publish(scene, b"last", ttl_s=LONG_S)
    payloads: list[bytes] = []
    while b"last" not in payloads:
        payloads += device.payloads(1)
    return payloads[:-1]


def expiry(device: Client) -> int:
    properties: Any = device.take().properties
    seconds: int = properties.MessageExpiryInterval
    return seconds


@contextmanager
def scene_at(broker: AnyBroker) -> Iterator[Scene]:
    """The publisher that is deployed, with the version that the broker speaks."""
    with pytest.MonkeyPatch.context() as patch, ExitStack() as clients:
        clients.callback(config.settings.cache_clear)
        clients.callback(mqtt.close)
        change_settings(patch, **settings_of(broker))
        yield Scene(broker, clients)


@pytest.fixture
def scene(any_broker: AnyBroker) -> Iterator[Scene]:
    with scene_at(any_broker) as found:
        yield found


@pytest.fixture(scope="module")
def mosquitto() -> Iterator[Broker]:
    skip_without("mosquitto")
    with fast_directory() as directory, Broker(directory, engine="mosquitto") as broker:
        yield broker


@pytest.fixture
def mosquitto_scene(mosquitto: Broker) -> Iterator[Scene]:
    with scene_at(mosquitto) as found:
        yield found


@pytest.fixture(scope="module")
def embedded() -> Iterator[Broker]:
    with fast_directory() as directory, Broker(directory, engine="amqtt") as broker:
        yield broker


@pytest.fixture
def embedded_scene(embedded: Broker) -> Iterator[Scene]:
    with scene_at(embedded) as found:
        yield found


def test_a_persistent_client_that_returns_after_the_ttl_receives_no_old_command(
    scene: Scene,
) -> None:
    scene.leave_a_session()
    publish_briefly(scene, b"unlock")
    time.sleep(PASSED_SECONDS)  # nothing shows that the TTL has passed
    assert received(scene, scene.persistent()) == []


def test_a_command_that_was_not_acknowledged_is_not_redelivered_after_the_ttl(
    scene: Scene,
) -> None:
    device = scene.persistent(manual_ack=True)
    device.subscribe(scene.commands, qos=1)
    publish_briefly(scene, b"unlock")
    assert device.take().payload == b"unlock"
    device.drop()
    time.sleep(PASSED_SECONDS)  # nothing shows that the TTL has passed
    assert received(scene, scene.persistent()) == []


def test_a_persistent_client_that_returns_in_time_receives_the_command(
    mosquitto_scene: Scene,
) -> None:
    mosquitto_scene.leave_a_session()
    publish(mosquitto_scene, b"unlock", ttl_s=LONG_S)
    assert mosquitto_scene.persistent().take().payload == b"unlock"


def test_a_command_is_delivered_with_its_remaining_expiry(mosquitto_scene: Scene) -> None:
    version_5 = {"protocol": MQTTProtocolVersion.MQTTv5}
    mosquitto_scene.leave_a_session(**version_5)
    publish(mosquitto_scene, b"unlock", ttl_s=LONG_S)
    time.sleep(2)  # only time makes the rest of the expiry smaller
    assert LONG_S - 10 < expiry(mosquitto_scene.persistent(**version_5)) < LONG_S


def test_the_embedded_broker_keeps_no_command_for_a_client_that_is_away(
    embedded_scene: Scene,
) -> None:
    embedded_scene.leave_a_session()
    publish(embedded_scene, b"unlock", ttl_s=LONG_S)
    assert received(embedded_scene, embedded_scene.persistent()) == []


@pytest.mark.parametrize(
    ("ttl_s", "seconds"),
    [(0.01, 1), (1, 1), (14.95, 15), (15, 15), (10**12, 2**32 - 1)],
)
def test_the_expiry_is_the_ttl_in_whole_seconds_rounded_up(
    mosquitto_scene: Scene, ttl_s: float, seconds: int
) -> None:
    device = mosquitto_scene.persistent(protocol=MQTTProtocolVersion.MQTTv5)
    device.subscribe(mosquitto_scene.commands, qos=1)
    assert mqtt.is_reachable()
    publish(mosquitto_scene, b"unlock", ttl_s=ttl_s)
    assert expiry(device) == seconds


def test_the_expiry_is_what_a_slow_connection_has_left_of_the_ttl(
    mosquitto_scene: Scene, monkeypatch: pytest.MonkeyPatch
) -> None:
    device = mosquitto_scene.persistent(protocol=MQTTProtocolVersion.MQTTv5)
    device.subscribe(mosquitto_scene.commands, qos=1)
    connection = mqtt._connection

    def slow_connection() -> mqtt._Connection:
        time.sleep(1.1)  # the connection is slow
        return connection()

    monkeypatch.setattr(mqtt, "_connection", slow_connection)
    publish(mosquitto_scene, b"unlock", ttl_s=15)
    assert expiry(device) <= 14


def test_a_command_expires_while_mosquitto_is_down(
    mosquitto: Broker, mosquitto_scene: Scene
) -> None:
    mosquitto_scene.leave_a_session()
    publish_briefly(mosquitto_scene, b"expires")
    publish(mosquitto_scene, b"valid", ttl_s=LONG_S)
    mosquitto.stop()
    time.sleep(PASSED_SECONDS)  # nothing shows that the TTL has passed
    mosquitto.start()
    assert received(mosquitto_scene, mosquitto_scene.persistent()) == [b"valid"]


def test_a_clean_session_at_qos_0_receives_each_command_once(scene: Scene) -> None:
    with closing(scene.clean()) as device:
        device.subscribe(scene.commands, qos=0)
        publish(scene, b"unlock", ttl_s=LONG_S)
        assert device.take().payload == b"unlock"
    publish(scene, b"while away", ttl_s=LONG_S)
    device = scene.clean()
    device.subscribe(scene.commands, qos=0)
    assert received(scene, device) == []


def test_publishers_of_both_versions_work_side_by_side(
    mosquitto_scene: Scene, monkeypatch: pytest.MonkeyPatch
) -> None:
    device = mosquitto_scene.clean()
    device.subscribe(mosquitto_scene.commands, qos=0)
    for version in ("3.1.1", "5", "3.1.1"):
        change_settings(monkeypatch, MQTT_VERSION=version)
        publish(mosquitto_scene, version.encode(), ttl_s=LONG_S)
    assert device.payloads(3) == [b"3.1.1", b"5", b"3.1.1"]


def test_a_broker_without_mqtt_5_is_unavailable_to_a_publisher_of_5(
    embedded_scene: Scene, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(mqtt, "CONNECT_SECONDS", 0.3)
    change_settings(monkeypatch, MQTT_VERSION="5")
    with pytest.raises(QueueUnavailable):
        publish(embedded_scene, b"unlock", ttl_s=LONG_S)
