"""The service with the deployed publisher, at a broker of its own."""

from collections.abc import Iterator

import pytest

from local.broker import Broker
from shared.mqtt import Publisher
from tests.integration.broker.connected_service import PASSWORD, USER
from tests.support import given_broker, given_rules
from tests.support.brokers import AnyBroker
from tests.support.database import fast_directory
from tests.support.programs import needs, skip_without
from tests.support.rabbitmq import Cluster
from tests.support.service import Service, running

ENGINES = [
    "amqtt",
    pytest.param("mosquitto", marks=needs("mosquitto")),
    pytest.param("rabbitmq", marks=[needs("rabbitmq-server"), pytest.mark.slow]),
]
UNLOCK_SECONDS = 30
"""Time limit for a reply over the real broker, on a busy machine."""


@pytest.fixture(scope="session")
def cluster() -> Iterator[Cluster]:
    """Three RabbitMQ nodes, which start once: all their tests run in one worker."""
    skip_without("rabbitmq-server")
    with fast_directory() as directory, Cluster(directory) as nodes:
        yield nodes


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """Run the tests of a broker with each of ours, or with the one of --broker."""
    if "any_broker" in metafunc.fixturenames:
        brokers = [given_broker.ENGINE] if metafunc.config.getoption("--broker") else ENGINES
        metafunc.parametrize("any_broker", brokers, indirect=True, scope="module")


@pytest.fixture(scope="module")
def any_broker(request: pytest.FixtureRequest) -> Iterator[AnyBroker]:
    """Each of the brokers that the service is tested with, or the one that pytest was given."""
    if request.param == given_broker.ENGINE:
        given = given_broker.GivenBroker(request.config.getoption("--broker"))
        given.rules = given_rules.probe(given)
        yield given
        return
    if request.param == "rabbitmq":
        yield request.getfixturevalue("cluster")
        return
    with fast_directory() as directory, Broker(directory, engine=request.param) as server:
        yield server


@pytest.fixture(scope="module")
def own_broker() -> Iterator[Broker]:
    """A broker of this file's own that accepts C-1; tests stop it."""
    with fast_directory() as directory, Broker(directory) as broker:
        broker.add_device("C-1")
        yield broker


@pytest.fixture
def connected(
    own_broker: Broker, database_url: str, monkeypatch: pytest.MonkeyPatch
) -> Iterator[Service]:
    """The service at the broker, with cabinet C-1. The broker is started again after the test."""
    settings = {
        "MQTT_HOST": own_broker.host,
        "MQTT_PORT": str(own_broker.port_of(USER)),
        "MQTT_USERNAME": USER,
        "MQTT_PASSWORD": PASSWORD,
        "MQTT_TLS": "false",
        "MQTT_VERSION": own_broker.mqtt_version,
        "UNLOCK_WAIT_SECONDS": str(UNLOCK_SECONDS),
    }
    try:
        with running(database_url, monkeypatch, **settings) as service:
            monkeypatch.setattr("shared.mqtt.Publisher", Publisher)
            service.add_cabinet(charges=[98, 95])
            yield service
    finally:
        own_broker.start()
