"""Attacks on the deployed broker by a device with a good login."""

from contextlib import closing

import pytest

from tests.integration.deployment.deployed_broker import EVENTS, Scene, bridge_environment
from tests.support.deployment import SERVICE_PASSWORD, TlsClient, lets_in
from tests.support.mqtt import SECONDS
from tests.support.programs import needs

pytestmark = [pytest.mark.slow, needs("mosquitto")]

MAX_PACKET_BYTES = 307_200


def attackers(scene: Scene, client_id: str) -> list[TlsClient]:
    """Return a device's clients on each listener for devices, all with this client id."""
    login, device_id = scene.new_login(), scene.new_certificate()
    return [
        TlsClient(scene.deployment, login, client_id=client_id, persistent=True),
        TlsClient(scene.deployment, certificate=device_id, client_id=client_id, persistent=True),
    ]


# --- Another's connection and session -----------------------------------------


def test_a_device_cannot_end_the_connection_of_its_neighbour(scene: Scene) -> None:
    login, device_id = scene.new_login(), scene.new_certificate()
    with_password = scene.enter(TlsClient(scene.deployment, login, client_id=login[0]))
    with_certificate = scene.enter(
        TlsClient(scene.deployment, certificate=device_id, client_id=device_id)
    )
    for victim, client_id in ((with_password, login[0]), (with_certificate, device_id)):
        for attacker in attackers(scene, client_id):
            assert lets_in(attacker)
        topic = f"$devices/{client_id}/events"
        victim.publish(topic, b"still here")  # acknowledged over the same connection
        assert not victim.disconnected.is_set()


def test_a_device_cannot_take_the_session_of_its_neighbour(scene: Scene) -> None:
    login = scene.new_login()

    def neighbour() -> TlsClient:
        return scene.enter(TlsClient(scene.deployment, login, client_id=login[0], persistent=True))

    with closing(neighbour()) as device:
        device.subscribe(f"$devices/{login[0]}/commands")
    scene.service().publish(f"$devices/{login[0]}/commands", b"for the neighbour")
    for attacker in attackers(scene, login[0]):
        with scene.enter(attacker) as connected:
            connected.subscribe("$registries/+/commands")  # answered after what was queued
            assert not connected.has_received()
    assert neighbour().take().payload == b"for the neighbour"


def test_a_device_that_knows_the_bridges_id_cannot_take_its_session(scene: Scene) -> None:
    client_id = bridge_environment(scene.deployment)["BRIDGE_CLIENT_ID"]
    login = scene.new_login()
    bridge = scene.bridge(client_id=client_id)
    bridge.subscribe(EVENTS)
    for attacker in attackers(scene, client_id):
        assert lets_in(attacker)
    scene.device(login).publish(f"$devices/{login[0]}/events", b"arrives")
    assert bridge.take().payload == b"arrives"
    assert not bridge.disconnected.is_set()


def test_a_device_that_knows_a_functions_id_cannot_end_its_connection(scene: Scene) -> None:
    service = scene.enter(
        TlsClient(scene.deployment, ("service", SERVICE_PASSWORD), client_id="one-of-many")
    )
    for attacker in attackers(scene, "one-of-many"):
        assert lets_in(attacker)
    service.publish("$registries/test/commands", b"still here")
    assert not service.disconnected.is_set()


def test_a_listener_accepts_no_login_of_another_listener(scene: Scene) -> None:
    machine, login = scene.deployment, scene.new_login()
    service = ("service", SERVICE_PASSWORD)
    bridge = ("bridge", bridge_environment(machine)["MQTT_PASSWORD"])
    assert not lets_in(TlsClient(machine, login, port=machine.own_port))
    assert not lets_in(TlsClient(machine, service, port=machine.port))
    assert not lets_in(TlsClient(machine, bridge, port=machine.port))


def test_functions_connect_side_by_side_and_without_a_client_id(scene: Scene) -> None:
    services = [scene.service() for _ in range(3)]
    login = scene.new_login()
    device = scene.device(login)
    device.subscribe(f"$devices/{login[0]}/commands")
    for number, service in enumerate(services):
        service.publish(f"$devices/{login[0]}/commands", str(number).encode())
    assert device.payloads(3) == [b"0", b"1", b"2"]


def test_a_login_has_one_connection_however_many_it_opens(scene: Scene) -> None:
    login = scene.new_login()
    opened = [scene.device(login) for _ in range(10)]
    for earlier in opened[:-1]:
        assert earlier.disconnected.wait(SECONDS)
    opened[-1].publish(f"$devices/{login[0]}/events", b"the newest")
    assert not opened[-1].disconnected.is_set()


# --- Messages -----------------------------------------------------------------


def test_a_packet_that_is_too_large_ends_only_its_senders_connection(scene: Scene) -> None:
    login, other = scene.new_login(), scene.new_login()
    bridge, device, neighbour = scene.bridge(), scene.device(login), scene.device(other)
    bridge.subscribe(EVENTS)
    device.send_unacknowledged(f"$devices/{login[0]}/events", b"x" * MAX_PACKET_BYTES)
    assert device.disconnected.wait(SECONDS)
    neighbour.publish(f"$devices/{other[0]}/events", b"fits")
    assert bridge.take().payload == b"fits"


def test_a_retained_message_is_one_for_each_device_and_its_own(scene: Scene) -> None:
    login, other = scene.new_login(), scene.new_login()
    device, neighbour = scene.device(login), scene.device(other)
    topic = f"$devices/{login[0]}/events"
    for number in range(3):
        device.publish(topic, str(number).encode(), retain=True)
    for foreign in (f"$devices/{other[0]}/commands", "$registries/test/commands"):
        device.attempt(foreign, retain=True)
        neighbour.subscribe(foreign)
    assert not neighbour.has_received()
    bridge = scene.bridge()
    bridge.subscribe(topic)
    bridge.subscribe(EVENTS)  # the reply comes after the retained messages
    received = {bytes(message.payload) for message in bridge.received()}
    device.publish(topic, b"", retain=True)  # deletes it
    assert received == {b"2"}


@pytest.mark.parametrize("topic", ["$devices/{neighbour}/events", "$devices/{neighbour}/commands"])
def test_a_last_will_cannot_be_anothers_message(scene: Scene, topic: str) -> None:
    login, other = scene.new_login(), scene.new_login()
    bridge, neighbour = scene.bridge(), scene.device(other)
    bridge.subscribe(EVENTS)
    neighbour.subscribe(f"$devices/{other[0]}/commands")
    attacker = TlsClient(scene.deployment, login)
    attacker.set_will(topic.format(neighbour=other[0]), b"forged")
    if attacker.is_let_in():
        attacker.drop()
    neighbour.publish(f"$devices/{other[0]}/events", b"true")
    scene.service().publish(f"$devices/{other[0]}/commands", b"true")
    assert (bridge.take().payload, neighbour.take().payload) == (b"true", b"true")
