"""Technicians: each is a generator of requests, and acts through the cabinets' control.

Their bags and scooters are the physical truth outside the cabinets.
"""

import random
import threading
from collections.abc import Generator, Iterator
from dataclasses import dataclass, field
from itertools import count
from typing import Any
from uuid import UUID

from local.api import Response
from local.cabinet.control import Control

HOURS_OF_CHARGING = 4
"""Simulated after each return, so that the accumulators can be issued again."""
RETRY_SECONDS = 5.0
MAX_UNLOCKS = 6
CENTRE = (55.7558, 37.6176)


@dataclass(frozen=True)
class Request:
    """A call of the API; `expected` are the allowed responses: statuses, or codes of problems."""

    operation: str
    method: str
    path: str
    expected: frozenset[str]
    body: Any = None
    key: str | None = None
    after_seconds: float = 0.0
    """The pause before the request."""


Shift = Generator[Request, Response, None]


def outcome(response: Response) -> str:
    """Return the status of a success, or the code of a problem."""
    if response.status < 400:
        return str(response.status)
    body = response.body if response.raw[:1] == b"{" else {}
    return str(body.get("code", response.status))


def call(operation: str, method: str, path: str, expected: str, body: Any = None) -> Request:
    """Return a request; `expected` are words, separated by spaces."""
    return Request(operation, method, path, frozenset(expected.split()), body)


@dataclass
class Technician:
    """A technician with a bag and the next request."""

    contractor_id: str
    rng: random.Random
    bag: list[str] = field(default_factory=list)
    shift: Shift | None = None
    request: Request | None = None


class Technicians:
    """All technicians, and the places of the accumulators outside the cabinets."""

    def __init__(self, control: Control, *, scooters: int, seed: int) -> None:
        self.all: list[Technician] = []
        self.scooters = {f"S-{n}": [f"F-{n:05}"] for n in range(1, scooters + 1)}
        self._control = control
        self._seed = seed
        self._lock = threading.Lock()
        self._parked = sorted(self.scooters)
        self._numbers = count(1)

    def registrations(self) -> Iterator[dict[str, Any]]:
        """Yield the bodies of POST /v1/accumulators for the accumulators in scooters."""
        for scooter_id, [accumulator_id] in self.scooters.items():
            yield {"accumulator_id": accumulator_id, "scooter_id": scooter_id}

    def join(self) -> Technician:
        """Add a technician."""
        with self._lock:
            name = f"T-{next(self._numbers)}"
            one = Technician(name, random.Random(f"{self._seed}/{name}"))  # noqa: S311 - not a secret
            self.all.append(one)
        one.shift = self._shift(one)
        one.request = next(one.shift)
        return one

    def places(self) -> dict[str, tuple[str, ...]]:
        """Return the place of each accumulator outside the cabinets."""
        holders = [("bag", t.contractor_id, t.bag) for t in self.all]
        holders += [("scooter", scooter_id, inside) for scooter_id, inside in self.scooters.items()]
        return {one: (kind, name) for kind, name, inside in holders for one in inside}

    # --- A shift ------------------------------------------------------------------------------

    def _shift(self, one: Technician) -> Shift:
        while True:
            yield from self._collect(one)
            if one.bag:
                yield from self._swap(one)
                yield from self._return(one)

    def _collect(self, one: Technician) -> Shift:
        wanted = one.rng.choice((1, 1, 2, 3))
        cabinet_id = yield from _find(one, f"min_available={wanted}")
        booking = yield from _book(one, cabinet_id, "issue", wanted)
        if booking is None:
            return
        path = f"/v1/bookings/{booking['booking_id']}"
        chance = one.rng.random()
        if chance < 0.02:
            return  # the booking expires
        if chance < 0.12:
            yield call("cancel", "DELETE", path, "200")
            yield call("refused", "POST", f"{path}/unlock", "booking_not_active")
            return
        for cell in (yield from self._unlock(booking)):
            taken = self._act(
                cabinet_id, "take", cell=cell["cell_number"], by=_bag(cell["accumulator_id"])
            )
            assert f" {cell['accumulator_id']} " in taken, f"expected {cell}: {taken}"
            one.bag.append(cell["accumulator_id"])
            self._act(cabinet_id, "close", cell=cell["cell_number"])

    def _swap(self, one: Technician) -> Shift:
        for charged in [*one.bag]:
            scooter_id = self._take_scooter(one.rng)
            flat = self.scooters[scooter_id]
            body: dict[str, object] = {
                "scooter_id": scooter_id,
                "contractor_id": one.contractor_id,
                "installed_accumulator_id": charged,
            }
            if flat:
                charge = one.rng.randint(3, 40)
                body |= {"removed_accumulator_id": flat[0], "removed_battery_charge": charge}
            yield _with_key(one, call("swap", "POST", "/v1/swaps", "200", body))
            one.bag.remove(charged)
            one.bag += flat
            self.scooters[scooter_id] = [charged]
            with self._lock:
                self._parked.append(scooter_id)

    def _return(self, one: Technician) -> Shift:
        while one.bag:
            wanted = len(one.bag)
            cabinet_id = yield from _find(one, f"min_free_cells={wanted}")
            booking = yield from _book(one, cabinet_id, "return", wanted)
            if booking is None:
                continue
            for cell, flat in zip((yield from self._unlock(booking)), [*one.bag], strict=False):
                number = cell["cell_number"]
                charge = one.rng.randint(3, 40)
                self._act(
                    cabinet_id,
                    "insert",
                    cell=number,
                    accumulator=flat,
                    by=_bag(flat),
                    charge=charge,
                )
                one.bag.remove(flat)
                self._act(cabinet_id, "close", cell=number)
            self._act(cabinet_id, "charge", minutes=HOURS_OF_CHARGING * 60)
            path = f"/v1/bookings/{booking['booking_id']}"
            yield call("booking", "GET", path, "200")

    def _unlock(self, booking: Any) -> Generator[Request, Response, list[Any]]:
        """Unlock a booking; return the opened cells, or close all its doors and return none."""
        path = f"/v1/bookings/{booking['booking_id']}/unlock"
        expected, after = "200 cabinet_no_answer", 0.0
        for _ in range(MAX_UNLOCKS):
            request = call("unlock", "POST", path, expected)
            response = yield Request(**{**vars(request), "after_seconds": after})
            if response.status == 200:
                return [cell for cell in response.body["cells"] if cell["result"] == "opened"]
            if response.status != 504:
                break
            # The outcome may become known between two requests.
            expected = "200 cabinet_no_answer booking_not_active booking_expired"
            after = RETRY_SECONDS
        self.close(booking["cabinet_id"], [cell["cell_number"] for cell in booking["cells"]])
        return []

    def close(self, cabinet_id: str, numbers: list[int] | None = None) -> None:
        """Close the open doors of a cabinet, or of these cells."""
        for cell in self._control.cabinet(cabinet_id)["cells"]:
            number = cell["cell_number"]
            if cell["door"] == "open" and (numbers is None or number in numbers):
                self._act(cabinet_id, "close", cell=number)

    def _act(self, cabinet_id: str, action: str, **arguments: Any) -> str:
        return self._control.act(cabinet_id, action, **arguments)

    def _take_scooter(self, rng: random.Random) -> str:
        with self._lock:
            if self._parked:
                return self._parked.pop(rng.randrange(len(self._parked)))
            new = f"S-{len(self.scooters) + 1}"  # an empty one
            self.scooters[new] = []
            return new


def _bag(accumulator_id: str) -> str:
    """Return the simulated bag of an accumulator: one of many, as each is written as a whole."""
    return f"bag-{accumulator_id[-2:]}"


def _find(one: Technician, condition: str) -> Generator[Request, Response, str]:
    """Search until a nearby cabinet fulfils the condition; return its id."""
    while True:
        lat, lon = (round(centre + one.rng.uniform(-0.03, 0.03), 5) for centre in CENTRE)
        path = f"/v1/cabinets?near={lat},{lon}&online=true&limit=5&{condition}"
        response = yield call("near", "GET", path, "200")
        found = response.body["cabinets"] if response.status == 200 else []
        if found:
            return str(one.rng.choice(found)["cabinet_id"])


def _book(
    one: Technician, cabinet_id: str, kind: str, wanted: int
) -> Generator[Request, Response, Any]:
    """Book; return the booking, or None if another technician was faster."""
    body = {"cabinet_id": cabinet_id, "contractor_id": one.contractor_id, "kind": kind}
    short = {"issue": "not_enough_accumulators", "return": "not_enough_free_cells"}[kind]
    expected = f"201 {short} cabinet_offline"
    request = _with_key(
        one, call("book", "POST", "/v1/bookings", expected, {**body, "count": wanted})
    )
    response = yield request
    if one.rng.random() < 0.03:
        again = yield request
        assert outcome(again) == outcome(response), (response, again)
        assert again.raw == response.raw or response.status != 201, (response, again)
    return response.body if response.status == 201 else None


def _with_key(one: Technician, request: Request) -> Request:
    """Return the request with an idempotency key."""
    return Request(**{**vars(request), "key": str(UUID(int=one.rng.getrandbits(128)))})
