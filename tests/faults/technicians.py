"""The load: technicians who fetch, swap and bring back, and ask again until they are answered."""

import random
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from http.client import HTTPException
from threading import Event, Lock, Thread
from typing import Any
from uuid import uuid4

from local.cabinet.control import Refused
from tests.faults.cloud import CABINETS, Cloud
from tests.waiting import wait_until

SCOOTERS = 2
_PATIENCE_SECONDS = 300
_FLAT = 9
_HOURS_OF_CHARGING = 4
AUTHORIZER_FAILED = "The authorizer failed."
"""What the gateway says while no function can be reached; any other 500 is a fault."""
_AGAIN = {"request_in_progress"}
_BOOKINGS = "/v1/bookings"
_ABANDONED = "abandoned"
"""It may have been booked all the same: that ends by its time."""
_SHORT = {_ABANDONED, "not_enough_accumulators", "not_enough_free_cells", "cabinet_offline"}


@dataclass
class Load:
    """What all technicians have seen."""

    answers: Counter[tuple[str, str]] = field(default_factory=Counter)
    unlocked: list[tuple[float, float]] = field(default_factory=list)
    """When each complete, successful unlock was asked for, and when it was answered."""
    surprises: list[str] = field(default_factory=list)
    unlocking: int = 0
    ending: Event = field(default_factory=Event)
    lock: Lock = field(default_factory=Lock)

    waited: dict[bool, float] = field(default_factory=lambda: {True: 0.0, False: 0.0})
    """The longest that anybody has asked for one answer, with a key and without."""

    def note_wait(self, *, keyed: bool, seconds: float) -> None:
        """Somebody has their answer."""
        with self.lock:
            self.waited[keyed] = max(self.waited[keyed], seconds)

    def count(self, request: str, answer: str) -> None:
        """One more of this answer."""
        with self.lock:
            self.answers[request, answer] += 1


class Technician(Thread):
    """One person with some scooters of their own. What they do with their hands is the truth."""

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
            while not self._load.ending.is_set():
                self._fetch()
                self._swap()
                self._bring_back()
        except Exception as error:
            self._load.surprises.append(f"{self.name}: {error!r}")
            raise

    # --- What a shift is made of ------------------------------------------------------------------

    def _fetch(self) -> None:
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
                "removed_battery_charge": _FLAT,
            }
            status, answer = self._ask("POST", "/v1/swaps", body)
            assert status == 200, answer
            self.charged.remove(charged)
            self.flat.add(flat)
            self.scooters[scooter] = charged

    def _bring_back(self) -> None:
        while self.flat and not self._load.ending.is_set():
            booking = self._book("return", len(self.flat))
            if booking is None:
                continue
            opened = self._open(booking)
            for cell, flat in zip(opened, sorted(self.flat), strict=False):
                self._insert(booking["cabinet_id"], cell["cell_number"], flat)
                self.flat.remove(flat)

    # --- Requests ---------------------------------------------------------------------------------

    def _book(self, kind: str, count: int) -> Any:
        """A booking at some cabinet; None, after a pause, if that one is short."""
        cabinet_id = f"C-{self._rng.randint(1, CABINETS):03}"
        body = {"cabinet_id": cabinet_id, "contractor_id": self.name, "kind": kind, "count": count}
        book = self._ask if self._keyed else self._find_or_try
        status, answer = book("POST", _BOOKINGS, body)
        if status in {200, 201}:
            return answer
        assert answer["code"] in _SHORT, answer
        self._load.ending.wait(0.1)
        return None

    def _open(self, booking: Any) -> list[Any]:
        """The cells that are open now; none if the booking has ended otherwise."""
        path = f"/v1/bookings/{booking['booking_id']}/unlock"
        with self._load.lock:
            self._load.unlocking += 1
        try:
            status, answer = self._ask("POST", path, done=self._note)
        finally:
            with self._load.lock:
                self._load.unlocking -= 1
        if status != 200:
            assert answer["code"] == "booking_not_active", answer
            return []
        return [cell for cell in answer["cells"] if cell["result"] == "opened"]

    def _note(self, begun: float, answer: Any) -> None:
        if all(cell["result"] == "opened" for cell in answer["cells"]):
            self._load.unlocked.append((begun, time.monotonic()))

    def _find_or_try(self, method: str, path: str, body: Any) -> tuple[int, Any]:
        """Book without a key: before asking again, look whether it was done."""
        mine = f"{path}?status=active&contractor_id={self.name}"
        while True:
            _, found = self._ask("GET", mine)
            for booking in found["bookings"]:
                if booking["kind"] == body["kind"]:
                    return 200, booking
            if answer := self._try_once(method, path, body, {}):
                return answer

    def _ask(
        self,
        method: str,
        path: str,
        body: Any = None,
        *,
        done: Callable[[float, Any], None] = lambda _begun, _answer: None,
    ) -> tuple[int, Any]:
        """Ask until there is a final answer, each time with the same key if with any."""
        headers = {"Idempotency_Key": str(uuid4())} if self._keyed else {}
        first = time.monotonic()
        while (begun := time.monotonic()) < first + _PATIENCE_SECONDS:
            if answer := self._try_once(method, path, body, headers):
                if answer[0] < 400:
                    done(begun, answer[1])
                self._load.note_wait(keyed=self._keyed, seconds=time.monotonic() - first)
                return answer
            if self._load.ending.is_set():  # do not wait for the key of a function that died
                if path == _BOOKINGS:
                    return 409, {"code": _ABANDONED}
                headers = {}
            time.sleep(self._rng.uniform(0.02, 0.2))  # as callers pause before they ask again
        raise TimeoutError(f"{method} {path} was never answered")

    def _try_once(
        self, method: str, path: str, body: Any, headers: dict[str, str]
    ) -> tuple[int, Any] | None:
        """Status and body of a final answer; None if asking again is called for."""
        request = f"{method} {path.partition('?')[0].rpartition('/')[2]}"
        seconds = self._rng.choice([0.3, 10, 10, 10])  # some callers hang up early
        try:
            answer = self._cloud.api("backend", seconds).call(method, path, body, **headers)
        except (OSError, HTTPException) as error:
            self._load.count(request, _name(error))
            return None
        code = "" if answer.status < 400 else answer.body["code"]
        if code == "internal":
            code = answer.body["detail"]
            assert code == AUTHORIZER_FAILED, answer.body
        self._load.count(request, f"{answer.status} {code}".strip())
        again = answer.status >= 500 or code in _AGAIN
        return None if again else (answer.status, answer.body)

    # --- Hands ------------------------------------------------------------------------------------

    def _take(self, cabinet_id: str, number: int, accumulator_id: str) -> None:
        """Take it and shut the door, whatever becomes of the cabinet meanwhile."""

        def take(cell: Any, bag: list[str]) -> bool:
            if accumulator_id in bag:
                return True
            inside = (cell["accumulator"] or {}).get("accumulator_id")
            assert inside == accumulator_id, f"told {accumulator_id}, found {cell}"
            self._cloud.control.act(cabinet_id, "take", cell=number, by=self.name)
            return True

        self._try(cabinet_id, number, take)
        self._try(cabinet_id, number, self._shut(cabinet_id, number))

    def _insert(self, cabinet_id: str, number: int, accumulator_id: str) -> None:
        def insert(cell: Any, _bag: list[str]) -> bool:
            inside = (cell["accumulator"] or {}).get("accumulator_id")
            if inside != accumulator_id:
                assert inside is None, f"told an empty cell, found {cell}"
                act, one = self._cloud.control.act, accumulator_id
                act(cabinet_id, "insert", cell=number, accumulator=one, by=self.name, charge=_FLAT)
            return True

        self._try(cabinet_id, number, insert)
        self._try(cabinet_id, number, self._shut(cabinet_id, number))

        def charge(_cell: Any, _bag: list[str]) -> bool:
            self._cloud.control.act(cabinet_id, "charge", minutes=_HOURS_OF_CHARGING * 60)
            return True

        self._try(cabinet_id, number, charge)

    def _shut(self, cabinet_id: str, number: int) -> Callable[[Any, list[str]], bool]:
        def shut(cell: Any, _bag: list[str]) -> bool:
            if cell["door"] == "open":
                self._cloud.control.act(cabinet_id, "close", cell=number)
            return True

        return shut

    def _try(self, cabinet_id: str, number: int, act: Callable[[Any, list[str]], bool]) -> None:
        """Look and act, until it is done; the simulated world may be away."""

        def is_done() -> bool:
            try:
                truth = self._cloud.control.cabinet(cabinet_id)
                return act(truth["cells"][number - 1], truth["bags"].get(self.name, []))
            except Refused:
                return False

        try:
            wait_until(is_done, seconds=_PATIENCE_SECONDS)
        except TimeoutError as error:
            text = f"{self.name} cannot get at cell {number} of {cabinet_id}"
            raise TimeoutError(text) from error


def _name(error: Exception) -> str:
    return "no answer in time" if isinstance(error, TimeoutError) else "connection lost"
