"""Parts of a cloud are killed under load: nothing is lost or doubled, and the service recovers.

CHAOS_SECONDS in the environment sets the duration. Needs Mosquitto: amqtt loses queued messages
when it is killed.
"""

import os
import random
from collections.abc import Iterator
from itertools import islice

import pytest

from tests.faults import campaign, report
from tests.faults.cloud import ACTIVE_BRIDGE, Cloud, running
from tests.support.programs import skip_without
from tests.support.waiting import slowdown

SECONDS = float(os.environ.get("CHAOS_SECONDS", "8"))  # noqa: TID251 - a setting of the tests
PARTS = ["database", "broker", "bridge"]
TAKEOVER_SECONDS = 10


@pytest.fixture
def cloud() -> Iterator[Cloud]:
    skip_without("mosquitto")
    with running() as cloud:
        yield cloud


@pytest.mark.slow
@pytest.mark.timeout(SECONDS + 240)
def test_the_records_stay_true_whatever_is_killed_under_load(cloud: Cloud) -> None:
    seed = random.randrange(10**6)  # noqa: S311 - not a secret
    lines = [f"seed {seed}"]
    result = campaign.run(cloud, seed, SECONDS, lines.append)
    lines.append(report.table(result))
    assert result.faults == [], "\n".join(lines)
    assert len(result.load.unlocked) > len(result.kills), "\n".join(lines)


@pytest.mark.slow
@pytest.mark.timeout(2 * SECONDS + 240)
def test_the_active_bridge_is_replaced_whenever_it_is_killed_under_load() -> None:
    skip_without("mosquitto")
    seed = random.randrange(10**6)  # noqa: S311 - not a secret
    lines = [f"seed {seed}"]
    with running(bridges=2) as cloud:
        result = campaign.run(cloud, seed, 2 * SECONDS, lines.append, parts=[ACTIVE_BRIDGE])
    lines.append(report.table(result))
    assert result.faults == [], "\n".join(lines)
    recovered = [
        *result.alone[ACTIVE_BRIDGE],
        *(took for row in result.in_row.values() for took in row),
    ]
    assert max(recovered) < TAKEOVER_SECONDS * slowdown(), "\n".join(lines)
    print("\n".join(lines))  # noqa: T201 - figures for -s


def test_a_round_kills_each_part_alone_each_pair_and_all_parts() -> None:
    first = len(PARTS) * campaign.ALONE + len(PARTS) ** 2 + campaign.ALL_AT_ONCE
    kills = list(islice(campaign.rounds(PARTS, random.Random(1)), first))  # noqa: S311 - not a secret
    assert {(part,) for part in PARTS} == set(kills[: len(PARTS)])
    assert {(one, other) for one in PARTS for other in PARTS} <= set(kills)
    assert sum(len(one) == len(PARTS) for one in kills) == campaign.ALL_AT_ONCE


def test_the_same_seed_gives_the_same_order() -> None:
    orders = [list(islice(campaign.rounds(PARTS, random.Random(7)), 50)) for _ in range(2)]  # noqa: S311 - not a secret
    assert orders[0] == orders[1]
