"""When a failed delivery is tried again, and when no more."""

import pytest

from shared.webhooks.outcome import Outcome
from shared.webhooks.retries import (
    GIVE_UP_SECONDS,
    LONGEST_PAUSE_SECONDS,
    GiveUp,
    Retry,
    after,
)

FAILED = Outcome(500)


def pause(failures: int, *, outcome: Outcome = FAILED, chance: float = 0.5) -> float:
    decision = after(outcome, failures=failures, failing_seconds=0, chance=chance)
    assert isinstance(decision, Retry)
    return decision.seconds


def test_pauses_double_up_to_an_hour() -> None:
    pauses = [pause(failures) for failures in range(12)]
    assert pauses[:4] == [5, 10, 20, 40]
    assert pauses[-2:] == [LONGEST_PAUSE_SECONDS] * 2
    assert pause(100_000) == LONGEST_PAUSE_SECONDS


def test_pauses_vary_by_a_fifth() -> None:
    assert [pause(0, chance=chance) for chance in (0, 1)] == [4, 6]


@pytest.mark.parametrize(("asked", "waited"), [(1, 5), (120, 120), (10**8, LONGEST_PAUSE_SECONDS)])
def test_a_receiver_can_ask_for_a_longer_pause_of_an_hour_at_most(asked: int, waited: int) -> None:
    assert pause(0, outcome=Outcome(503, retry_after=asked)) == waited


def test_after_three_days_without_success_no_more_is_tried() -> None:
    decision = after(FAILED, failures=90, failing_seconds=GIVE_UP_SECONDS, chance=0.5)
    assert decision == GiveUp(
        "failed_for_days", "no attempt succeeded for three days; last: status 500"
    )


def test_410_gone_ends_the_attempts_at_once() -> None:
    decision = after(Outcome(410), failures=0, failing_seconds=0, chance=0.5)
    assert decision == GiveUp("gone", "the receiver answered 410 Gone")


@pytest.mark.parametrize("code", [200, 201, 202, 204, 299])
def test_each_2xx_is_a_delivery(code: int) -> None:
    assert Outcome(code).is_delivered


@pytest.mark.parametrize("code", [301, 302, 307, 308, 400, 404, 410, 429, 500, 503])
def test_every_other_status_is_none(code: int) -> None:
    assert not Outcome(code).is_delivered


def test_no_status_is_no_delivery() -> None:
    assert not Outcome(None, "timed_out").is_delivered
