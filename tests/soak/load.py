"""An open-loop load: the times of all requests are fixed in advance, and latency counts from them.

A service that stalls therefore neither slows the load down nor hides how long others waited.
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

from local.api import Api, Response
from tests.soak import single_requests
from tests.soak.technicians import Request, Technician, Technicians, outcome

WORKERS = 64
SHARE_OF_SHIFTS = 0.70
SHARE_OF_READS = 0.25


@dataclass
class Tally:
    """The responses of one minute."""

    latencies: dict[str, list[float]] = field(default_factory=dict)
    """Milliseconds by operation, without the requests in `unanswered`."""
    unanswered: list[float] = field(default_factory=list)
    """Milliseconds of the requests that ended with 504, because a cabinet did not reply."""
    outcomes: Counter[str] = field(default_factory=Counter)
    late: list[float] = field(default_factory=list)
    """Milliseconds by which each request was sent too late."""


@dataclass
class Results:
    """The responses of all requests; `faults` describes those that must not occur."""

    minutes: list[Tally] = field(default_factory=lambda: [Tally()])
    faults: list[str] = field(default_factory=list)
    lock: threading.Lock = field(default_factory=threading.Lock)

    def add(self, request: Request, response: Response, took: float, late: float) -> None:
        """Count a response."""
        with self.lock:
            tally, result = self.minutes[-1], outcome(response)
            if response.status == 504:
                tally.unanswered.append(took * 1000)
            else:
                tally.latencies.setdefault(request.operation, []).append(took * 1000)
            tally.outcomes[f"{request.operation} {result}"] += 1
            tally.late.append(late * 1000)
            if result not in request.expected:
                self.faults.append(f"{request}: {response.status} {response.raw[:300]!r}")

    def next_minute(self) -> Tally:
        """Begin a new minute; return the one that has ended."""
        with self.lock:
            self.minutes.append(Tally())
            return self.minutes[-2]


class Load:
    """Sends requests to a service."""

    def __init__(
        self, api: Api, technicians: Technicians, *, cabinets: int, rate: float, seed: int
    ) -> None:
        self.results = Results()
        self._api = api
        self._technicians = technicians
        self._cabinets = cabinets
        self._rate = rate
        self._rng = random.Random(f"{seed}/load")  # noqa: S311 - not a secret
        self._idle: list[tuple[float, int, Technician]] = []
        self._numbers = count()
        self._stopping = threading.Event()
        for _ in range(max(5, cabinets // 5)):
            self._rest(technicians.join())

    def stop(self) -> None:
        """Send no more requests."""
        self._stopping.set()

    def run(self, seconds: float) -> None:
        """Send requests for some time; return when all have a response."""
        started = time.monotonic()
        with ThreadPoolExecutor(WORKERS) as workers:
            for moment in self._arrivals(seconds):
                at = started + moment
                if self._stopping.wait(max(0, at - time.monotonic())):
                    return
                kind = self._rng.random()
                if kind < SHARE_OF_SHIFTS:
                    workers.submit(self._continue_shift, at, self._next_technician())
                elif kind < SHARE_OF_SHIFTS + SHARE_OF_READS:
                    request = single_requests.read(self._rng, self._cabinets)
                    workers.submit(self._send, at, request)
                else:
                    request = single_requests.mistake(self._rng, self._cabinets)
                    workers.submit(self._send, at, request)

    def _arrivals(self, seconds: float) -> Iterator[float]:
        moment = 0.0
        while (moment := moment + self._rng.expovariate(self._rate)) < seconds:
            yield moment

    def _next_technician(self) -> Technician:
        """Return the technician who has waited longest, or a new one if all are busy."""
        with self.results.lock:
            if self._idle and self._idle[0][0] <= time.monotonic():
                return heapq.heappop(self._idle)[2]
        return self._technicians.join()

    def _rest(self, one: Technician) -> None:
        after = one.request.after_seconds if one.request else 0
        with self.results.lock:
            heapq.heappush(self._idle, (time.monotonic() + after, next(self._numbers), one))

    def _continue_shift(self, at: float, one: Technician) -> None:
        assert one.request is not None
        assert one.shift is not None
        response = self._send(at, one.request)
        if response is None:
            return
        try:
            one.request = one.shift.send(response)
        except Exception as error:  # noqa: BLE001 - any exception is reported at the end
            self._note(f"the shift of {one} failed: {type(error).__name__}: {error}")
        else:
            self._rest(one)

    def _send(self, at: float, request: Request) -> Response | None:
        late = time.monotonic() - at
        headers = {"Idempotency_Key": request.key} if request.key else {}
        try:
            response = self._api.call(request.method, request.path, request.body, **headers)
        except OSError as error:
            self._note(f"{request}: {error}")
            return None
        self.results.add(request, response, time.monotonic() - at, late)
        return response

    def _note(self, fault: str) -> None:
        with self.results.lock:
            self.results.faults.append(fault)
