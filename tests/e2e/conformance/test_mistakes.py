"""Each planted mistake is found by the rule that is about it, in its words, and by few others."""

import pytest

from tests.e2e.conformance.faulty import run_kit
from tests.e2e.conformance.mistakes import MISTAKES
from tests.support.local_cloud import LocalCloud
from tests.support.programs import needs

NEEDS_MOSQUITTO = ("listens_to_all_cabinets", "executes_what_waited_in_the_broker")
"""The embedded broker refuses the one's subscription, and keeps nothing for the other."""

NAMES = [
    pytest.param(name, marks=needs("mosquitto") if name in NEEDS_MOSQUITTO else ())
    for name in MISTAKES
]


@pytest.mark.slow
@pytest.mark.parametrize("name", NAMES)
def test_a_mistake_is_found_by_its_rule(stack: LocalCloud, name: str) -> None:
    planted = MISTAKES[name]
    result = run_kit(stack, planted.steps, planted.plant)
    broken = {rule.id: verdict for rule, verdict in result.of("broken")}
    assert set(broken) == {planted.rule, *planted.also}, {r: v.line for r, v in broken.items()}
    assert planted.words in broken[planted.rule].line
    assert broken[planted.rule].evidence
