"""Transfers from T-1 to T-2 over HTTP."""

from typing import Any

from tests.support.service import Response, Service

GIVER, TAKER, OTHER = ({"contractor_id": f"T-{number}"} for number in (1, 2, 3))


def transfer(service: Service, *ids: str, key: str | None = None, **more: Any) -> Response:
    """Report that T-1 has handed accumulators over to T-2, unless `more` overrides these."""
    body = {"from_contractor_id": "T-1", "to_contractor_id": "T-2", "accumulator_ids": [*ids]}
    headers = {"Idempotency-Key": key} if key else {}
    return service.call("POST", "/v1/transfers", body | more, headers=headers)


def last_movement(service: Service, accumulator_id: str) -> Any:
    """Return the newest entry of an accumulator's chain of custody."""
    return service.get(f"/v1/accumulators/{accumulator_id}/movements?limit=1")["movements"][0]


def movements(service: Service, accumulator_id: str) -> int:
    """Return the number of an accumulator's movements."""
    return len(service.movement_causes(accumulator_id))
