"""All rules in the order of the report."""

from tools.conformance.rules import (
    Rule,
    Verdict,
    answers,
    connection,
    doors,
    messages,
    numbering,
    refusals,
)
from tools.conformance.view import Seen

RULES: tuple[Rule, ...] = (
    *connection.RULES,
    *numbering.RULES,
    *messages.RULES,
    *answers.RULES,
    *refusals.RULES,
    *doors.RULES,
)


def judge(seen: Seen) -> list[tuple[Rule, Verdict]]:
    """Return the verdict of every rule."""
    return [(rule, rule.check(seen)) for rule in RULES]


def as_markdown() -> str:
    """Return the rules as the table of docs/conformance.md."""
    rows = (f"| `{one.id}` | [{one.title}](protocol.md#{one.anchor}) |" for one in RULES)
    return "\n".join(["| rule | what the cabinet does |", "|---|---|", *rows]) + "\n"
