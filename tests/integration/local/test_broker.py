"""The local brokers start, stop, end with their parent, and report why they cannot start."""

import os
import socket
import sys
from pathlib import Path

import pytest

from local import CannotStart
from local.broker import BRIDGE_LOGIN, DEVICE_PASSWORD, Broker, Engine, find_mosquitto
from local.passwords import hashed
from tests.support.mqtt import SECONDS, Client
from tests.support.processes import another_python, is_free
from tests.support.programs import needs
from tests.support.waiting import wait_until

OWNER = """
import sys
from pathlib import Path
from local.broker import Broker
print(Broker(Path(sys.argv[1]), engine=sys.argv[2]).start().port, flush=True)
sys.stdin.read()
"""
DEVICE = ("C-001", DEVICE_PASSWORD)
EVENTS = "$devices/C-001/events"
EVERYWHERE = "0.0.0.0"  # noqa: S104 - a broker of a test
needs_mosquitto = needs("mosquitto")
both_engines = pytest.mark.parametrize(
    "engine", ["amqtt", pytest.param("mosquitto", marks=needs_mosquitto)]
)


def bridge(broker: Broker) -> Client:
    return Client(broker, BRIDGE_LOGIN, client_id="bridge", persistent=True)


def queue_for_the_bridge(broker: Broker, *events: bytes) -> None:
    """Subscribe the bridge, disconnect it, and publish as a device."""
    broker.add_device(DEVICE[0])
    with bridge(broker) as client:
        client.subscribe("$devices/+/events")
    with Client(broker, DEVICE) as device:
        device.publish(EVENTS, *events)


@needs_mosquitto
def test_mosquitto_keeps_queued_messages_across_a_restart(directory: Path) -> None:
    with Broker(directory, engine="mosquitto") as first:
        queue_for_the_bridge(first, b"1", b"2")
    with Broker(directory, engine="mosquitto") as second, bridge(second) as client:
        assert client.payloads(2) == [b"1", b"2"]


@needs_mosquitto
def test_a_killed_mosquitto_loses_at_most_the_last_message(directory: Path) -> None:
    with Broker(directory, engine="mosquitto") as broker:
        queue_for_the_bridge(broker, b"1", b"2", b"3", b"4")
        broker.kill()
        with bridge(broker.start()) as client:
            assert client.payloads(3) == [b"1", b"2", b"3"]


@needs_mosquitto
def test_mosquitto_accepts_a_device_once_it_is_added_and_after_a_restart(
    directory: Path,
) -> None:
    with Broker(directory, engine="mosquitto") as first:
        stranger = Client(first, DEVICE)
        assert stranger.connect().is_failure
        stranger.close()
        first.add_device(DEVICE[0])
        with Client(first, DEVICE):
            pass
    with Broker(directory, engine="mosquitto") as second, Client(second, DEVICE):
        pass


@both_engines
def test_a_device_can_be_added_before_the_broker_starts(directory: Path, engine: Engine) -> None:
    broker = Broker(directory, engine=engine)
    broker.add_device(DEVICE[0])
    with broker, Client(broker, DEVICE):
        pass


@pytest.mark.skipif(sys.platform != "linux", reason="elsewhere only 127.0.0.1 is a loopback")
@both_engines
@pytest.mark.parametrize("listen", ["127.0.0.1", EVERYWHERE])
def test_other_hosts_reach_the_broker_only_if_it_listens_for_them(
    directory: Path, engine: Engine, listen: str
) -> None:
    with Broker(directory, listen=listen, engine=engine) as broker, socket.socket() as probe:
        is_reached = probe.connect_ex(("127.0.0.2", broker.port)) == 0
        assert is_reached == (listen == EVERYWHERE)
        assert broker.host == "127.0.0.1"  # where the service connects


# --- Devices' own passwords ---------------------------------------------------


def lets_in(broker: Broker, login: tuple[str, str]) -> bool:
    client = Client(broker, login)
    try:
        return not client.connect().is_failure
    finally:
        client.close()


@both_engines
def test_a_password_of_its_own_replaces_the_shared_one_of_a_device(
    directory: Path, engine: Engine
) -> None:
    own = (DEVICE[0], "own")
    with Broker(directory, engine=engine) as broker:
        broker.add_devices("C-001", "C-002")
        with Client(broker, DEVICE) as device:
            broker.change_passwords({"C-001": hashed("own")})
            assert device.disconnected.wait(SECONDS)
        assert lets_in(broker, own)
        assert not lets_in(broker, DEVICE)
        assert lets_in(broker, ("C-002", DEVICE_PASSWORD))


@both_engines
def test_a_password_of_its_own_is_kept_over_restarts(directory: Path, engine: Engine) -> None:
    with Broker(directory, engine=engine) as first:
        first.change_passwords({"C-001": hashed("own")})
    with Broker(directory, engine=engine) as second:
        second.add_device("C-001")  # as the local cloud does for each registered device
        assert lets_in(second, ("C-001", "own"))
        assert not lets_in(second, DEVICE)


@both_engines
def test_a_revoked_device_is_disconnected_and_refused_also_after_a_restart(
    directory: Path, engine: Engine
) -> None:
    with Broker(directory, engine=engine) as first:
        first.add_device("C-001")
        with Client(first, DEVICE) as device:
            first.change_passwords({"C-001": ""})
            assert device.disconnected.wait(SECONDS)
        assert not lets_in(first, DEVICE)
    with Broker(directory, engine=engine) as second:
        second.add_device("C-001")
        assert not lets_in(second, DEVICE)
        assert not lets_in(second, ("C-001", ""))


@both_engines
def test_other_devices_stay_connected_when_passwords_change(
    directory: Path, engine: Engine
) -> None:
    with Broker(directory, engine=engine) as broker:
        broker.add_devices("C-001", "C-002")
        with Client(broker, ("C-002", DEVICE_PASSWORD)) as changed, Client(broker, DEVICE) as other:
            broker.change_passwords({"C-002": hashed("own")})
            assert changed.disconnected.wait(SECONDS)
            other.publish(EVENTS, b"1")
            assert not other.disconnected.is_set()


def test_the_own_passwords_are_readable_by_their_owner_only(directory: Path) -> None:
    broker = Broker(directory)
    broker.change_passwords({"C-001": hashed("own")})
    assert broker.own_passwords().keys() == {"C-001"}
    assert all(file.stat().st_mode & 0o077 == 0 for file in directory.glob("*passwords*"))


# --- Processes ----------------------------------------------------------------


@both_engines
def test_a_killed_broker_restarts_on_its_port(directory: Path, engine: Engine) -> None:
    with Broker(directory, engine=engine) as broker:
        port = broker.port
        broker.kill()
        assert is_free(port)
        assert broker.start().port == port
        with bridge(broker):
            pass


@both_engines
def test_the_broker_stops_when_its_parent_is_killed(directory: Path, engine: Engine) -> None:
    with another_python(OWNER, directory, engine) as (owner, port):
        assert not is_free(int(port))
        owner.kill()
        wait_until(lambda: is_free(int(port)))


@both_engines
def test_a_start_waits_until_the_broker_of_a_killed_parent_has_stopped(
    directory: Path, engine: Engine
) -> None:
    with another_python(OWNER, directory, engine) as (owner, port):
        owner.kill()
        owner.wait()
        with Broker(directory, engine=engine, port=int(port)) as broker, bridge(broker):
            pass


@both_engines
def test_a_port_in_use_is_refused(directory: Path, engine: Engine) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        with pytest.raises(CannotStart, match=f"port {port} cannot be used"):
            Broker(directory, engine=engine, port=port).start()


@both_engines
def test_a_directory_in_use_is_refused(directory: Path, engine: Engine) -> None:
    with (
        another_python(OWNER, directory, engine) as (owner, _),
        pytest.raises(CannotStart, match=f"in use by process {owner.pid}"),
    ):
        Broker(directory, engine=engine).start()


@needs_mosquitto
def test_an_error_of_mosquitto_is_reported(directory: Path) -> None:
    with Broker(directory, engine="mosquitto"):
        pass
    (directory / "mosquitto" / "mosquitto.db").write_bytes(b"no database")
    with pytest.raises(CannotStart, match=r"mosquitto cannot start in .*: .*[Ee]rror"):
        Broker(directory, engine="mosquitto").start()


def test_a_missing_mosquitto_is_reported(directory: Path) -> None:
    broker = Broker(directory, engine="mosquitto")
    broker._mosquitto = None
    with pytest.raises(CannotStart, match="mosquitto is not installed"):
        broker.start()


def test_mosquitto_is_preferred_if_it_is_installed(directory: Path) -> None:
    assert Broker(directory).engine == ("mosquitto" if find_mosquitto() else "amqtt")


@both_engines
def test_a_broker_runs_in_a_directory_that_only_its_owner_can_enter(
    directory: Path, engine: Engine
) -> None:
    with Broker(directory / "deeper", engine=engine) as broker, bridge(broker):
        pass
    assert directory.stat().st_mode & 0o777 == 0o700
    assert directory.stat().st_uid == os.geteuid()
