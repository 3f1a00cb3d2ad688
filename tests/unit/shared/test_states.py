"""The state machines: every row of their tables."""

import re
from pathlib import Path
from typing import Any, get_args

import pytest

import functions
from shared.models.accumulators import AccumulatorStatus
from shared.models.bookings import BookingStatus
from shared.models.cabinets import CabinetStatus
from shared.models.commands import CommandStatus
from shared.states import (
    ACCUMULATOR,
    BOOKING,
    CABINET,
    COMMAND,
    MACHINES,
    IllegalTransition,
    Machine,
    Transition,
)
from tests.support.state_guard import COLUMNS, reachable

every_machine = pytest.mark.parametrize("machine", MACHINES, ids=lambda machine: machine.name)
every_transition = pytest.mark.parametrize(
    ("machine", "transition"),
    [(machine, transition) for machine in MACHINES for transition in machine.transitions],
    ids=lambda value: value.name if isinstance(value, Machine) else value.event,
)


@pytest.mark.parametrize(
    ("machine", "literal"),
    [
        (BOOKING, BookingStatus),
        (COMMAND, CommandStatus),
        (ACCUMULATOR, AccumulatorStatus),
        (CABINET, CabinetStatus),
    ],
    ids=lambda value: value.name if isinstance(value, Machine) else "",
)
def test_a_machine_has_exactly_the_states_of_the_api(machine: Machine, literal: Any) -> None:
    assert set(machine.states) == set(get_args(literal))


@pytest.mark.parametrize("table", COLUMNS)
def test_a_machine_has_exactly_the_states_that_the_database_accepts(table: str) -> None:
    name, machine = COLUMNS[table]
    directory = Path(functions.__path__[0]) / "migrate" / "migrations"
    text = "".join(path.read_text() for path in sorted(directory.glob("*.sql")))
    [definition] = re.findall(rf"CREATE TABLE {table} \((.*?)\n\);", text, re.DOTALL)
    [listed] = re.findall(rf"CHECK \({name} IN \(([^)]*)\)\)", definition)
    assert set(machine.states) == set(re.findall(r"'(\w+)'", listed))


@every_machine
def test_a_machine_names_only_its_own_states_and_each_event_once(machine: Machine) -> None:
    events = [transition.event for transition in machine.transitions]
    assert len(events) == len(set(events))
    named = {s for t in machine.transitions for s in (*t.sources, t.target)}
    assert named | set(machine.initial) | set(machine.final) <= set(machine.states)


@every_machine
def test_every_state_can_be_reached_and_every_unfinished_state_can_end(machine: Machine) -> None:
    found = set(machine.initial).union(*(reachable(machine, state) for state in machine.initial))
    assert found == set(machine.states)
    if machine.final:
        assert all(reachable(machine, s) & set(machine.final) for s in machine.unfinished)


@every_transition
def test_an_event_moves_its_sources_to_its_target_and_no_other_state(
    machine: Machine, transition: Transition
) -> None:
    for state in machine.states:
        if state in transition.sources:
            assert machine.after(state, transition.event) == transition.target
        else:
            with pytest.raises(IllegalTransition, match=f"{transition.event} is not possible"):
                machine.after(state, transition.event)


@every_transition
def test_a_statement_gets_the_sources_and_the_target_of_its_event(
    machine: Machine, transition: Transition
) -> None:
    expected = {"sources": list(transition.sources), "target": transition.target}
    assert machine.move(transition.event) == expected


@every_machine
def test_a_state_may_be_changed_to_itself_and_to_what_one_event_leads_to(machine: Machine) -> None:
    for state in machine.states:
        targets = {t.target for t in machine.transitions if state in t.sources}
        for wanted in machine.states:
            if wanted in targets | {state}:
                assert machine.changed_to(state, wanted) == wanted
            else:
                with pytest.raises(IllegalTransition, match=f"from {state} to {wanted}"):
                    machine.changed_to(state, wanted)
