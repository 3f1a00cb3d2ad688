"""Make the database of a test refuse every change of state that `shared/states.py` does not allow.

One transaction may make several moves and write only the last state, so a change is allowed if
any series of transitions leads there.
"""

from shared.states import ACCUMULATOR, BOOKING, BOOKING_CELL, CABINET, COMMAND, WEBHOOK, Machine

COLUMNS = {
    "bookings": ("status", BOOKING),
    "booking_cells": ("state", BOOKING_CELL),
    "commands": ("status", COMMAND),
    "accumulators": ("status", ACCUMULATOR),
    "cabinets": ("status", CABINET),
    "webhooks": ("status", WEBHOOK),
}
"""The column of each table that holds a state, and its machine."""

OFF = "SET LOCAL tests.state_guard = off;"

ERROR = "ZS001"
"""SQLSTATE of a refused change."""


def reachable(machine: Machine, state: str) -> set[str]:
    """Return the states that one or more transitions lead to from `state`."""
    found: set[str] = set()
    sources = {state}
    while sources:
        targets = {t.target for t in machine.transitions if sources.intersection(t.sources)}
        sources = targets - found
        found |= targets
    return found


def statements() -> str:
    """Return the SQL that installs the guard."""
    return "".join([_FUNCTIONS, *(_trigger(*column) for column in COLUMNS.items()), _ANOMALIES])


def _trigger(table: str, column: tuple[str, Machine]) -> str:
    name, machine = column
    changes = [f"new {state}" for state in machine.initial]
    changes += [f"{old} {new}" for old in machine.states for new in reachable(machine, old)]
    allowed = ", ".join(f"'{change}'" for change in sorted(changes))
    return f"""
        CREATE TRIGGER state_guard_of_new AFTER INSERT ON {table} FOR EACH ROW
            EXECUTE FUNCTION refuse_state('{name}', {allowed});
        CREATE TRIGGER state_guard AFTER UPDATE ON {table} FOR EACH ROW
            WHEN (old.{name} <> new.{name}) EXECUTE FUNCTION refuse_state('{name}', {allowed});
    """


_FUNCTIONS = f"""
    CREATE FUNCTION refuse_state() RETURNS trigger LANGUAGE plpgsql AS $$
    DECLARE
        old_state text := CASE TG_OP WHEN 'INSERT' THEN 'new' ELSE to_jsonb(old) ->> TG_ARGV[0] END;
        new_state text := to_jsonb(new) ->> TG_ARGV[0];
    BEGIN
        IF old_state || ' ' || new_state <> ALL (TG_ARGV[1:])
           AND coalesce(current_setting('tests.state_guard', true), '') <> 'off' THEN
            RAISE EXCEPTION 'shared/states.py does not allow % in %: % to %',
                TG_OP, TG_TABLE_NAME, old_state, new_state USING ERRCODE = '{ERROR}';
        END IF;
        RETURN NULL;
    END $$;
    CREATE FUNCTION refuse_anomaly() RETURNS trigger LANGUAGE plpgsql AS $$
    BEGIN
        RAISE EXCEPTION '%', new.detail USING ERRCODE = '{ERROR}';
    END $$;
"""

_ANOMALIES = """
    CREATE TRIGGER state_guard BEFORE INSERT ON anomalies FOR EACH ROW
        WHEN (new.reason = 'illegal_transition') EXECUTE FUNCTION refuse_anomaly();
"""
