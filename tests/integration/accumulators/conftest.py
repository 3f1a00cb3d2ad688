"""A contractor and a scooter before a swap."""

import pytest

from tests.integration.accumulators.swap_requests import BAG, SCOOTER
from tests.support.service import Service


@pytest.fixture
def at_scooter(service: Service) -> Service:
    """The service; T-1 has FULL in the bag, and FLAT is in scooter S-1."""
    service.post("/v1/accumulators", {"accumulator_id": "FULL", "battery_charge": 97, **BAG})
    service.post("/v1/accumulators", {"accumulator_id": "FLAT", **SCOOTER})
    return service
