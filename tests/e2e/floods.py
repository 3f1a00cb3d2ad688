"""Floods of requests: bounded in their number, rate and time; to the loopback only."""

import http.client
import threading
import time
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field
from statistics import median
from urllib.parse import urlsplit

from tests.support.local_cloud import LocalCloud

LANES = 8
PER_SECOND = 150
SECONDS = 4


@dataclass
class Flood:
    """What a flood got."""

    statuses: Counter[int] = field(default_factory=Counter)
    without_retry_after: int = 0
    seconds: float = 0


@contextmanager
def flooding(stack: LocalCloud, path: str, key: str | None) -> Iterator[Flood]:
    """Send GET requests at a steady rate until the block has ended, for some seconds at most."""
    flood, ended, lock = Flood(), threading.Event(), threading.Lock()
    started = time.monotonic()

    def send() -> None:
        url = urlsplit(stack.url)
        connection = http.client.HTTPConnection(url.hostname or "", url.port, timeout=30)
        due = time.monotonic()
        while not ended.wait(max(0, due - time.monotonic())) and due < started + SECONDS:
            due = max(due + LANES / PER_SECOND, time.monotonic())
            connection.request(
                "GET", path, headers={"Authorization": f"Bearer {key}"} if key else {}
            )
            response = connection.getresponse()
            response.read()
            with lock:
                flood.statuses[response.status] += 1
                refused = response.status == 429
                flood.without_retry_after += refused and not response.headers["Retry-After"]
        connection.close()

    with ThreadPoolExecutor(LANES) as threads:
        lanes = [threads.submit(send) for _ in range(LANES)]
        yield flood
        ended.set()
        for lane in lanes:
            lane.result()
    flood.seconds = time.monotonic() - started


def unlock_seconds(stack: LocalCloud, count: int = 5) -> float:
    """Unlock some bookings, each at another cabinet; return the median time of an unlock."""
    times = []
    for _ in range(count):
        cabinet = stack.cabinet()
        booking = cabinet.book()
        started = time.perf_counter()
        assert cabinet.unlock(booking).status == 200
        times.append(time.perf_counter() - started)
    return median(times)
