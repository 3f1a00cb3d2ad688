"""Schedules that showed something once, as text that no change of the generator touches."""

import re
from dataclasses import dataclass
from pathlib import Path

from tests.simulation.calls import Course, Fault
from tests.simulation.plan import Plan, Step

DIRECTORY = Path(__file__).with_name("cases")
_SCENE = ("seed", "cabinets", "cells", "contractors", "honours_ttl")


@dataclass(frozen=True)
class Case:
    """A schedule, and why it is kept."""

    why: str
    plan: Plan
    shows: str
    """The rule that was broken."""
    found: str
    """How it was come by."""
    history: list[str]
    """What happened when it failed."""
    bug: str = ""
    """The deliberate bug with which it fails still, if there is one."""

    @property
    def path(self) -> Path:
        """Where it is kept."""
        return DIRECTORY / f"{'-'.join(re.findall(r'[a-z0-9]+', self.why.lower()))[:80]}.txt"


def kept() -> dict[str, Case]:
    """All that are kept, by name."""
    return {path.stem: read(path.read_text()) for path in sorted(DIRECTORY.glob("*.txt"))}


def read(text: str) -> Case:
    """A case from its text."""
    head, _, rest = text.partition("\nsteps:\n")
    steps, _, history = rest.partition("history:\n")
    fields = dict(line.split(": ", 1) for line in head.splitlines())
    scene = dict(part.split(" ") for part in fields.pop("scene").split(", "))
    seed, cabinets, cells, contractors, honours_ttl = (int(scene[name]) for name in _SCENE)
    taken = tuple(_step(line) for line in steps.splitlines())
    plan = Plan(seed, cabinets, cells, contractors, bool(honours_ttl), taken)
    return Case(plan=plan, history=history.splitlines(), **fields)


def keep(case: Case) -> Path:
    """Write a case down."""
    DIRECTORY.mkdir(exist_ok=True)
    case.path.write_text(text_of(case))
    return case.path


def text_of(case: Case) -> str:
    """A case in words and numbers."""
    names = ("why", "shows", "found", "bug")
    lines = [f"{name}: {getattr(case, name)}" for name in names if getattr(case, name)]
    scene = ", ".join(f"{name} {int(getattr(case.plan, name))}" for name in _SCENE)
    lines += [f"scene: {scene}", "steps:", *(_line(step) for step in case.plan.steps)]
    return "\n".join([*lines, "history:", *case.history]) + "\n"


def _line(step: Step) -> str:
    """`unlock 3 1 4 1 | pauses 5 9 | stops at committed 1 | kill at publish 1`."""
    course, parts = step.course, [" ".join(map(str, (step.kind, *step.numbers)))]
    if course.pauses:
        parts.append(" ".join(map(str, ("pauses", *course.pauses))))
    if course.pause_at:
        parts.append(" ".join(map(str, ("stops at", *course.pause_at))))
    if course.fault:
        fault = course.fault
        parts.append(f"{fault.effect} at {fault.point} {fault.nth}")
    return " | ".join(parts)


def _step(line: str) -> Step:
    words, *parts = line.split(" | ")
    kind, *numbers = words.split()
    a, b, c, d = map(int, numbers)
    course = Course()
    for part in parts:
        course = _changed(course, part.split())
    return Step(kind, (a, b, c, d), course)


def _changed(course: Course, words: list[str]) -> Course:
    match words:
        case ["pauses", *reached]:
            return Course(tuple(map(int, reached)), course.pause_at, course.fault)
        case ["stops", "at", point, nth]:
            return Course(course.pauses, (point, int(nth)), course.fault)  # type: ignore[arg-type] # the plan's words
        case [effect, "at", point, nth]:
            fault = Fault(effect, point, int(nth))  # type: ignore[arg-type] # the plan's words
            return Course(course.pauses, course.pause_at, fault)
        case _:
            raise ValueError(f"not how a call goes: {' '.join(words)}")
