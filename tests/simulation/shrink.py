"""Shrink a failing plan to a small one that breaks the same rule."""

import time
from collections.abc import Callable
from dataclasses import replace

from tests.simulation.calls import Disruption
from tests.simulation.plan import Plan, Step
from tests.simulation.runner import Result

Run = Callable[[Plan], Result]


def shrink(failing: Result, run: Run, *, seconds: float) -> Result:
    """Return the smallest failing run found within the time limit, in seconds.

    With enough time, no single step of it can be left out.
    """
    deadline = time.monotonic() + seconds
    steps = list(failing.plan.steps[: failing.steps])
    best = (
        _attempt(failing, [replace(step, disruption=Disruption()) for step in steps], run)
        or failing
    )
    size = max(1, failing.steps // 2)
    while size and time.monotonic() < deadline:
        steps = list(best.plan.steps)[: best.steps]
        best = _without_some(best, steps, size, run, deadline)
        again = size == 1 and len(best.plan.steps) < len(steps)
        size = size if again else size // 2
    return _without_disruptions(best, run, deadline)


def _without_some(best: Result, steps: list[Step], size: int, run: Run, deadline: float) -> Result:
    """Leave out `size` steps at a time, from the end, wherever the run still fails."""
    for start in range(len(steps) - size, -size, -size):
        if time.monotonic() > deadline:
            break
        first = max(0, start)
        fewer = steps[:first] + steps[first + size :]
        result = _attempt(best, fewer, run)
        if result is not None:
            best, steps = result, fewer
    return best


def _without_disruptions(best: Result, run: Run, deadline: float) -> Result:
    """Remove the pauses and faults that the failure does not need."""
    steps = list(best.plan.steps)
    for index, step in enumerate(steps):
        if step.disruption == Disruption() or time.monotonic() > deadline:
            continue
        undisturbed = [*steps[:index], replace(step, disruption=Disruption()), *steps[index + 1 :]]
        result = _attempt(best, undisturbed, run)
        if result is not None:
            best, steps = result, undisturbed
    return best


def _attempt(best: Result, steps: list[Step], run: Run) -> Result | None:
    result = run(replace(best.plan, steps=tuple(steps)))
    assert best.violation is not None
    same = result.violation is not None and result.violation.rule == best.violation.rule
    return result if same else None
