"""A contractor with accumulators to hand over."""

import pytest

from tests.integration.transfers.transfer_requests import GIVER
from tests.support.service import Service


@pytest.fixture
def carrying(service: Service) -> Service:
    """The service; T-1 has A-1 and A-2."""
    for number in (1, 2):
        body = {"accumulator_id": f"A-{number}", "battery_charge": 90 + number, **GIVER}
        service.post("/v1/accumulators", body)
    return service
