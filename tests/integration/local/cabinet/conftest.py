"""A simulated cabinet at a real broker, and the service's side of its connection."""

from collections.abc import Iterator
from contextlib import closing

import pytest

from local.broker import Broker
from local.cabinet.device import Device
from local.cabinet.fleet import Fleet
from tests.integration.local.cabinet.service_side import ServiceSide


@pytest.fixture(scope="module")
def own_broker(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Broker]:
    """A broker of this file's own, since every test has a cabinet C-001."""
    with Broker(tmp_path_factory.mktemp("broker")) as broker:
        broker.add_device("C-001")
        yield broker


@pytest.fixture
def service(own_broker: Broker) -> Iterator[ServiceSide]:
    """The service's side of the cabinet's connection."""
    with closing(ServiceSide(own_broker)) as service:
        yield service


@pytest.fixture
def fleet(own_broker: Broker, service: ServiceSide) -> Iterator[Fleet]:
    """One cabinet, started; its first messages have been received."""
    fleet = Fleet(1, 12)
    fleet.start(own_broker.host, own_broker.port)
    service.receive_until(lambda message: message["type"] == "state_report")
    yield fleet
    fleet.stop()


@pytest.fixture
def device(fleet: Fleet) -> Device:
    """The cabinet."""
    return fleet.by_id["C-001"]
