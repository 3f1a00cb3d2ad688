"""Strike, wait until somebody has opened a door again, strike elsewhere; then look for lies."""

import random
import time
from collections import defaultdict
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field

from tests.faults import truth
from tests.faults.cloud import CONNECTION, Cloud
from tests.faults.technicians import Load, Technician
from tests.waiting import wait_until

TECHNICIANS = 8
ALONE = 3
"""How often in a round each part is struck alone, which is what recovery is measured by."""
STORMS = 5
_APART_SECONDS = 1.5
_PAUSE_SECONDS = 1.0
_SECONDS_TO_RECOVER = 60
_SECONDS_TO_CALM = 150

Strikes = tuple[str, ...]


@dataclass
class Outcome:
    """What a campaign has seen."""

    seconds: float = 0
    struck: dict[str, int] = field(default_factory=lambda: defaultdict(int))
    in_flight: list[int] = field(default_factory=list)
    """How many unlocks were under way at each strike."""
    alone: dict[str, list[float]] = field(default_factory=lambda: defaultdict(list))
    """Seconds from a kill until the first unlock since has succeeded, by part."""
    together: dict[int, list[float]] = field(default_factory=lambda: defaultdict(list))
    """The same since the last of so many kills."""
    load: Load = field(default_factory=Load)
    lies: list[str] = field(default_factory=list)
    remarks: dict[str, int] = field(default_factory=dict)

    @property
    def faults(self) -> list[str]:
        """Everything that may not be."""
        return [*self.load.surprises, *self.lies]


def play(cloud: Cloud, seed: int, seconds: float, say: Callable[[str], None]) -> Outcome:
    """Strike for so long, heal, and compare the records with the truth."""
    outcome = Outcome()
    load, rng = outcome.load, random.Random(seed)  # noqa: S311 - not a secret
    technicians = [Technician(number, cloud, load, seed) for number in range(TECHNICIANS)]
    for one in technicians:
        one.start()
    begun = time.monotonic()
    try:
        _recovered(load, begun)
        _strike(cloud, rng, begun + seconds, outcome, say)
    finally:
        load.ending.set()
        for one in technicians:
            one.join(_SECONDS_TO_CALM)
    outcome.seconds = time.monotonic() - begun
    try:
        wait_until(lambda: truth.is_quiet(cloud), seconds=_SECONDS_TO_CALM)
    except TimeoutError:
        outcome.lies.append(f"all is healed, but not quiet after {_SECONDS_TO_CALM} s")
    outcome.remarks = truth.remarks(cloud)
    outcome.lies += truth.lies(cloud, technicians)
    return outcome


def rounds(parts: Sequence[str], rng: random.Random) -> Iterator[Strikes]:
    """Each part alone, each after each, all at once in some order; again and again, for ever."""
    while True:
        yield from ((part,) for part in rng.sample(parts, len(parts)))
        alone = [(part,) for part in parts] * (ALONE - 1)
        pairs = [(first, second) for first in parts for second in parts]
        storms = [tuple(rng.sample(parts, len(parts))) for _ in range(STORMS)]
        each: list[Strikes] = [*alone, *pairs, *storms]
        yield from rng.sample(each, len(each))


def _strike(
    cloud: Cloud, rng: random.Random, until: float, outcome: Outcome, say: Callable[[str], None]
) -> None:
    for strikes in rounds([*cloud.parts, CONNECTION], rng):
        struck_at = time.monotonic()
        for number, part in enumerate(strikes):
            outcome.load.ending.wait(rng.uniform(0, _APART_SECONDS) if number else 0)
            cloud.kill(part, rng)
            struck_at = time.monotonic()
            outcome.struck[part] += 1
            outcome.in_flight.append(outcome.load.unlocking)
        took = _recovered(outcome.load, struck_at)
        of = outcome.together[len(strikes)] if len(strikes) > 1 else outcome.alone[strikes[0]]
        of.append(took)
        say(f"{took:6.2f} s  after {', '.join(strikes)}")
        outcome.load.ending.wait(rng.uniform(0, _PAUSE_SECONDS))
        if time.monotonic() > until:
            return


def _recovered(load: Load, since: float) -> float:
    """Seconds until an unlock that was asked for after `since` was a complete success."""

    def first() -> float | None:
        return min((end - since for begun, end in load.unlocked if begun > since), default=None)

    wait_until(lambda: first() is not None, seconds=_SECONDS_TO_RECOVER)
    return first() or 0
