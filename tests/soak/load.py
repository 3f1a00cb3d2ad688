"""An open-loop load: the times of all requests are fixed in advance, and latency counts from them.

So a service that stalls cannot slow the load down, nor hide how long everybody else waited.
"""

import heapq
import random
import threading
import time
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from itertools import count

from local.api import Answer, Api
from tests.soak import passers_by
from tests.soak.city import City, Request, Technician, outcome

WORKERS = 64
OF_STORIES = 0.70
OF_READS = 0.25


@dataclass
class Tally:
    """What came of the requests of one minute."""

    latencies: dict[str, list[float]] = field(default_factory=dict)
    """Milliseconds by operation. Those that wait for a silent cabinet are in `waited`."""
    waited: list[float] = field(default_factory=list)
    outcomes: Counter[str] = field(default_factory=Counter)
    late: list[float] = field(default_factory=list)
    """How long after its time each request was sent: the load's own fault."""


@dataclass
class Results:
    """What came of all requests; `faults` are the sentences of what must not be."""

    minutes: list[Tally] = field(default_factory=lambda: [Tally()])
    faults: list[str] = field(default_factory=list)
    lock: threading.Lock = field(default_factory=threading.Lock)

    def add(self, request: Request, answer: Answer, took: float, late: float) -> None:
        """Count an answer."""
        with self.lock:
            tally, came = self.minutes[-1], outcome(answer)
            if answer.status == 504:
                tally.waited.append(took * 1000)
            else:
                tally.latencies.setdefault(request.operation, []).append(took * 1000)
            tally.outcomes[f"{request.operation} {came}"] += 1
            tally.late.append(late * 1000)
            if came not in request.expected:
                self.faults.append(f"{request}: {answer.status} {answer.raw[:300]!r}")

    def next_minute(self) -> Tally:
        """The minute that has ended."""
        with self.lock:
            self.minutes.append(Tally())
            return self.minutes[-2]


class Load:
    """Sends requests to a service until its time is over, or it is told to stop."""

    def __init__(self, api: Api, city: City, *, cabinets: int, rate: float, seed: int) -> None:
        self.results = Results()
        self._api = api
        self._city = city
        self._cabinets = cabinets
        self._rate = rate
        self._rng = random.Random(f"{seed}/load")  # noqa: S311 - not a secret
        self._idle: list[tuple[float, int, Technician]] = []
        self._numbers = count()
        self._stopping = threading.Event()
        for _ in range(max(5, cabinets // 5)):
            self._rest(city.join())

    def stop(self) -> None:
        """Send no more."""
        self._stopping.set()

    def run(self, seconds: float) -> None:
        """Send requests for so long; return when all are answered."""
        begun = time.monotonic()
        with ThreadPoolExecutor(WORKERS) as workers:
            for moment in self._arrivals(seconds):
                at = begun + moment
                if self._stopping.wait(max(0, at - time.monotonic())):
                    return
                kind = self._rng.random()
                if kind < OF_STORIES:
                    workers.submit(self._attempt_story, at, self._next_technician())
                elif kind < OF_STORIES + OF_READS:
                    request = passers_by.read(self._rng, self._cabinets)
                    workers.submit(self._attempt, at, request)
                else:
                    request = passers_by.mistake(self._rng, self._cabinets)
                    workers.submit(self._attempt, at, request)

    def _arrivals(self, seconds: float) -> Iterator[float]:
        moment = 0.0
        while (moment := moment + self._rng.expovariate(self._rate)) < seconds:
            yield moment

    def _next_technician(self) -> Technician:
        """Who has waited longest; somebody new where all are busy."""
        with self.results.lock:
            if self._idle and self._idle[0][0] <= time.monotonic():
                return heapq.heappop(self._idle)[2]
        return self._city.join()

    def _rest(self, one: Technician) -> None:
        after = one.request.after_seconds if one.request else 0
        with self.results.lock:
            heapq.heappush(self._idle, (time.monotonic() + after, next(self._numbers), one))

    def _attempt_story(self, at: float, one: Technician) -> None:
        assert one.request is not None
        assert one.story is not None
        answer = self._attempt(at, one.request)
        if answer is None:
            return
        try:
            one.request = one.story.send(answer)
        except Exception as error:  # noqa: BLE001 - whatever it is, it is told at the end
            self._note(f"the story of {one} broke off: {type(error).__name__}: {error}")
        else:
            self._rest(one)

    def _attempt(self, at: float, request: Request) -> Answer | None:
        late = time.monotonic() - at
        headers = {"Idempotency_Key": request.key} if request.key else {}
        try:
            answer = self._api.call(request.method, request.path, request.body, **headers)
        except OSError as error:
            self._note(f"{request}: {error}")
            return None
        self.results.add(request, answer, time.monotonic() - at, late)
        return answer

    def _note(self, fault: str) -> None:
        with self.results.lock:
            self.results.faults.append(fault)
