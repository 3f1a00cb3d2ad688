"""Strike, wait until somebody has opened a door again, strike elsewhere; then look for lies."""

import random
import time
from collections import defaultdict
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from statistics import median

from tests.faults import truth
from tests.faults.cloud import Cloud
from tests.faults.technicians import Load, Technician
from tests.waiting import wait_until

TECHNICIANS = 8
_ALONE = 3
"""How often in a round each part is struck alone, which is what recovery is measured by."""
_STORMS = 5
_APART_SECONDS = 1.5
_PAUSE_SECONDS = 1.0
_SECONDS_TO_RECOVER = 60
_SECONDS_TO_CALM = 100

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


def play(cloud: Cloud, seed: int, seconds: float, say: Callable[[str], None]) -> Outcome:
    """Strike for so long, heal, and compare the records with the truth."""
    outcome = Outcome()
    load, rng = outcome.load, random.Random(seed)
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
    yield from ((part,) for part in rng.sample(parts, len(parts)))
    while True:
        alone = [(part,) for part in parts] * (_ALONE - 1)
        pairs = [(first, second) for first in parts for second in parts]
        storms = [tuple(rng.sample(parts, len(parts))) for _ in range(_STORMS)]
        each: list[Strikes] = [*alone, *pairs, *storms]
        yield from rng.sample(each, len(each))
        yield from ((part,) for part in rng.sample(parts, len(parts)))


def _strike(
    cloud: Cloud, rng: random.Random, until: float, outcome: Outcome, say: Callable[[str], None]
) -> None:
    parts = [*cloud.parts, "connection"]
    for strikes in rounds(parts, rng):
        for number, part in enumerate(strikes):
            if number:
                outcome.load.ending.wait(rng.uniform(0, _APART_SECONDS))
            cloud.kill(part, rng)
            struck_at = time.monotonic()
            outcome.struck[part] += 1
            outcome.in_flight.append(outcome.load.unlocking)
        took = _recovered(outcome.load, struck_at)
        if len(strikes) == 1:
            outcome.alone[strikes[0]].append(took)
        else:
            outcome.together[len(strikes)].append(took)
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


def table(outcome: Outcome) -> str:
    """The outcome for a person, in Markdown."""
    strikes = sum(outcome.struck.values())
    lines = [
        f"{strikes} kills in {outcome.seconds:.0f} s; at each, {_mean(outcome.in_flight):.1f}"
        f" unlocks of {TECHNICIANS} technicians were under way;"
        f" {len(outcome.load.unlocked)} unlocks succeeded.",
        "",
        "| killed | times | alone | recovery, median | longest |",
        "|---|---|---|---|---|",
    ]
    for part, times in outcome.struck.items():
        took = outcome.alone[part]
        shown = f"{median(took):.2f} s | {max(took):.2f} s" if took else "|"
        lines.append(f"| {part} | {times} | {len(took)} | {shown} |")
    for number, took in sorted(outcome.together.items()):
        shown = f"{median(took):.2f} s | {max(took):.2f} s"
        lines.append(f"| {number} in a row | {len(took)} | | {shown} |")
    lines += ["", "| request | answer | times |", "|---|---|---|"]
    for (request, answer), times in sorted(outcome.load.answers.items()):
        lines.append(f"| {request} | {answer} | {times} |")
    waited = outcome.load.waited
    lines += [
        "",
        f"longest wait for an answer: {waited[True]:.1f} s with an Idempotency-Key,"
        f" {waited[False]:.1f} s without",
    ]
    lines += [f"strange, but recorded: {outcome.remarks or 'nothing'}"]
    lines += [f"SURPRISE: {one}" for one in outcome.load.surprises]
    lines += [f"LIE: {one}" for one in outcome.lies]
    return "\n".join(lines)


def _mean(numbers: Sequence[int]) -> float:
    return sum(numbers) / max(1, len(numbers))
