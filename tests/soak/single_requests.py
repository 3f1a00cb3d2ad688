"""Requests outside the technicians' shifts: reads, and mistakes that are refused."""

import random
from collections.abc import Callable
from uuid import UUID

from tests.soak.technicians import Request, call

_Make = Callable[[random.Random, int], Request]


def _cabinet(rng: random.Random, cabinets: int) -> str:
    return f"C-{rng.randint(1, cabinets):03}"


def _accumulator(rng: random.Random, cabinets: int) -> str:
    return f"A-{rng.randint(1, cabinets * 8):04}"


def _unknown(rng: random.Random) -> str:
    return str(UUID(int=rng.getrandbits(128)))


_READS: list[_Make] = [
    lambda rng, n: call("cabinet", "GET", f"/v1/cabinets/{_cabinet(rng, n)}", "200"),
    lambda rng, n: call("cabinet", "GET", f"/v1/cabinets/{_cabinet(rng, n)}", "200"),
    lambda *_: call("cabinets", "GET", "/v1/cabinets?limit=50", "200"),
    lambda rng, n: call(
        "accumulators", "GET", f"/v1/accumulators?cabinet_id={_cabinet(rng, n)}", "200"
    ),
    lambda rng, n: call(
        "accumulators", "GET", f"/v1/accumulators?contractor_id=T-{rng.randint(1, n)}", "200"
    ),
    lambda rng, n: call(
        "movements", "GET", f"/v1/accumulators/{_accumulator(rng, n)}/movements", "200"
    ),
    lambda rng, n: call("bookings", "GET", f"/v1/bookings?cabinet_id={_cabinet(rng, n)}", "200"),
    lambda *_: call("health", "GET", "/v1/health/ready", "200"),
]


def _booking(**changes: object) -> dict[str, object]:
    body = {"cabinet_id": "C-001", "contractor_id": "T-0", "kind": "issue", "count": 1}
    return {**body, **changes}


_MISTAKES: list[_Make] = [
    lambda *_: call(
        "refused", "POST", "/v1/bookings", "cabinet_not_found", _booking(cabinet_id="C-none")
    ),
    lambda *_: call(
        "refused", "POST", "/v1/bookings", "not_enough_accumulators", _booking(count=50)
    ),
    lambda *_: call("refused", "POST", "/v1/bookings", "invalid_request", _booking(count=0)),
    lambda rng, _: call(
        "refused", "POST", f"/v1/bookings/{_unknown(rng)}/unlock", "booking_not_found"
    ),
    lambda *_: call("refused", "GET", "/v1/accumulators/none", "accumulator_not_found"),
    lambda *_: call("refused", "GET", "/v1/nothing", "route_not_found"),
]


def read(rng: random.Random, cabinets: int) -> Request:
    """Return a random read."""
    return rng.choice(_READS)(rng, cabinets)


def mistake(rng: random.Random, cabinets: int) -> Request:
    """Return a random request that must be refused."""
    return rng.choice(_MISTAKES)(rng, cabinets)
