"""An upgrade of the broker from the release in which all logins shared a listener."""

from contextlib import closing

import pytest

from local.children import HOST
from tests.integration.deployment.deployed_broker import EVENTS, Scene, bridge_environment
from tests.support.deployment import TlsClient
from tests.support.programs import needs

pytestmark = [pytest.mark.slow, needs("mosquitto")]

# The parts of the earlier mosquitto.conf that matter here.
_EARLIER = """\
per_listener_settings false
allow_anonymous false
password_file passwords.earlier
acl_file acl
listener {port} {host}
certfile tls/server.pem
keyfile tls/server.pem
persistence true
persistence_location data/
max_inflight_messages 1000
"""


def test_the_bridges_queue_survives_the_upgrade_and_a_reload(scene: Scene) -> None:
    machine = scene.deployment
    client_id, login = bridge_environment(machine)["BRIDGE_CLIENT_ID"], scene.new_login()
    bridge_login = ("bridge", bridge_environment(machine)["MQTT_PASSWORD"])
    topic = f"$devices/{login[0]}/events"
    configuration = machine.home / "mosquitto.conf"
    current = configuration.read_text()
    earlier = _EARLIER.format(port=machine.port, host=HOST)
    logins = (machine.home / "passwords").read_text(), (machine.home / "passwords.own").read_text()
    (machine.home / "passwords.earlier").write_text("".join(logins))
    (machine.home / "passwords.earlier").chmod(0o644)
    machine.stop()
    configuration.write_text(earlier)
    try:
        machine.restart(port=machine.port)
        bridge = TlsClient(
            machine, bridge_login, port=machine.port, client_id=client_id, persistent=True
        )
        with closing(scene.enter(bridge)):
            bridge.subscribe(EVENTS)
        with closing(scene.device(login)) as device:
            device.publish(topic, b"before the upgrade")
    finally:
        machine.stop()
        configuration.write_text(current)
        machine.restart()
    with closing(scene.device(login)) as device:
        device.publish(topic, b"after it")
    with closing(scene.bridge(client_id=client_id)) as upgraded:
        assert upgraded.payloads(2) == [b"before the upgrade", b"after it"]
        upgraded.subscribe(EVENTS)  # the reply comes after the acknowledgements have been read
    machine.reload()
    scene.new_login()  # works only after a reload
    with closing(scene.device(login)) as device:
        device.publish(topic, b"after a reload")
    assert scene.bridge(client_id=client_id).payloads(1) == [b"after a reload"]
