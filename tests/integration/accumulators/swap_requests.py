"""Swaps of T-1 at scooter S-1 over HTTP."""

from typing import Any

from tests.support.service import Response, Service

BAG, OTHER_BAG, SCOOTER = {"contractor_id": "T-1"}, {"contractor_id": "T-2"}, {"scooter_id": "S-1"}


def swap(service: Service, *, key: str | None = None, **more: Any) -> Response:
    """Report that T-1 has replaced FLAT with FULL in S-1, unless `more` overrides these."""
    body = {
        "scooter_id": "S-1",
        "contractor_id": "T-1",
        "installed_accumulator_id": "FULL",
        "removed_accumulator_id": "FLAT",
    }
    headers = {"Idempotency-Key": key} if key else {}
    return service.call("POST", "/v1/swaps", body | more, headers=headers)
