"""A run of the kit: a walk, judged after each step, and what came out of it."""

from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from typing import NamedTuple

from tools.conformance.rules import Rule, Verdict
from tools.conformance.rules.table import judge
from tools.conformance.steps import STEPS, chosen
from tools.conformance.transcript import Entry, Step
from tools.conformance.view import Target
from tools.conformance.walk import NoCabinet, Walk

_SIGNS = {"held": "held       ", "broken": "BROKEN     ", "not_checked": "not checked"}


class Result(NamedTuple):
    """What a run has found."""

    target: Target
    began: datetime
    ended: datetime
    stopped: str
    """Why it ended before its last step; empty if it did not."""
    verdicts: Sequence[tuple[Rule, Verdict]]
    entries: Sequence[Entry]

    def of(self, status: str) -> list[tuple[Rule, Verdict]]:
        """Return the rules with this status."""
        return [(rule, verdict) for rule, verdict in self.verdicts if verdict.status == status]

    @property
    def has_seen_cabinet(self) -> bool:
        """Whether a cabinet has connected at all."""
        return any(verdict.status != "not_checked" for _, verdict in self.verdicts)

    def steps_without_end(self) -> dict[str, str]:
        """Return the steps that were not made, and why."""
        facts = [entry.fact for entry in self.entries if isinstance(entry.fact, Step)]
        ended = {fact.name for fact in facts if fact.event == "ended"}
        reasons = {fact.name: fact.reason for fact in facts if fact.event == "skipped"}
        return {
            step.name: reasons.get(step.name, self.stopped or "not chosen")
            for step in STEPS
            if step.name not in ended
        }


def conduct(walk: Walk, names: list[str], say: Callable[[str], None]) -> Result:
    """Make the steps, print each verdict when it is known, and return the result.

    Ctrl-C and a cabinet that does not connect end the walk, not the run: there is a result.
    """
    began = datetime.now(UTC)
    printed: dict[str, str] = {}
    stopped = ""

    def print_news() -> None:
        for rule, verdict in judge(walk.seen()):
            is_news = printed.get(rule.id, "not_checked") not in (verdict.status, "broken")
            if is_news:
                printed[rule.id] = verdict.status
                say(f"  {_SIGNS[verdict.status]} {rule.id}: {verdict.line}")

    try:
        walk.run(chosen(names), print_news)
    except KeyboardInterrupt:
        stopped = "interrupted"
    except NoCabinet as error:
        stopped = str(error)
    return Result(
        walk.target, began, datetime.now(UTC), stopped, judge(walk.seen()), walk.transcript.entries
    )


def print_summary(result: Result, say: Callable[[str], None]) -> None:
    """Print the broken rules again, what was not checked, and the counts."""
    if result.stopped:
        say(f"stopped: {result.stopped}")
    if not result.has_seen_cabinet:
        return
    for status in ("broken", "not_checked"):
        for rule, verdict in result.of(status):
            say(f"{_SIGNS[status]} {rule.id}: {verdict.line}")
            if status == "broken":
                say(f"            {rule.change}")
    counts = [f"{len(result.of(status))} {status.replace('_', ' ')}" for status in _SIGNS]
    say(f"rules: {', '.join(counts)}")
