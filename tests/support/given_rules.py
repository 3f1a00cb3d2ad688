"""Finds out what a given broker does with its clients, where the service works with either."""

from contextlib import closing

from local.broker import DEVICE_PASSWORD
from tests.support.brokers import Rules
from tests.support.given_broker import GivenBroker
from tests.support.mqtt import Client


def probe(broker: GivenBroker) -> Rules:
    """Connect as a device with another client id, and subscribe where a device may not."""
    device_id = broker.next_device()
    login = (device_id, DEVICE_PASSWORD)
    with closing(Client(broker, login, client_id="another")) as renamed:
        is_refused = renamed.connect().is_failure
    with Client(broker, login, client_id=device_id) as device:
        device.attempt_to_subscribe("$devices/+/events")
        ends_connections = device.disconnected.is_set()
    return Rules(
        replaces_client_ids=not is_refused,
        ends_connections=ends_connections,
        reads_all_before_the_end=False,
        waits_for_qos_0=False,
    )
