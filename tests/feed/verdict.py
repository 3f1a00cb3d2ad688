"""What a reader missed, and how long events took to reach it."""

from collections import Counter
from dataclasses import dataclass
from statistics import median

from tests.feed.load import Key, Written
from tests.feed.readers import Received


@dataclass(frozen=True)
class Verdict:
    """How one reader did."""

    received: int
    lost: int
    doubled: int
    out_of_order: int
    """Events that came after a later one of the same cabinet."""
    median_lag_ms: float
    max_lag_ms: float
    """From the commit to the reader, of all events."""
    max_lag_while_hanging_ms: float
    """Of the events that were committed while one transaction hung."""

    @property
    def is_right(self) -> bool:
        """Whether each event came once, and each cabinet's in order."""
        return (self.lost, self.doubled, self.out_of_order) == (0, 0, 0)

    def __str__(self) -> str:
        return (
            f"{self.received:,} received, {self.lost:,} lost, {self.doubled:,} doubled,"
            f" {self.out_of_order:,} out of order; lag: median {self.median_lag_ms:.1f} ms,"
            f" max {self.max_lag_ms:,.0f} ms; while one hung: max"
            f" {self.max_lag_while_hanging_ms:,.0f} ms"
        )


def judge(written: Written, received: Received) -> Verdict:
    """Compare what one reader received with what was committed."""
    counts = Counter(key for key, _ in received.events)
    began, ended = written.hang
    lags: list[float] = []
    while_hanging: list[float] = [0]
    for key, at in received.events:
        committed = written.commits.get(key, at)
        lags.append(max(0, at - committed))
        if began < committed < ended:
            while_hanging.append(lags[-1])
    return Verdict(
        received=len(received.events),
        lost=len(written.commits.keys() - counts.keys()),
        doubled=counts.total() - len(counts),
        out_of_order=_out_of_order([key for key, _ in received.events]),
        median_lag_ms=1000 * median(lags or [0]),
        max_lag_ms=1000 * max(lags or [0]),
        max_lag_while_hanging_ms=1000 * max(while_hanging),
    )


def _out_of_order(keys: list[Key]) -> int:
    newest: dict[str, int] = {}
    wrong = 0
    for cabinet_id, number in keys:
        wrong += number < newest.get(cabinet_id, 0)
        newest[cabinet_id] = max(number, newest.get(cabinet_id, 0))
    return wrong
