"""The rules: each is a claim of docs/protocol.md, and a pure function that checks it."""

from collections.abc import Callable, Iterable
from typing import Literal, NamedTuple

from tools.conformance.transcript import Entry
from tools.conformance.view import Seen

Status = Literal["broken", "held", "not_checked"]
MOST_EVIDENCE = 6
"""How many messages a verdict shows."""


class Verdict(NamedTuple):
    """Whether a rule is held, a line on why, and the entries that show it."""

    status: Status
    line: str
    evidence: tuple[Entry, ...] = ()


class Rule(NamedTuple):
    """A claim of the protocol."""

    id: str
    title: str
    why: str
    change: str
    """What to change in the firmware if it is broken."""
    anchor: str
    """The place in docs/protocol.md."""
    check: Callable[[Seen], Verdict]


def held(line: str, *evidence: Entry) -> Verdict:
    """The rule is held."""
    return Verdict("held", line, evidence[:MOST_EVIDENCE])


def broken(line: str, evidence: Iterable[Entry] = ()) -> Verdict:
    """The rule is broken; the entries show it."""
    return Verdict("broken", line, tuple(evidence)[:MOST_EVIDENCE])


def unchecked(line: str) -> Verdict:
    """The rule could not be checked; the line says why."""
    return Verdict("not_checked", line)


def first_broken(found: Iterable[Verdict], otherwise: Verdict) -> Verdict:
    """Return the first verdict, with how many more there are; `otherwise` if there is none."""
    all_found = list(found)
    if not all_found:
        return otherwise
    first, more = all_found[0], len(all_found) - 1
    line = first.line if not more else f"{first.line} ({more} more like it)"
    evidence = [entry for verdict in all_found for entry in verdict.evidence]
    return Verdict(first.status, line, tuple(evidence)[:MOST_EVIDENCE])
