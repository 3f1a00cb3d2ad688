"""Each planted mistake is found by the rule that is about it, in its words, and by few others."""

import pytest

from tests.e2e.conformance.faulty import run_kit
from tests.e2e.conformance.mistakes import MISTAKES
from tests.support.local_cloud import LocalCloud


@pytest.mark.parametrize("name", MISTAKES)
def test_a_mistake_is_found_by_its_rule(stack: LocalCloud, name: str) -> None:
    planted = MISTAKES[name]
    result = run_kit(stack, planted.steps, planted.plant)
    broken = {rule.id: verdict for rule, verdict in result.of("broken")}
    assert set(broken) == {planted.rule, *planted.also}, {r: v.line for r, v in broken.items()}
    assert planted.words in broken[planted.rule].line
    assert broken[planted.rule].evidence
