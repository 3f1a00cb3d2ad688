"""Technicians at work: each a generator of requests, whose hands are the simulation's control.

It keeps what physically is outside the cabinets: the bags and the scooters.
"""

import random
import threading
from collections.abc import Generator, Iterator
from dataclasses import dataclass, field
from itertools import count
from typing import Any
from uuid import UUID

from local.api import Answer
from local.cabinet.control import Control

HOURS_OF_CHARGING = 4  # pass at once after a return, or the city would run flat
ASKED_AGAIN_SECONDS = 5.0
MOST_ASKED = 6
CENTRE = (55.7558, 37.6176)


@dataclass(frozen=True)
class Request:
    """A call of the API, and all that its answer may be: a status, or a problem's code."""

    operation: str
    method: str
    path: str
    expected: frozenset[str]
    body: Any = None
    key: str | None = None
    after_seconds: float = 0.0
    """So long after the technician's last one, at the earliest."""


Story = Generator[Request, Answer, None]


def outcome(answer: Answer) -> str:
    """The status of a success, the code of a problem."""
    if answer.status < 400:
        return str(answer.status)
    body = answer.body if answer.raw[:1] == b"{" else {}
    return str(body.get("code", answer.status))


def call(operation: str, method: str, path: str, expected: str, body: Any = None) -> Request:
    """A request; `expected`: words with spaces between."""
    return Request(operation, method, path, frozenset(expected.split()), body)


@dataclass
class Technician:
    """Somebody with a bag, who knows what to ask next."""

    contractor_id: str
    rng: random.Random
    bag: list[str] = field(default_factory=list)
    story: Story | None = None
    request: Request | None = None


class City:
    """Everybody who uses the service, and where the accumulators outside the cabinets are."""

    def __init__(self, control: Control, *, scooters: int, seed: int) -> None:
        self.technicians: list[Technician] = []
        self.scooters = {f"S-{n}": [f"F-{n:05}"] for n in range(1, scooters + 1)}
        self._control = control
        self._seed = seed
        self._lock = threading.Lock()
        self._parked = sorted(self.scooters)
        self._numbers = count(1)

    def registrations(self) -> Iterator[dict[str, Any]]:
        """What POST /v1/accumulators is to be told of the scooters."""
        for scooter_id, [accumulator_id] in self.scooters.items():
            yield {"accumulator_id": accumulator_id, "scooter_id": scooter_id}

    def join(self) -> Technician:
        """One more technician, with the first request."""
        with self._lock:
            name = f"T-{next(self._numbers)}"
            one = Technician(name, random.Random(f"{self._seed}/{name}"))  # noqa: S311 - not a secret
            self.technicians.append(one)
        one.story = self._shifts(one)
        one.request = next(one.story)
        return one

    def places(self) -> dict[str, tuple[str, ...]]:
        """Where each accumulator is that is in no cabinet."""
        holders = [("bag", t.contractor_id, t.bag) for t in self.technicians]
        holders += [("scooter", scooter_id, inside) for scooter_id, inside in self.scooters.items()]
        return {one: (kind, name) for kind, name, inside in holders for one in inside}

    # What a technician does, all day long

    def _shifts(self, one: Technician) -> Story:
        while True:
            yield from self._collect(one)
            if one.bag:
                yield from self._swap(one)
                yield from self._bring_back(one)

    def _collect(self, one: Technician) -> Story:
        wanted = one.rng.choice((1, 1, 2, 3))
        cabinet_id = yield from _find(one, f"min_available={wanted}")
        booking = yield from _book(one, cabinet_id, "issue", wanted)
        if booking is None:
            return
        path = f"/v1/bookings/{booking['booking_id']}"
        what_next = one.rng.random()
        if what_next < 0.02:
            return  # forgotten: it expires
        if what_next < 0.12:
            yield call("cancel", "DELETE", path, "200")
            yield call("refused", "POST", f"{path}/unlock", "booking_not_active")
            return
        for cell in (yield from self._unlock(booking)):
            taken = self._act(
                cabinet_id, "take", cell=cell["cell_number"], by=_street(cell["accumulator_id"])
            )
            assert f" {cell['accumulator_id']} " in taken, f"{cell} is another: {taken}"
            one.bag.append(cell["accumulator_id"])
            self._act(cabinet_id, "close", cell=cell["cell_number"])

    def _swap(self, one: Technician) -> Story:
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
            yield _once(one, call("swap", "POST", "/v1/swaps", "200", body))
            one.bag.remove(charged)
            one.bag += flat
            self.scooters[scooter_id] = [charged]
            with self._lock:
                self._parked.append(scooter_id)

    def _bring_back(self, one: Technician) -> Story:
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
                    by=_street(flat),
                    charge=charge,
                )
                one.bag.remove(flat)
                self._act(cabinet_id, "close", cell=number)
            self._act(cabinet_id, "charge", minutes=HOURS_OF_CHARGING * 60)
            path = f"/v1/bookings/{booking['booking_id']}"
            yield call("booking", "GET", path, "200")

    def _unlock(self, booking: Any) -> Generator[Request, Answer, list[Any]]:
        """The cells that have opened, by the answer; none: given up, with the doors shut again."""
        path = f"/v1/bookings/{booking['booking_id']}/unlock"
        expected, after = "200 cabinet_no_answer", 0.0
        for _ in range(MOST_ASKED):
            request = call("unlock", "POST", path, expected)
            answer = yield Request(**{**vars(request), "after_seconds": after})
            if answer.status == 200:
                return [cell for cell in answer.body["cells"] if cell["result"] == "opened"]
            if answer.status != 504:
                break
            # What the doors did decides, and it may have been known only now.
            expected = "200 cabinet_no_answer booking_not_active booking_expired"
            after = ASKED_AGAIN_SECONDS
        self.shut(booking["cabinet_id"], [cell["cell_number"] for cell in booking["cells"]])
        return []

    def shut(self, cabinet_id: str, numbers: list[int] | None = None) -> None:
        """Push those doors shut that are open: all, or of these cells."""
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
            new = f"S-{len(self.scooters) + 1}"  # fresh from the factory, with nothing in it
            self.scooters[new] = []
            return new


def _street(accumulator_id: str) -> str:
    """The simulation's bag for what is in no cabinet: many small ones, as it writes them whole."""
    return f"street-{accumulator_id[-2:]}"


def _find(one: Technician, condition: str) -> Generator[Request, Answer, str]:
    """A cabinet near by."""
    while True:
        lat, lon = (round(centre + one.rng.uniform(-0.03, 0.03), 5) for centre in CENTRE)
        path = f"/v1/cabinets?near={lat},{lon}&online=true&limit=5&{condition}"
        answer = yield call("near", "GET", path, "200")
        found = answer.body["cabinets"] if answer.status == 200 else []
        if found:
            return str(one.rng.choice(found)["cabinet_id"])


def _book(
    one: Technician, cabinet_id: str, kind: str, wanted: int
) -> Generator[Request, Answer, Any]:
    """The booking; None if another was faster."""
    body = {"cabinet_id": cabinet_id, "contractor_id": one.contractor_id, "kind": kind}
    short = {"issue": "not_enough_accumulators", "return": "not_enough_free_cells"}[kind]
    expected = f"201 {short} cabinet_offline"
    request = _once(one, call("book", "POST", "/v1/bookings", expected, {**body, "count": wanted}))
    answer = yield request
    if one.rng.random() < 0.03:
        again = yield request
        assert outcome(again) == outcome(answer), (answer, again)
        assert again.raw == answer.raw or answer.status != 201, (answer, again)
    return answer.body if answer.status == 201 else None


def _once(one: Technician, request: Request) -> Request:
    """The same, with a key: asked twice, done once."""
    return Request(**{**vars(request), "key": str(UUID(int=one.rng.getrandbits(128)))})
