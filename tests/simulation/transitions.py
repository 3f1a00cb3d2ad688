"""Which transitions of the state machines the runs have taken, and which none of them has.

The database counts: a trigger on each status column records every change, in the transaction that
makes it, so that only committed changes count. One transaction may move a state twice and write
the last state only; the moves that Python makes are therefore counted, too.
"""

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field

import pytest

from shared.states import MACHINES, Machine
from tests.support import state_guard

RAREST = 5
"""How many transitions `Coverage.summary` lists."""

_RECORD = """
    CREATE SCHEMA simulation;
    CREATE UNLOGGED TABLE simulation.changes (machine text, source text, target text);
    CREATE FUNCTION simulation.record_change() RETURNS trigger LANGUAGE plpgsql
        SECURITY DEFINER AS $$
    BEGIN
        INSERT INTO simulation.changes
        VALUES (TG_ARGV[0], to_jsonb(OLD) ->> TG_ARGV[1], to_jsonb(NEW) ->> TG_ARGV[1]);
        RETURN NULL;
    END $$;
"""
_TRIGGER = """
    CREATE TRIGGER record_change AFTER UPDATE ON {table} FOR EACH ROW
        WHEN (OLD.{column} IS DISTINCT FROM NEW.{column})
        EXECUTE FUNCTION simulation.record_change('{machine}', '{column}');
"""
SCHEMA = _RECORD + "".join(
    _TRIGGER.format(machine=machine.name, table=table, column=column)
    for table, (column, machine) in state_guard.COLUMNS.items()
)
"""SQL that makes a migrated database record every change of a state."""
WRITTEN = """
    SELECT machine, source, target, count(*) AS n FROM simulation.changes
     GROUP BY machine, source, target"""


@dataclass(frozen=True, order=True)
class Change:
    """A machine's move from one state to another."""

    machine: str
    source: str
    target: str

    def __str__(self) -> str:
        return f"{self.machine}: {self.source} → {self.target}"


@dataclass
class Coverage:
    """How often each change was committed, and how often Python made it."""

    written: Counter[Change] = field(default_factory=Counter)
    moved: Counter[Change] = field(default_factory=Counter)

    def add(self, other: "Coverage") -> None:
        """Add the counts of another run."""
        self.written.update(other.written)
        self.moved.update(other.moved)

    def counts(self) -> dict[Change, int]:
        """Return every transition of the tables and how often it was taken."""
        return {change: max(self.written[change], self.moved[change]) for change in sorted(ALLOWED)}

    def never_taken(self) -> list[Change]:
        """Return the transitions of the tables that no run has taken."""
        return [change for change, taken in self.counts().items() if not taken]

    def forbidden(self) -> list[Change]:
        """Return committed changes that no sequence of transitions makes."""
        return [change for change in sorted(self.written) if change not in REACHABLE]

    def summary(self) -> str:
        """Return how many transitions were taken, and the rarest with their counts."""
        counts = self.counts()
        rarest = sorted(counts.items(), key=lambda item: item[1])[:RAREST]
        listed = ", ".join(f"{change} ({taken})" for change, taken in rarest)
        taken = sum(count > 0 for count in counts.values())
        return f"{taken} of {len(counts)} transitions taken; the rarest: {listed}"


def count_moves(patch: pytest.MonkeyPatch, moved: Counter[Change]) -> None:
    """Count the moves that Python makes, while `patch` lasts."""
    after, changed_to = Machine.after, Machine.changed_to

    def counted_after(machine: Machine, state: str, event: str) -> str:
        target = after(machine, state, event)
        moved[Change(machine.name, state, target)] += 1
        return target

    def counted_changed_to(machine: Machine, state: str, wanted: str) -> str:
        target = changed_to(machine, state, wanted)
        moved[Change(machine.name, state, target)] += 1
        return target

    patch.setattr(Machine, "after", counted_after)
    patch.setattr(Machine, "changed_to", counted_changed_to)


def _allowed(machine: Machine) -> Iterator[Change]:
    for transition in machine.transitions:
        for source in transition.sources:
            yield Change(machine.name, source, transition.target)


ALLOWED = frozenset(change for machine in MACHINES for change in _allowed(machine))
"""The transitions of the tables. Two events with the same source and target are one change."""
REACHABLE = frozenset(
    Change(machine.name, source, target)
    for machine in MACHINES
    for source in machine.states
    for target in state_guard.reachable(machine, source)
)
"""The changes that one transition makes, or several in a row."""
