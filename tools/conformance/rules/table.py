"""All rules in the order of the report."""

from tools.conformance.rules import Rule, Verdict, commands, connection, doors, messages, numbering
from tools.conformance.view import Seen

RULES: tuple[Rule, ...] = (
    *connection.RULES,
    *numbering.RULES,
    *messages.RULES,
    *commands.RULES,
    *doors.RULES,
)


def judge(seen: Seen) -> list[tuple[Rule, Verdict]]:
    """Return the verdict of every rule."""
    return [(rule, rule.check(seen)) for rule in RULES]
