"""Kill parts, wait each time until an unlock succeeds again, and check the records at the end."""

import random
import time
from collections import defaultdict
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field

from tests.faults import truth
from tests.faults.cloud import CONNECTION, Cloud
from tests.faults.technicians import Load, Technician
from tests.support.waiting import wait_until

TECHNICIANS = 8
ALONE = 3
"""How often each part is killed alone in a round; recovery is measured after these kills."""
ALL_AT_ONCE = 5
"""How often all parts are killed in a row in a round."""
_SECONDS_APART = 1.5
_SECONDS_OF_PAUSE = 1.0
_SECONDS_TO_RECOVER = 60
_SECONDS_TO_SETTLE = 150

Kills = tuple[str, ...]


@dataclass
class Result:
    """The result of a campaign."""

    seconds: float = 0
    kills: dict[str, int] = field(default_factory=lambda: defaultdict(int))
    unlocks_in_flight: list[int] = field(default_factory=list)
    """How many unlocks were in flight at each kill."""
    alone: dict[str, list[float]] = field(default_factory=lambda: defaultdict(list))
    """Recovery in seconds by part: from a kill until an unlock requested after it succeeds."""
    in_row: dict[int, list[float]] = field(default_factory=lambda: defaultdict(list))
    """The same by the number of kills in a row, from the last of them."""
    load: Load = field(default_factory=Load)
    false_records: list[str] = field(default_factory=list)
    anomalies: dict[str, int] = field(default_factory=dict)

    @property
    def faults(self) -> list[str]:
        """What must not happen."""
        return [*self.load.failures, *self.false_records]


def run(
    cloud: Cloud,
    seed: int,
    seconds: float,
    say: Callable[[str], None],
    *,
    parts: Sequence[str] = (),
) -> Result:
    """Kill `parts`, or all of them, for some time, let everything recover, check the records."""
    result = Result()
    load, rng = result.load, random.Random(seed)  # noqa: S311 - not a secret
    technicians = [Technician(number, cloud, load, seed) for number in range(TECHNICIANS)]
    for one in technicians:
        one.start()
    started = time.monotonic()
    try:
        _wait_for_recovery(load, started)
        order = rounds(parts or [*cloud.parts, CONNECTION], rng)
        for _ in _kill_parts(cloud, rng, order, result, say):
            if time.monotonic() > started + seconds:
                break
    finally:
        load.stopping.set()
        for one in technicians:
            one.join(_SECONDS_TO_SETTLE)
    result.seconds = time.monotonic() - started
    try:
        wait_until(lambda: truth.is_settled(cloud), seconds=_SECONDS_TO_SETTLE)
    except TimeoutError:
        result.false_records.append(f"not settled {_SECONDS_TO_SETTLE} s after the end")
    result.anomalies = truth.anomalies(cloud)
    result.false_records += truth.false_records(cloud, technicians)
    return result


def rounds(parts: Sequence[str], rng: random.Random) -> Iterator[Kills]:
    """Yield rounds without end: each part alone, each pair of parts, all parts in random orders."""
    while True:
        yield from ((part,) for part in rng.sample(parts, len(parts)))
        alone = [(part,) for part in parts] * (ALONE - 1)
        pairs = [(first, second) for first in parts for second in parts]
        all_parts = [tuple(rng.sample(parts, len(parts))) for _ in range(ALL_AT_ONCE)]
        mixed: list[Kills] = [*alone, *pairs, *all_parts]
        yield from rng.sample(mixed, len(mixed))


def _kill_parts(
    cloud: Cloud,
    rng: random.Random,
    order: Iterator[Kills],
    result: Result,
    say: Callable[[str], None],
) -> Iterator[None]:
    """Kill parts in this order; yield after each recovery."""
    for kills in order:
        killed_at = time.monotonic()
        for number, part in enumerate(kills):
            result.load.stopping.wait(rng.uniform(0, _SECONDS_APART) if number else 0)
            cloud.kill(part, rng)
            killed_at = time.monotonic()
            result.kills[part] += 1
            result.unlocks_in_flight.append(result.load.unlocking)
        took = _wait_for_recovery(result.load, killed_at)
        times = result.in_row[len(kills)] if len(kills) > 1 else result.alone[kills[0]]
        times.append(took)
        say(f"{took:6.2f} s  after {', '.join(kills)}")
        result.load.stopping.wait(rng.uniform(0, _SECONDS_OF_PAUSE))
        yield


def recoveries(load: Load, since: float) -> dict[str, float]:
    """Return the seconds from `since` until an unlock requested after it succeeded, by cabinet."""
    found: dict[str, float] = {}
    for one in load.unlocked:
        if one.requested > since:
            took = one.answered - since
            found[one.cabinet_id] = min(took, found.get(one.cabinet_id, took))
    return found


def _wait_for_recovery(load: Load, since: float) -> float:
    """Wait until an unlock requested after `since` has opened its cells; return the seconds."""
    wait_until(lambda: recoveries(load, since), seconds=_SECONDS_TO_RECOVER)
    return min(recoveries(load, since).values())
