"""Parts of a cloud are killed under load; nothing is lost, nothing doubled, doors open again.

The long run: make chaos. NEEDS Mosquitto: amqtt forgets what waits when it is killed.
"""

import random
from collections.abc import Iterator
from itertools import islice

import pytest

from local.broker import find_mosquitto
from tests.faults import campaign, report
from tests.faults.cloud import Cloud, running

SECONDS = 12
PARTS = ["database", "broker", "bridge"]


@pytest.fixture
def cloud() -> Iterator[Cloud]:
    if find_mosquitto() is None:
        pytest.skip("Mosquitto is not installed")
    with running() as cloud:
        yield cloud


@pytest.mark.timeout(240)
def test_whatever_is_killed_under_load_the_records_stay_the_truth(cloud: Cloud) -> None:
    seed = random.randrange(10**6)  # noqa: S311 - not a secret
    lines = [f"seed {seed}"]
    outcome = campaign.play(cloud, seed, SECONDS, lines.append)
    lines.append(report.table(outcome))
    assert outcome.faults == [], "\n".join(lines)
    assert len(outcome.load.unlocked) > len(outcome.struck), "\n".join(lines)


def test_a_round_strikes_each_part_alone_each_after_each_and_all_at_once() -> None:
    first = len(PARTS) * campaign.ALONE + len(PARTS) ** 2 + campaign.STORMS
    strikes = list(islice(campaign.rounds(PARTS, random.Random(1)), first))  # noqa: S311 - not a secret
    assert {(part,) for part in PARTS} == set(strikes[: len(PARTS)])
    assert {(one, other) for one in PARTS for other in PARTS} <= set(strikes)
    assert sum(len(one) == len(PARTS) for one in strikes) == campaign.STORMS


def test_the_same_seed_is_the_same_order() -> None:
    orders = [list(islice(campaign.rounds(PARTS, random.Random(7)), 50)) for _ in range(2)]  # noqa: S311 - not a secret
    assert orders[0] == orders[1]
