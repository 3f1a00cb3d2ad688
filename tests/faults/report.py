"""The report of a campaign, in Markdown."""

from collections.abc import Iterator, Sequence
from statistics import mean, median

from tests.faults.campaign import TECHNICIANS, Result


def table(result: Result) -> str:
    """Return the kills and recovery times, the responses by code, and the faults."""
    return "\n".join([*_kills(result), *_responses(result), *_faults(result)])


def _kills(result: Result) -> Iterator[str]:
    kills, unlocks = sum(result.kills.values()), len(result.load.unlocked)
    yield f"{kills} kills in {result.seconds:.0f} s, {unlocks} unlocks succeeded."
    busy = mean(result.unlocks_in_flight or [0])
    yield f"At each kill {busy:.1f} of {TECHNICIANS} technicians waited for an unlock."
    yield ""
    yield "| killed | kills | alone | recovery, median | longest |"
    yield "|---|---|---|---|---|"
    for part, kills in result.kills.items():
        yield f"| {part} | {kills} | {_recovery(result.alone[part])} |"
    for number, took in sorted(result.in_row.items()):
        yield f"| {number} in a row | {number * len(took)} | {_recovery(took)} |"


def _recovery(took: Sequence[float]) -> str:
    return f"{len(took)} | {median(took):.2f} s | {max(took):.2f} s" if took else "0 | |"


def _responses(result: Result) -> Iterator[str]:
    yield from ("", "| request | response | times |", "|---|---|---|")
    for (request, response), times in sorted(result.load.responses.items()):
        yield f"| {request} | {response} | {times} |"
    yield ""
    for keyed, words in ((True, "with"), (False, "without")):
        seconds = result.load.waited[keyed]
        yield f"Longest wait for a final response {words} an Idempotency-Key: {seconds:.1f} s."


def _faults(result: Result) -> Iterator[str]:
    yield f"Recorded anomalies and discrepancies: {result.anomalies or 'none'}."
    yield from (f"FAULT: {one}" for one in result.faults)
