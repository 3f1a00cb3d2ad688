"""The load: technicians who take, swap and return accumulators, and retry until they succeed."""

import random
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import partial
from http.client import HTTPException
from threading import Event, Lock, Thread
from typing import Any, NamedTuple
from uuid import uuid4

from local.cabinet.control import ControlError
from tests.faults.cloud import CABINETS, Cloud
from tests.support.waiting import wait_until

SCOOTERS = 2
_RETRY_SECONDS = 300
_FLAT_CHARGE = 9
_HOURS_OF_CHARGING = 4
AUTHORIZER_FAILED = "The authorizer failed."
"""The detail of the gateway's 500 while no function can be reached; any other 500 is a fault."""
_RETRIED_CODES = {"request_in_progress"}
_BOOKINGS = "/v1/bookings"
_ABANDONED = "abandoned"
"""The technician stopped asking; the booking may exist, and will expire."""
_NOT_BOOKED = {_ABANDONED, "not_enough_accumulators", "not_enough_free_cells", "cabinet_offline"}


class Unlocked(NamedTuple):
    """When an unlock was requested, and when it was answered (monotonic clock, seconds)."""

    requested: float
    answered: float
    cabinet_id: str


@dataclass
class Load:
    """The results of all technicians."""

    responses: Counter[tuple[str, str]] = field(default_factory=Counter)
    unlocked: list[Unlocked] = field(default_factory=list)
    """The unlocks that opened all their cells."""
    failures: list[str] = field(default_factory=list)
    unlocking: int = 0
    stopping: Event = field(default_factory=Event)
    lock: Lock = field(default_factory=Lock)
    waited: dict[bool, float] = field(default_factory=lambda: {True: 0.0, False: 0.0})
    """The longest wait for a final response: with an Idempotency-Key, and without."""

    def note_wait(self, *, keyed: bool, seconds: float) -> None:
        """Record how long a technician waited for a final response."""
        with self.lock:
            self.waited[keyed] = max(self.waited[keyed], seconds)

    def count(self, request: str, response: str) -> None:
        """Count a response."""
        with self.lock:
            self.responses[request, response] += 1


class Technician(Thread):
    """A technician with some scooters. The actions of technicians are the physical truth."""

    def __init__(self, number: int, cloud: Cloud, load: Load, seed: int) -> None:
        super().__init__(name=f"T-{number}", daemon=True)
        self.charged: set[str] = set()
        self.flat: set[str] = set()
        self.scooters = {f"S-{number}-{n}": f"F-{number}-{n}" for n in range(SCOOTERS)}
        self._cloud = cloud
        self._load = load
        self._keyed = number % 2 == 0
        self._rng = random.Random(f"{seed}/{number}")  # noqa: S311 - not a secret

    def run(self) -> None:
        try:
            while not self._load.stopping.is_set():
                self._collect()
                self._swap()
                self._bring_back()
        except Exception as error:
            self._load.failures.append(f"{self.name}: {error!r}")
            raise

    # --- A shift ----------------------------------------------------------------------------------

    def _collect(self) -> None:
        booking = self._book("issue", self._rng.randint(1, SCOOTERS))
        if booking is None:
            return
        for cell in self._open(booking):
            self._take(booking["cabinet_id"], cell["cell_number"], cell["accumulator_id"])
            self.charged.add(cell["accumulator_id"])

    def _swap(self) -> None:
        scooters = self._rng.sample(sorted(self.scooters), len(self.charged))
        for charged, scooter in zip(sorted(self.charged), scooters, strict=True):
            flat = self.scooters[scooter]
            body = {
                "scooter_id": scooter,
                "contractor_id": self.name,
                "installed_accumulator_id": charged,
                "removed_accumulator_id": flat,
                "removed_battery_charge": _FLAT_CHARGE,
            }
            status, response = self._request("POST", "/v1/swaps", body)
            assert status == 200, response
            self.charged.remove(charged)
            self.flat.add(flat)
            self.scooters[scooter] = charged

    def _bring_back(self) -> None:
        while self.flat and not self._load.stopping.is_set():
            booking = self._book("return", len(self.flat))
            if booking is None:
                continue
            opened = self._open(booking)
            for cell, flat in zip(opened, sorted(self.flat), strict=False):
                self._insert(booking["cabinet_id"], cell["cell_number"], flat)
                self.flat.remove(flat)

    # --- Requests ---------------------------------------------------------------------------------

    def _book(self, kind: str, count: int) -> Any:
        """Book at a random cabinet; return None, after a pause, if that is refused."""
        cabinet_id = f"C-{self._rng.randint(1, CABINETS):03}"
        body = {"cabinet_id": cabinet_id, "contractor_id": self.name, "kind": kind, "count": count}
        book = self._request if self._keyed else self._book_without_key
        status, response = book("POST", _BOOKINGS, body)
        if status in {200, 201}:
            return response
        assert response["code"] in _NOT_BOOKED, response
        self._load.stopping.wait(0.1)
        return None

    def _open(self, booking: Any) -> list[Any]:
        """Unlock a booking; return the cells that opened, none if the booking has ended."""
        path = f"/v1/bookings/{booking['booking_id']}/unlock"
        with self._load.lock:
            self._load.unlocking += 1
        try:
            done = partial(self._note_unlocked, booking["cabinet_id"])
            status, response = self._request("POST", path, done=done)
        finally:
            with self._load.lock:
                self._load.unlocking -= 1
        if status != 200:
            assert response["code"] == "booking_not_active", response
            return []
        return [cell for cell in response["cells"] if cell["result"] == "opened"]

    def _note_unlocked(self, cabinet_id: str, started: float, response: Any) -> None:
        if all(cell["result"] == "opened" for cell in response["cells"]):
            self._load.unlocked.append(Unlocked(started, time.monotonic(), cabinet_id))

    def _book_without_key(self, method: str, path: str, body: Any) -> tuple[int, Any]:
        """Book without a key: before a retry, look for the booking."""
        mine = f"{path}?status=active&contractor_id={self.name}"
        while True:
            _, found = self._request("GET", mine)
            for booking in found["bookings"]:
                if booking["kind"] == body["kind"]:
                    return 200, booking
            if response := self._try_once(method, path, body, {}):
                return response

    def _request(
        self,
        method: str,
        path: str,
        body: Any = None,
        *,
        done: Callable[[float, Any], None] = lambda _started, _response: None,
    ) -> tuple[int, Any]:
        """Send a request until there is a final response, with the same key each time."""
        headers = {"Idempotency_Key": str(uuid4())} if self._keyed else {}
        first = time.monotonic()
        while (started := time.monotonic()) < first + _RETRY_SECONDS:
            if response := self._try_once(method, path, body, headers):
                if response[0] < 400:
                    done(started, response[1])
                self._load.note_wait(keyed=self._keyed, seconds=time.monotonic() - first)
                return response
            if self._load.stopping.is_set():  # a key whose function died stays claimed too long
                if path == _BOOKINGS:
                    return 409, {"code": _ABANDONED}
                headers = {}
            time.sleep(self._rng.uniform(0.02, 0.2))  # a pause before the retry
        raise TimeoutError(f"{method} {path} got no final response")

    def _try_once(
        self, method: str, path: str, body: Any, headers: dict[str, str]
    ) -> tuple[int, Any] | None:
        """Send a request once; return status and body, or None if it has to be retried."""
        request = f"{method} {path.partition('?')[0].rpartition('/')[2]}"
        seconds = self._rng.choice([0.3, 10, 10, 10])  # some callers disconnect early
        try:
            response = self._cloud.api("backend", seconds).call(method, path, body, **headers)
        except (OSError, HTTPException) as error:
            self._load.count(request, _description(error))
            return None
        code = "" if response.status < 400 else response.body["code"]
        if code == "internal":
            code = response.body["detail"]
            assert code == AUTHORIZER_FAILED, response.body
        self._load.count(request, f"{response.status} {code}".strip())
        is_final = response.status < 500 and code not in _RETRIED_CODES
        return (response.status, response.body) if is_final else None

    # --- At the cabinet ---------------------------------------------------------------------------

    def _take(self, cabinet_id: str, number: int, accumulator_id: str) -> None:
        """Take an accumulator and close the door, even if the cabinet is restarted meanwhile."""

        def take(cell: Any, bag: list[str]) -> bool:
            if accumulator_id in bag:
                return True
            inside = (cell["accumulator"] or {}).get("accumulator_id")
            assert inside == accumulator_id, f"expected {accumulator_id}, found {cell}"
            self._cloud.control.act(cabinet_id, "take", cell=number, by=self.name)
            return True

        self._act(cabinet_id, number, take)
        self._close(cabinet_id, number)

    def _insert(self, cabinet_id: str, number: int, accumulator_id: str) -> None:
        def insert(cell: Any, _bag: list[str]) -> bool:
            inside = (cell["accumulator"] or {}).get("accumulator_id")
            if inside != accumulator_id:
                assert inside is None, f"expected an empty cell, found {cell}"
                self._cloud.control.act(
                    cabinet_id,
                    "insert",
                    cell=number,
                    accumulator=accumulator_id,
                    by=self.name,
                    charge=_FLAT_CHARGE,
                )
            return True

        self._act(cabinet_id, number, insert)
        self._close(cabinet_id, number)

        def charge(_cell: Any, _bag: list[str]) -> bool:
            self._cloud.control.act(cabinet_id, "charge", minutes=_HOURS_OF_CHARGING * 60)
            return True

        self._act(cabinet_id, number, charge)

    def _close(self, cabinet_id: str, number: int) -> None:
        def close(cell: Any, _bag: list[str]) -> bool:
            if cell["door"] == "open":
                self._cloud.control.act(cabinet_id, "close", cell=number)
            return True

        self._act(cabinet_id, number, close)

    def _act(self, cabinet_id: str, number: int, act: Callable[[Any, list[str]], bool]) -> None:
        """Repeat an action until it succeeds; the cabinets may be down."""

        def is_done() -> bool:
            try:
                truth = self._cloud.control.cabinet(cabinet_id)
                return act(truth["cells"][number - 1], truth["bags"].get(self.name, []))
            except ControlError:
                return False

        try:
            wait_until(is_done, seconds=_RETRY_SECONDS)
        except TimeoutError as error:
            text = f"{self.name} cannot reach cell {number} of {cabinet_id}"
            raise TimeoutError(text) from error


def _description(error: Exception) -> str:
    return "timeout" if isinstance(error, TimeoutError) else "connection lost"
