"""The service with the publisher that is deployed, at a broker that may be stopped."""

from collections.abc import Iterator

import pytest

from local.broker import Broker
from shared.mqtt import Publisher
from tests.database import fast_directory
from tests.integration.queue.wired import PASSWORD, USER
from tests.service import Service, running


@pytest.fixture(scope="module")
def own_broker() -> Iterator[Broker]:
    """A broker of this file's own, which may be stopped and lets C-1 in."""
    with fast_directory() as directory, Broker(directory) as broker:
        broker.add_device("C-1")
        yield broker


@pytest.fixture
def wired(
    own_broker: Broker, database_url: str, monkeypatch: pytest.MonkeyPatch
) -> Iterator[Service]:
    """The service at the broker; one cabinet has spoken. Afterwards the broker runs again."""
    settings = {
        "MQTT_HOST": own_broker.host,
        "MQTT_PORT": str(own_broker.port),
        "MQTT_USERNAME": USER,
        "MQTT_PASSWORD": PASSWORD,
        "MQTT_TLS": "false",
    }
    try:
        with running(database_url, monkeypatch, **settings) as service:
            monkeypatch.setattr("shared.mqtt.Publisher", Publisher)
            service.add_cabinet(charges=[98, 95])
            yield service
    finally:
        own_broker.start()
