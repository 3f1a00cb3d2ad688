"""What a cluster could break: the order of commands, sessions that move, and all that fails."""

from collections.abc import Iterator
from contextlib import ExitStack
from itertools import permutations
from uuid import uuid4

import pytest

from local.broker import BRIDGE_LOGIN, DEVICE_PASSWORD, SERVICE_LOGIN
from tests.faults import cluster as faults
from tests.support.balancer import Balanced
from tests.support.database import fast_directory
from tests.support.mqtt import SECONDS, Client
from tests.support.programs import skip_without
from tests.support.rabbitmq import Cluster

PAIRS = 50
"""Of an unlock and a poll, for each placement of the three clients."""

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def faulty() -> Iterator[Cluster]:
    """A cluster of its own: after a fault, nodes need a while until they answer as before."""
    skip_without("rabbitmq-server")
    with fast_directory() as directory, Cluster(directory) as nodes:
        yield nodes


@pytest.fixture
def balanced(faulty: Cluster) -> Iterator[Balanced]:
    """The cluster behind load balancers; all nodes run afterwards."""
    with Balanced(faulty) as brokers:
        try:
            yield brokers
        finally:
            faulty.start()


@pytest.mark.parametrize(("unlocks", "polls", "cabinet"), [*permutations((1, 2, 3))])
def test_a_poll_does_not_overtake_an_unlock_that_was_acknowledged_before(
    cluster: Cluster, unlocks: int, polls: int, cabinet: int
) -> None:
    device_id = f"device-{uuid4()}"
    cluster.add_device(device_id)
    login = (device_id, DEVICE_PASSWORD)
    with (
        Client(cluster.at(unlocks), SERVICE_LOGIN) as unlocking,
        Client(cluster.at(polls), SERVICE_LOGIN) as polling,
        Client(cluster.at(cabinet), login, client_id=device_id) as device,
    ):
        device.subscribe(f"$devices/{device_id}/commands", qos=0)
        device.subscribe("$registries/local/commands", qos=0)
        for number in range(PAIRS):
            unlocking.publish(f"$devices/{device_id}/commands", b"unlock %d" % number)
            polling.publish("$registries/local/commands", b"poll %d" % number)
        expected = [(b"unlock %d" % n, b"poll %d" % n) for n in range(PAIRS)]
        assert device.payloads(2 * PAIRS) == [payload for pair in expected for payload in pair]


def test_a_session_follows_its_client_to_another_node(cluster: Cluster) -> None:
    device_id, bridge_id = f"device-{uuid4()}", f"bridge-{uuid4()}"
    cluster.add_device(device_id)
    with ExitStack() as clients:
        first, second = (
            clients.enter_context(
                Client(cluster.at(number), BRIDGE_LOGIN, client_id=bridge_id, persistent=True)
            )
            for number in (1, 2)
        )
        assert first.disconnected.wait(SECONDS)
        second.subscribe("$devices/+/events")
        device = clients.enter_context(
            Client(cluster.at(3), (device_id, DEVICE_PASSWORD), client_id=device_id)
        )
        device.publish(f"$devices/{device_id}/events", b"at the second node")
        assert second.take().payload == b"at the second node"
    with Client(cluster.at(1), BRIDGE_LOGIN, client_id=bridge_id):
        pass  # a clean session deletes the persistent one


@pytest.mark.timeout(300)
@pytest.mark.parametrize(
    "fault",
    [faults.kill_the_node_of_the_bridge, faults.silence_the_node_of_the_bridge],
    ids=lambda fault: fault.__name__,
)
def test_no_message_is_lost_whatever_happens_to_a_node(
    balanced: Balanced, fault: faults.Fault
) -> None:
    figures = faults.messages(balanced, fault)
    assert figures.faults == []
    assert figures.count > 0


@pytest.mark.timeout(300)
def test_the_records_stay_true_when_the_node_of_the_bridge_is_killed(balanced: Balanced) -> None:
    figures = faults.unlocks(balanced, faults.kill_the_node_of_the_bridge)
    assert figures.faults == []
    assert figures.away_seconds < faults.SECONDS_TO_RECOVER
