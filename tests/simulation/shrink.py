"""From a failing schedule to a small one that fails in the same way."""

import time
from collections.abc import Callable
from dataclasses import replace

from tests.simulation.calls import Course
from tests.simulation.plan import Plan, Step
from tests.simulation.runner import Outcome

Run = Callable[[Plan], Outcome]


def smallest(failing: Outcome, run: Run, *, seconds: float) -> Outcome:
    """The smallest that is found in so much time; every step of it is needed, given enough."""
    deadline = time.monotonic() + seconds
    steps = list(failing.plan.steps[: failing.steps])
    best = _attempt(failing, [replace(step, course=Course()) for step in steps], run) or failing
    size = max(1, failing.steps // 2)
    while size and time.monotonic() < deadline:
        steps = list(best.plan.steps)[: best.steps]
        best = _without_some(best, steps, size, run, deadline)
        again = size == 1 and len(best.plan.steps) < len(steps)
        size = size if again else size // 2
    return _calmed(best, run, deadline)


def _without_some(
    best: Outcome, steps: list[Step], size: int, run: Run, deadline: float
) -> Outcome:
    """Leave out `size` steps at a time, from the end, wherever it still fails."""
    for start in range(len(steps) - size, -size, -size):
        if time.monotonic() > deadline:
            break
        first = max(0, start)
        fewer = steps[:first] + steps[first + size :]
        outcome = _attempt(best, fewer, run)
        if outcome is not None:
            best, steps = outcome, fewer
    return best


def _calmed(best: Outcome, run: Run, deadline: float) -> Outcome:
    """Without the pauses and faults of calls that do not matter."""
    steps = list(best.plan.steps)
    for index, step in enumerate(steps):
        if step.course == Course() or time.monotonic() > deadline:
            continue
        calmer = [*steps[:index], replace(step, course=Course()), *steps[index + 1 :]]
        outcome = _attempt(best, calmer, run)
        if outcome is not None:
            best, steps = outcome, calmer
    return best


def _attempt(best: Outcome, steps: list[Step], run: Run) -> Outcome | None:
    outcome = run(replace(best.plan, steps=tuple(steps)))
    assert best.violation is not None
    same = outcome.violation is not None and outcome.violation.rule == best.violation.rule
    return outcome if same else None
