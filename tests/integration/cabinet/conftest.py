"""One simulated cabinet at a real broker, and who talks with it."""

from collections.abc import Iterator
from contextlib import closing

import pytest

from local.broker import Broker
from local.cabinet.device import Device
from local.cabinet.fleet import Fleet
from tests.integration.cabinet.far_end import Service


@pytest.fixture(scope="module")
def own_broker(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Broker]:
    """A broker that only this module's cabinets talk at: C-001 is everyone's name."""
    with Broker(tmp_path_factory.mktemp("broker")) as broker:
        broker.add_device("C-001")
        yield broker


@pytest.fixture
def service(own_broker: Broker) -> Iterator[Service]:
    """The far end of the cabinet's connection."""
    with closing(Service(own_broker)) as service:
        yield service


@pytest.fixture
def fleet(own_broker: Broker, service: Service) -> Iterator[Fleet]:
    """One cabinet, started; what it says at power-up has been heard."""
    fleet = Fleet(1, 12)
    fleet.start(own_broker.host, own_broker.port)
    service.hear_until(lambda message: message["type"] == "state_report")
    yield fleet
    fleet.stop()


@pytest.fixture
def device(fleet: Fleet) -> Device:
    """The cabinet."""
    return fleet.by_id["C-001"]
