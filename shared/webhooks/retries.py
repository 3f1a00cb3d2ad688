"""When a failed delivery is tried again, and when no more."""

from dataclasses import dataclass

from shared.webhooks.outcome import Outcome

FIRST_PAUSE_SECONDS = 5
LONGEST_PAUSE_SECONDS = 3600
GIVE_UP_SECONDS = 3 * 24 * 3600
JITTER = 0.2
GONE = 410


@dataclass(frozen=True)
class Retry:
    """Try again after a pause."""

    seconds: float


@dataclass(frozen=True)
class GiveUp:
    """Pause the webhook."""

    event: str
    """The event of the webhook's state machine."""
    reason: str


def after(
    outcome: Outcome, *, failures: int, failing_seconds: float, chance: float
) -> Retry | GiveUp:
    """Decide what follows a failed attempt.

    `failures`: failed attempts before this one since the last success, the first of them
    `failing_seconds` ago; `chance`: a random number from 0 to 1.
    """
    if outcome.status_code == GONE:
        return GiveUp("gone", "the receiver answered 410 Gone")
    if failing_seconds >= GIVE_UP_SECONDS:
        return GiveUp("failed_for_days", f"no attempt succeeded for three days; last: {outcome}")
    # The exponent is bounded: the power of a large one is no float.
    pause = min(FIRST_PAUSE_SECONDS * 2.0 ** min(failures, 20), LONGEST_PAUSE_SECONDS)
    pause *= 1 + JITTER * (2 * chance - 1)
    asked = min(outcome.retry_after or 0, LONGEST_PAUSE_SECONDS)
    return Retry(max(pause, asked))
