"""The feed's order under writers that make it go wrong, and how simpler ways fail."""

from collections.abc import Iterator

import pytest

from local.postgres import Postgres
from shared import config
from tests.feed.load import Plan, Written
from tests.feed.run import FEED, run
from tests.feed.verdict import Verdict
from tests.support.database import cloned, for_functions

PLAN = Plan(events=1500, hang_seconds=1)

Run = tuple[Written, dict[str, Verdict]]


@pytest.fixture(scope="module")
def finished(postgres: Postgres, template: str) -> Iterator[Run]:
    """Writers and readers, after all have finished."""
    with cloned(postgres, template) as url, pytest.MonkeyPatch.context() as patch:
        patch.setenv("DATABASE_URL", for_functions(url))
        config.settings.cache_clear()
        yield run(url, PLAN, simple_ways=True)
    config.settings.cache_clear()


@pytest.mark.parametrize("reader", FEED)
def test_each_event_comes_once_and_those_of_a_cabinet_in_order(finished: Run, reader: str) -> None:
    written, verdicts = finished
    assert written.rollbacks > 0
    assert verdicts[reader].received == len(written.commits) >= PLAN.events
    assert verdicts[reader].is_right, verdicts[reader]


def test_a_transaction_that_hangs_delays_only_its_own_events(finished: Run) -> None:
    _, verdicts = finished
    assert verdicts[FEED[0]].max_lag_while_hanging_ms < 1000 * PLAN.hang_seconds / 2


@pytest.mark.parametrize("way", ["by number", "by time"])
def test_a_reader_by_number_or_time_would_lose_events(finished: Run, way: str) -> None:
    _, verdicts = finished
    assert verdicts[way].lost > 0


def test_a_reader_by_transaction_id_would_misorder_events_and_wait_for_one_that_hangs(
    finished: Run,
) -> None:
    _, verdicts = finished
    assert verdicts["by transaction id"].out_of_order > 0
    assert verdicts["by transaction id"].max_lag_while_hanging_ms > 500 * PLAN.hang_seconds
