"""The first seeds, and every seed that ever failed; `make simulate` explores new ones."""

import os
from collections.abc import Iterator

import pytest

from local.postgres import Postgres
from tests.simulation.__main__ import remembered, told
from tests.simulation.database import Database, prepared
from tests.simulation.mutations import MUTATIONS
from tests.simulation.runner import plan_of, run

RUNS = int(os.environ.get("SIMULATION_RUNS", "40"))  # noqa: TID251 - of the tests, not the service


@pytest.fixture(scope="module")
def simulated(postgres: Postgres) -> Iterator[Database]:
    with prepared(postgres) as database:
        yield database


@pytest.mark.timeout(RUNS * 5 + 120)
def test_nothing_is_lost_doubled_or_invented_whatever_goes_wrong(simulated: Database) -> None:
    for seed in range(1, RUNS + 1):
        outcome = run(plan_of(seed), simulated)
        if outcome.violation is not None:
            pytest.fail(f"seed {outcome.plan.seed}\n{told(outcome, simulated)}", pytrace=False)


@pytest.mark.parametrize("seed", remembered())
def test_a_seed_that_failed_once_fails_no_more(seed: int, simulated: Database) -> None:
    outcome = run(plan_of(seed), simulated)
    if outcome.violation is not None:
        pytest.fail(told(outcome, simulated), pytrace=False)


def test_the_same_seed_is_the_same_run(simulated: Database) -> None:
    assert run(plan_of(7), simulated).history == run(plan_of(7), simulated).history


@pytest.mark.parametrize("name", MUTATIONS)
def test_a_deliberate_bug_can_still_be_made(name: str) -> None:
    with pytest.MonkeyPatch.context() as patch:
        MUTATIONS[name](patch)
