"""The outcome of a campaign for a person, in Markdown."""

from collections.abc import Iterator, Sequence
from statistics import mean, median

from tests.faults.campaign import TECHNICIANS, Outcome


def table(outcome: Outcome) -> str:
    """Kills and recovery, answers by code, and everything that may not be."""
    return "\n".join([*_of_kills(outcome), *_of_answers(outcome), *_of_faults(outcome)])


def _of_kills(outcome: Outcome) -> Iterator[str]:
    kills, unlocks = sum(outcome.struck.values()), len(outcome.load.unlocked)
    yield f"{kills} kills in {outcome.seconds:.0f} s, {unlocks} unlocks succeeded."
    busy = mean(outcome.in_flight or [0])
    yield f"At each kill {busy:.1f} of {TECHNICIANS} technicians waited for an unlock."
    yield ""
    yield "| killed | kills | alone | recovery, median | longest |"
    yield "|---|---|---|---|---|"
    for part, kills in outcome.struck.items():
        yield f"| {part} | {kills} | {_recovery(outcome.alone[part])} |"
    for number, took in sorted(outcome.together.items()):
        yield f"| {number} in a row | {number * len(took)} | {_recovery(took)} |"


def _recovery(took: Sequence[float]) -> str:
    return f"{len(took)} | {median(took):.2f} s | {max(took):.2f} s" if took else "0 | |"


def _of_answers(outcome: Outcome) -> Iterator[str]:
    yield from ("", "| request | answer | times |", "|---|---|---|")
    for (request, answer), times in sorted(outcome.load.answers.items()):
        yield f"| {request} | {answer} | {times} |"
    yield ""
    for keyed, words in ((True, "with"), (False, "without")):
        seconds = outcome.load.waited[keyed]
        yield f"Longest wait for a final answer {words} an Idempotency-Key: {seconds:.1f} s."


def _of_faults(outcome: Outcome) -> Iterator[str]:
    yield f"Strange, but recorded: {outcome.remarks or 'nothing'}."
    yield from (f"FAULT: {one}" for one in outcome.faults)
