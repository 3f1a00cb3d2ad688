"""The broker's machine as deployed: cloud-init's very files, Mosquitto, certificates."""

import json
import re
import socket
import ssl
import subprocess
import sys
from collections.abc import Iterator
from contextlib import ExitStack, closing, suppress
from pathlib import Path
from uuid import uuid4

import pytest

from local.broker import find_mosquitto
from tests.database import fast_directory
from tests.deployment import (
    SERVICE_PASSWORD,
    Deployment,
    TlsClient,
    installed_files,
    lets_in,
)
from tests.lockbox import Cloud
from tests.mqtt import SECONDS
from tests.waiting import wait_until

ROOT = Path(__file__).parents[2]
EVENTS = "$devices/+/events"

pytestmark = pytest.mark.skipif(not find_mosquitto(), reason="mosquitto is not installed")


@pytest.fixture(scope="module")
def deployment() -> Iterator[Deployment]:
    with fast_directory() as directory, Cloud() as cloud, Deployment(directory, cloud) as machine:
        assert machine.refresh().returncode == 0
        yield machine


class Scene:
    """One test's clients at the deployed broker."""

    def __init__(self, deployment: Deployment, clients: ExitStack) -> None:
        self.deployment = deployment
        self._clients = clients

    def enter(self, client: TlsClient) -> TlsClient:
        return self._clients.enter_context(client)

    def new_login(self) -> tuple[str, str]:
        """The login of a new cabinet."""
        device_id = f"device-{uuid4()}"
        login = printed_login(self.deployment.credentials("add", device_id))
        assert login[0] == device_id
        assert self.deployment.refresh().returncode == 0
        wait_until(lambda: lets_in(TlsClient(self.deployment, login)))
        return login

    def new_certificate(self) -> str:
        """The id of a new cabinet with a certificate."""
        device_id = f"device-{uuid4()}"
        assert self.deployment.credentials("add", "--certificate", device_id).returncode == 0
        return device_id

    def device(self, login: tuple[str, str]) -> TlsClient:
        return self.enter(TlsClient(self.deployment, login))

    def certified(self, device_id: str) -> TlsClient:
        return self.enter(TlsClient(self.deployment, certificate=device_id))

    def service(self) -> TlsClient:
        return self.enter(TlsClient(self.deployment, ("service", SERVICE_PASSWORD)))

    def bridge(self, *, client_id: str = "") -> TlsClient:
        login = ("bridge", bridge_environment(self.deployment)["MQTT_PASSWORD"])
        persistent = bool(client_id)
        return self.enter(
            TlsClient(self.deployment, login, client_id=client_id, persistent=persistent)
        )


@pytest.fixture
def scene(deployment: Deployment) -> Iterator[Scene]:
    with ExitStack() as clients:
        yield Scene(deployment, clients)


def printed_login(done: subprocess.CompletedProcess[str]) -> tuple[str, str]:
    assert done.returncode == 0, done.stderr
    device_id, password = done.stdout.split()
    return device_id, password


def bridge_environment(deployment: Deployment) -> dict[str, str]:
    lines = (deployment.home / "bridge.env").read_text().splitlines()
    return dict(line.split("=", 1) for line in lines)


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


# --- Credentials while it runs ------------------------------------------------


def test_a_revoked_cabinet_is_cut_off_and_kept_out_and_nobody_else(scene: Scene) -> None:
    login, other_login = scene.new_login(), scene.new_login()
    revoked, other = scene.device(login), scene.device(other_login)
    assert scene.deployment.credentials("revoke", login[0]).returncode == 0
    assert scene.deployment.refresh().returncode == 0
    assert revoked.disconnected.wait(SECONDS)
    assert not lets_in(TlsClient(scene.deployment, login))
    assert not other.disconnected.is_set()


def test_a_rotated_password_replaces_the_old_one_at_once(scene: Scene) -> None:
    login = scene.new_login()
    device = scene.device(login)
    new_login = printed_login(scene.deployment.credentials("rotate", login[0]))
    assert scene.deployment.refresh().returncode == 0
    assert device.disconnected.wait(SECONDS)
    assert not lets_in(TlsClient(scene.deployment, login))
    assert lets_in(TlsClient(scene.deployment, new_login))


def test_a_revoked_certificate_is_cut_off_and_kept_out_and_no_other(scene: Scene) -> None:
    device_id, other_id = scene.new_certificate(), scene.new_certificate()
    stolen = TlsClient(scene.deployment, certificate=device_id)  # it has read the files
    session = scene.certified(device_id)
    assert scene.deployment.credentials("revoke", device_id).returncode == 0
    assert scene.deployment.refresh().returncode == 0
    assert session.disconnected.wait(SECONDS)
    assert not lets_in(stolen)
    assert lets_in(TlsClient(scene.deployment, certificate=other_id))


def test_a_rotated_certificate_replaces_the_old_one(scene: Scene) -> None:
    device_id = scene.new_certificate()
    stolen = TlsClient(scene.deployment, certificate=device_id)
    done = scene.deployment.credentials("rotate", "--certificate", device_id)
    assert done.returncode == 0, done.stderr
    assert scene.deployment.refresh().returncode == 0
    assert not lets_in(stolen)
    assert lets_in(TlsClient(scene.deployment, certificate=device_id))


def test_the_list_names_every_login_and_its_kind(scene: Scene) -> None:
    login, certified = scene.new_login(), scene.new_certificate()
    lines = scene.deployment.credentials("list").stdout.splitlines()
    assert {f"{login[0]} password", f"{certified} certificate"} <= set(lines)
    assert not any("certificates/" in line for line in lines)


@pytest.mark.parametrize(
    ("arguments", "reason"),
    [
        (("add", "bridge"), "cannot be a device's id"),
        (("add", "a/b"), "cannot be a device's id"),
        (("add", "--certificate", "+"), "cannot be a device's id"),
        (("rotate", "unknown"), "no such login: unknown; a first one is made by `add`"),
        (("revoke", "unknown"), "there is no certificate of unknown"),
    ],
)
def test_what_cannot_be_done_is_explained_and_changes_nothing(
    deployment: Deployment, arguments: tuple[str, ...], reason: str
) -> None:
    versions = len(deployment.cloud.secrets["cabinets"])
    done = deployment.credentials(*arguments)
    assert done.returncode != 0
    assert reason in done.stderr
    assert len(deployment.cloud.secrets["cabinets"]) == versions


def test_a_login_is_not_replaced_by_adding_it_again(scene: Scene) -> None:
    login = scene.new_login()
    done = scene.deployment.credentials("add", login[0])
    assert "already there" in done.stderr
    assert lets_in(TlsClient(scene.deployment, login))


def test_no_password_of_a_cabinet_is_stored(scene: Scene) -> None:
    _, password = scene.new_login()
    assert password not in json.dumps(scene.deployment.cloud.secrets)
    assert password not in (scene.deployment.home / "passwords").read_text()


# --- The machine's refresh ----------------------------------------------------


def test_a_refresh_without_a_change_touches_no_service(deployment: Deployment) -> None:
    assert deployment.refresh().returncode == 0
    deployment.systemctl.clear()
    assert deployment.refresh().returncode == 0
    assert deployment.systemctl == []


def test_a_broken_lockbox_revokes_nobody(scene: Scene) -> None:
    login = scene.new_login()
    device = scene.device(login)
    scene.deployment.cloud.broken = True
    try:
        done = scene.deployment.refresh()
    finally:
        scene.deployment.cloud.broken = False
    assert done.returncode == 1
    assert "the next run tries again" in done.stderr
    assert not device.disconnected.is_set()
    assert lets_in(TlsClient(scene.deployment, login))


def test_what_systemd_did_not_do_is_asked_for_again(deployment: Deployment) -> None:
    login = printed_login(deployment.credentials("add", f"device-{uuid4()}"))
    deployment.broken_systemd.touch()
    try:
        assert deployment.refresh().returncode == 1
    finally:
        deployment.broken_systemd.unlink()
    assert not lets_in(TlsClient(deployment, login))
    assert deployment.refresh().returncode == 0
    wait_until(lambda: lets_in(TlsClient(deployment, login)))


def test_a_new_package_takes_the_bridges_place(deployment: Deployment) -> None:
    before = deployment.bridge.resolve()
    deployment.deploy(bridge="print('new')")
    deployment.systemctl.clear()
    assert deployment.refresh().returncode == 0
    command = [sys.executable, "-m", "bridge"]
    done = subprocess.run(command, cwd=deployment.bridge, capture_output=True, check=True)
    assert done.stdout == b"new\n"
    assert "restart bridge.service" in deployment.systemctl
    assert not before.exists()


def test_only_the_brokers_group_reads_its_secrets(deployment: Deployment) -> None:
    for name in ("passwords", "tls/server.pem", "bridge.env", "bridge.password"):
        assert (deployment.home / name).stat().st_mode & 0o007 == 0


def test_the_bridge_connects_with_what_refresh_has_written(
    deployment: Deployment, tmp_path: Path
) -> None:
    unit = installed_files()["/etc/systemd/system/bridge.service"].text
    command = re.search(r"^ExecStart=/usr/bin/python3 (.+)$", unit, re.MULTILINE)
    assert command is not None
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as systemd:
        systemd.bind(str(tmp_path / "notify"))
        systemd.settimeout(SECONDS)
        environment = {
            **bridge_environment(deployment),
            "MQTT_PORT": str(deployment.port),
            "NOTIFY_SOCKET": str(tmp_path / "notify"),
        }
        with subprocess.Popen(
            [sys.executable, *command[1].split()], cwd=ROOT, env=environment
        ) as bridge:
            try:
                while b"STATUS=connected" not in systemd.recv(1000):
                    assert bridge.poll() is None
            finally:
                bridge.terminate()
    assert bridge.returncode == 0
