"""The deployed broker: whom it trusts, whom it lets in, and who may do what."""

import socket
import ssl
import subprocess
from contextlib import closing, suppress
from pathlib import Path
from uuid import uuid4

import pytest

from local.broker import find_mosquitto
from tests.deployment import SERVICE_PASSWORD, Deployment, TlsClient, lets_in
from tests.integration.deployment.deployed_broker import EVENTS, Scene
from tests.mqtt import SECONDS
from tests.waiting import wait_until

ROOT = Path(__file__).parents[3]

pytestmark = pytest.mark.skipif(not find_mosquitto(), reason="mosquitto is not installed")


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


def test_without_tls_nothing_is_said(deployment: Deployment) -> None:
    hello = b"\x10\x12\x00\x04MQTT\x04\x02\x00\x3c\x00\x06abcdef"
    for port in (deployment.port, deployment.certificate_port):
        with socket.create_connection(("127.0.0.1", port), timeout=SECONDS) as plain:
            plain.sendall(hello)
            with suppress(ConnectionResetError):
                assert not plain.recv(100).startswith(b"\x20")  # no CONNACK: an alert, or the end


def test_a_renewed_certificate_is_shown_after_a_refresh(
    deployment: Deployment, scene: Scene
) -> None:
    service = scene.service()
    before = shown_certificate(deployment)
    (deployment.pki / "server.crt").unlink()
    deployment.deploy()
    assert deployment.refresh().returncode == 0
    wait_until(lambda: shown_certificate(deployment) != before)
    assert not service.disconnected.is_set()


def shown_certificate(deployment: Deployment) -> str:
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


def test_a_certificate_is_not_overruled_by_another_name_in_the_login(scene: Scene) -> None:
    device_id, login = scene.new_certificate(), scene.new_login()
    bridge = scene.bridge()
    bridge.subscribe(EVENTS)
    client = scene.enter(TlsClient(scene.deployment, login, certificate=device_id))
    client.attempt(f"$devices/{login[0]}/events")
    client.publish(f"$devices/{device_id}/events", b"own")
    assert bridge.take().payload == b"own"


def test_the_servers_certificate_is_no_login(scene: Scene) -> None:
    devices, pki = scene.deployment.pki / "devices", scene.deployment.pki
    for end, source in (("pem", "server.crt"), ("key", "server.key")):
        (devices / f"thief.{end}").write_bytes((pki / source).read_bytes())
    try:
        assert not lets_in(TlsClient(scene.deployment, certificate="thief"))
    finally:
        for file in devices.glob("thief.*"):
            file.unlink()


# --- Who may do what ----------------------------------------------------------


@pytest.mark.parametrize("by_certificate", [False, True])
def test_a_device_writes_its_events_only(scene: Scene, *, by_certificate: bool) -> None:
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
def test_a_device_reads_its_commands_and_the_registrys_only(
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
    # One message may come once for each filter that it matches.
    heard = [device.take().payload]
    while b"for all" not in heard:
        heard.append(device.take().payload)
    assert set(heard) == {b"for you", b"for all"}


def own_device(scene: Scene, *, by_certificate: bool) -> tuple[str, TlsClient]:
    if by_certificate:
        device_id = scene.new_certificate()
        return device_id, scene.certified(device_id)
    login = scene.new_login()
    return login[0], scene.device(login)


def test_the_service_writes_commands_only_and_reads_no_device(scene: Scene) -> None:
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
    service.subscribe(EVENTS)  # its answer comes after whatever was sent before it
    assert not service.has_received()


def test_the_bridge_writes_nothing_and_reads_no_command(scene: Scene) -> None:
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


def test_what_waits_for_the_bridge_outlives_a_restart(scene: Scene) -> None:
    login, bridge_id = scene.new_login(), f"bridge-{uuid4()}"
    with closing(scene.bridge(client_id=bridge_id)) as bridge:
        bridge.subscribe(EVENTS)
    scene.device(login).publish(f"$devices/{login[0]}/events", b"1", b"2", b"3")
    scene.deployment.restart()
    assert scene.bridge(client_id=bridge_id).payloads(3) == [b"1", b"2", b"3"]
