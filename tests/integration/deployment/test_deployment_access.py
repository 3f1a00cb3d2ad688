"""The deployed broker: TLS, logins, and access rights."""

import socket
import ssl
import subprocess
import time
from contextlib import closing, suppress
from pathlib import Path
from uuid import uuid4

import pytest

from shared import config, mqtt
from tests.integration.deployment.deployed_broker import EVENTS, Scene
from tests.support.deployment import SERVICE_PASSWORD, Deployment, TlsClient, lets_in
from tests.support.mqtt import SECONDS
from tests.support.programs import needs
from tests.support.waiting import wait_until

ROOT = Path(__file__).parents[3]

pytestmark = [pytest.mark.slow, needs("mosquitto")]


# --- TLS ----------------------------------------------------------------------


def test_a_broker_of_another_ca_is_not_trusted(deployment: Deployment, tmp_path: Path) -> None:
    other = tmp_path / "pki"
    subprocess.run(
        [ROOT / "terraform/broker/certificates", "authority"],
        env={"PKI": str(other), "PATH": "/usr/bin:/bin"},
        check=True,
    )
    with pytest.raises(ssl.SSLCertVerificationError, match=r"signature failure|self-signed|issuer"):
        lets_in(TlsClient(deployment, ("service", SERVICE_PASSWORD), ca=other / "ca.pem"))


def test_a_broker_of_another_name_is_not_trusted(deployment: Deployment) -> None:
    client = TlsClient(deployment, ("service", SERVICE_PASSWORD), host="127.0.0.1")
    with pytest.raises(ssl.SSLCertVerificationError, match="IP address mismatch"):
        lets_in(client)


def test_the_broker_accepts_no_connection_without_tls(deployment: Deployment) -> None:
    hello = b"\x10\x12\x00\x04MQTT\x04\x02\x00\x3c\x00\x06abcdef"
    for port in (deployment.port, deployment.certificate_port):
        with socket.create_connection(("127.0.0.1", port), timeout=SECONDS) as plain:
            plain.sendall(hello)
            with suppress(ConnectionResetError):
                assert not plain.recv(100).startswith(b"\x20")  # no CONNACK


def test_a_renewed_certificate_is_served_after_a_refresh(
    deployment: Deployment, scene: Scene
) -> None:
    service = scene.service()
    before = served_certificate(deployment)
    (deployment.pki / "server.crt").unlink()
    deployment.deploy()
    assert deployment.refresh().returncode == 0
    wait_until(lambda: served_certificate(deployment) != before)
    assert not service.disconnected.is_set()


def served_certificate(deployment: Deployment) -> str:
    return ssl.get_server_certificate((deployment.host, deployment.port))


# --- Logins -------------------------------------------------------------------


def test_a_wrong_password_an_unknown_login_and_none_are_refused(scene: Scene) -> None:
    for login in (("service", "wrong"), ("bridge", SERVICE_PASSWORD), ("nobody", "x"), None):
        assert not lets_in(TlsClient(scene.deployment, login))


def test_a_client_certificate_logs_in_and_its_name_is_the_device(scene: Scene) -> None:
    device_id = scene.new_certificate()
    bridge = scene.bridge()
    bridge.subscribe(EVENTS)
    device = scene.certified(device_id)
    device.attempt(f"$devices/other-{device_id}/events")
    device.publish(f"$devices/{device_id}/events", b"hello")
    assert bridge.take().payload == b"hello"


def test_the_certificate_and_not_the_user_name_identifies_the_device(scene: Scene) -> None:
    device_id, login = scene.new_certificate(), scene.new_login()
    bridge = scene.bridge()
    bridge.subscribe(EVENTS)
    client = scene.enter(TlsClient(scene.deployment, login, certificate=device_id))
    client.attempt(f"$devices/{login[0]}/events")
    client.publish(f"$devices/{device_id}/events", b"own")
    assert bridge.take().payload == b"own"


def test_the_servers_certificate_is_not_accepted_as_a_login(scene: Scene) -> None:
    devices, pki = scene.deployment.pki / "devices", scene.deployment.pki
    for end, source in (("pem", "server.crt"), ("key", "server.key")):
        (devices / f"intruder.{end}").write_bytes((pki / source).read_bytes())
    try:
        assert not lets_in(TlsClient(scene.deployment, certificate="intruder"))
    finally:
        for file in devices.glob("intruder.*"):
            file.unlink()


# --- Access rights ------------------------------------------------------------


@pytest.mark.parametrize("by_certificate", [False, True])
def test_a_device_can_publish_only_its_own_events(scene: Scene, *, by_certificate: bool) -> None:
    other_login = scene.new_login()
    device_id, device = own_device(scene, by_certificate=by_certificate)
    bridge, other = scene.bridge(), scene.device(other_login)
    bridge.subscribe("$devices/#")
    other.subscribe(f"$devices/{other_login[0]}/commands")
    other.subscribe("$registries/+/commands")
    for foreign in (
        f"$devices/{other_login[0]}/events",
        f"$devices/{other_login[0]}/commands",
        f"$devices/{device_id}/commands",
        f"$devices/{device_id}/events/more",
        f"$devices/{device_id}/state",
        "$devices/service/events",
        "$registries/test/commands",
        "$registries/test/events",
    ):
        device.attempt(foreign)
    device.publish(f"$devices/{device_id}/events", b"true")
    scene.service().publish(f"$devices/{other_login[0]}/commands", b"true")
    assert (bridge.take().payload, other.take().payload) == (b"true", b"true")


@pytest.mark.parametrize("by_certificate", [False, True])
def test_a_device_can_read_only_its_own_and_the_registrys_commands(
    scene: Scene, *, by_certificate: bool
) -> None:
    other_login = scene.new_login()
    device_id, device = own_device(scene, by_certificate=by_certificate)
    for wanted in ("#", "$devices/#", "$devices/+/commands", EVENTS, "$registries/#", "$SYS/#"):
        device.subscribe(wanted)
    service = scene.service()
    service.publish(f"$devices/{other_login[0]}/commands", b"not for you")
    scene.device(other_login).publish(f"$devices/{other_login[0]}/events", b"nor this")
    service.publish(f"$devices/{device_id}/commands", b"for you")
    service.publish("$registries/test/commands", b"for all")
    # A message may be delivered once for each filter that it matches.
    received = [device.take().payload]
    while b"for all" not in received:
        received.append(device.take().payload)
    assert set(received) == {b"for you", b"for all"}


def own_device(scene: Scene, *, by_certificate: bool) -> tuple[str, TlsClient]:
    if by_certificate:
        device_id = scene.new_certificate()
        return device_id, scene.certified(device_id)
    login = scene.new_login()
    return login[0], scene.device(login)


def test_the_service_can_publish_only_commands_and_read_no_topic_of_a_device(scene: Scene) -> None:
    login = scene.new_login()
    device, service, bridge = scene.device(login), scene.service(), scene.bridge()
    bridge.subscribe("$devices/#")
    for foreign in ("#", "$devices/#", EVENTS, f"$devices/{login[0]}/commands"):
        service.subscribe(foreign)
    for foreign in (f"$devices/{login[0]}/events", "$devices/service/events"):
        service.attempt(foreign)
    device.publish(f"$devices/{login[0]}/events", b"true")
    service.publish(f"$devices/{login[0]}/commands", b"command")
    assert bridge.take().payload == b"true"
    service.subscribe(EVENTS)  # the SUBACK comes after everything that was sent before it
    assert not service.has_received()


def test_the_bridge_can_publish_nothing_and_read_no_command(scene: Scene) -> None:
    login = scene.new_login()
    device, bridge, service = scene.device(login), scene.bridge(), scene.service()
    for topic in (f"$devices/{login[0]}/commands", "$registries/test/commands"):
        device.subscribe(topic)
    for foreign in ("#", "$devices/+/commands", "$registries/#", "$devices/#"):
        bridge.subscribe(foreign)
    for foreign in (
        f"$devices/{login[0]}/commands",
        f"$devices/{login[0]}/events",
        "$devices/bridge/events",
        "$registries/test/commands",
    ):
        bridge.attempt(foreign)
    service.publish(f"$devices/{login[0]}/commands", b"true")
    service.publish("$registries/test/commands", b"all")
    assert device.payloads(2) == [b"true", b"all"]
    device.publish(f"$devices/{login[0]}/events", b"event")
    assert bridge.take().payload == b"event"


# --- Persistence --------------------------------------------------------------


def test_messages_queued_for_the_bridge_survive_a_restart(scene: Scene) -> None:
    login, bridge_id = scene.new_login(), f"bridge-{uuid4()}"
    with closing(scene.bridge(client_id=bridge_id)) as bridge:
        bridge.subscribe(EVENTS)
    scene.device(login).publish(f"$devices/{login[0]}/events", b"1", b"2", b"3")
    scene.deployment.restart()
    assert scene.bridge(client_id=bridge_id).payloads(3) == [b"1", b"2", b"3"]


def test_a_command_expires_for_a_cabinet_with_a_persistent_session(
    scene: Scene, monkeypatch: pytest.MonkeyPatch
) -> None:
    login = scene.new_login()

    def cabinet() -> TlsClient:
        session = TlsClient(scene.deployment, login, client_id=login[0], persistent=True)
        return scene.enter(session)

    with closing(cabinet()) as device:
        device.subscribe(f"$devices/{login[0]}/commands", qos=1)
    settings = {
        "MQTT_HOST": scene.deployment.host,
        "MQTT_PORT": str(scene.deployment.own_port),
        "MQTT_CA_FILE": str(scene.deployment.pki / "ca.pem"),
        "MQTT_USERNAME": "service",
        "MQTT_PASSWORD": SERVICE_PASSWORD,
    }
    for name, value in settings.items():
        monkeypatch.setenv(name, value)
    config.settings.cache_clear()
    try:
        mqtt.Publisher().publish(login[0], b"expires", ttl_s=1)
        mqtt.Publisher().publish(login[0], b"valid", ttl_s=60)
    finally:
        mqtt.close()
        config.settings.cache_clear()
    time.sleep(2.1)  # a second, and up to one more in Mosquitto
    assert cabinet().take().payload == b"valid"
