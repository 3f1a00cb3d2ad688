"""Kept plans. They are text files, so a change of the random generator does not change them."""

import re
from dataclasses import dataclass
from pathlib import Path

from tests.simulation.calls import Disruption, Fault
from tests.simulation.plan import Plan, Step

DIRECTORY = Path(__file__).with_name("cases")
_SETUP = ("seed", "cabinets", "cells", "contractors", "honours_ttl")


@dataclass(frozen=True)
class Case:
    """A plan that once broke a rule, or that takes rare transitions."""

    why: str
    plan: Plan
    shows: str
    """The rule that was broken, or the rare transitions that the plan takes."""
    found: str
    """Where the plan comes from: a seed, or written by hand."""
    history: list[str]
    """The history of the run for which the case was kept."""
    bug: str = ""
    """The deliberate bug with which the case fails; empty if none."""

    @property
    def path(self) -> Path:
        """The case's file."""
        return DIRECTORY / f"{'-'.join(re.findall(r'[a-z0-9]+', self.why.lower()))[:80]}.txt"


def kept() -> dict[str, Case]:
    """Return every kept case, by file name."""
    return {path.stem: read(path.read_text()) for path in sorted(DIRECTORY.glob("*.txt"))}


def read(text: str) -> Case:
    """Parse a case."""
    head, _, rest = text.partition("\nsteps:\n")
    steps, _, history = rest.partition("history:\n")
    fields = dict(line.split(": ", 1) for line in head.splitlines())
    setup = dict(part.split(" ") for part in fields.pop("setup").split(", "))
    seed, cabinets, cells, contractors, honours_ttl = (int(setup[name]) for name in _SETUP)
    taken = tuple(_step(line) for line in steps.splitlines())
    plan = Plan(seed, cabinets, cells, contractors, bool(honours_ttl), taken)
    return Case(plan=plan, history=history.splitlines(), **fields)


def keep(case: Case) -> Path:
    """Write a case to its file."""
    DIRECTORY.mkdir(exist_ok=True)
    case.path.write_text(text_of(case))
    return case.path


def text_of(case: Case) -> str:
    """Return the text of a case's file."""
    names = ("why", "shows", "found", "bug")
    lines = [f"{name}: {getattr(case, name)}" for name in names if getattr(case, name)]
    setup = ", ".join(f"{name} {int(getattr(case.plan, name))}" for name in _SETUP)
    lines += [f"setup: {setup}", "steps:", *(_line(step) for step in case.plan.steps)]
    return "\n".join([*lines, "history:", *case.history]) + "\n"


def _line(step: Step) -> str:
    """`unlock 3 1 4 1 | pauses 5 9 | stops at committed 1 | kill at publish 1`."""
    disruption, parts = step.disruption, [" ".join(map(str, (step.kind, *step.numbers)))]
    if disruption.pauses:
        parts.append(" ".join(map(str, ("pauses", *disruption.pauses))))
    if disruption.pause_at:
        parts.append(" ".join(map(str, ("stops at", *disruption.pause_at))))
    if disruption.fault:
        fault = disruption.fault
        parts.append(f"{fault.effect} at {fault.point} {fault.nth}")
    return " | ".join(parts)


def _step(line: str) -> Step:
    words, *parts = line.split(" | ")
    kind, *numbers = words.split()
    a, b, c, d = map(int, numbers)
    disruption = Disruption()
    for part in parts:
        disruption = _changed(disruption, part.split())
    return Step(kind, (a, b, c, d), disruption)


def _changed(disruption: Disruption, words: list[str]) -> Disruption:
    match words:
        case ["pauses", *reached]:
            return Disruption(tuple(map(int, reached)), disruption.pause_at, disruption.fault)
        case ["stops", "at", point, nth]:
            return Disruption(disruption.pauses, (point, int(nth)), disruption.fault)  # type: ignore[arg-type] # the plan's words
        case [effect, "at", point, nth]:
            fault = Fault(effect, point, int(nth))  # type: ignore[arg-type] # the plan's words
            return Disruption(disruption.pauses, disruption.pause_at, fault)
        case _:
            raise ValueError(f"unknown part of a step: {' '.join(words)}")
