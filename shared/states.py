"""The state machines of bookings, booking cells, commands, accumulators and cabinets, as tables.

A state changes only through its machine: in Python by `Machine.after`, in SQL by a statement that
takes `Machine.move` as parameters (`SET status = %(target)s … WHERE status = ANY (%(sources)s)`).
docs/how-it-works.md shows them as diagrams; the simulation counts which transitions occurred.
"""

from collections.abc import Mapping
from typing import Any, NamedTuple


class IllegalTransition(ValueError):
    """The state machine has no such transition."""


class Transition(NamedTuple):
    """An event that moves any of the `sources` to `target`."""

    event: str
    sources: tuple[str, ...]
    target: str


class Machine:
    """A table of states and of the events that lead from one to another."""

    def __init__(
        self,
        name: str,
        *,
        states: Mapping[str, str],
        initial: tuple[str, ...],
        final: tuple[str, ...],
        transitions: tuple[Transition, ...],
    ) -> None:
        """Build a machine.

        `states`: each state with its meaning. `final`: nothing more is expected to happen; only
        late evidence or an operator still changes such a state.
        """
        self.name = name
        self.states = states
        self.initial = initial
        self.final = final
        self.transitions = transitions
        self.unfinished = tuple(state for state in states if state not in final)
        self._by_event = {transition.event: transition for transition in transitions}

    def after(self, state: str, event: str) -> str:
        """Return the state that follows `state` on `event`. Raises IllegalTransition."""
        transition = self._by_event[event]
        if state not in transition.sources:
            raise IllegalTransition(f"{self.name}: {event} is not possible in state {state}")
        return transition.target

    def move(self, event: str) -> dict[str, Any]:
        """Return the parameters of an UPDATE for `event`: `sources` (a list) and `target`."""
        transition = self._by_event[event]
        return {"sources": [*transition.sources], "target": transition.target}

    def changed_to(self, state: str, wanted: str) -> str:
        """Return `wanted` if one event leads there from `state`, or if that is the state already.

        Raises IllegalTransition.
        """
        if wanted != state and not any(
            transition.target == wanted and state in transition.sources
            for transition in self.transitions
        ):
            raise IllegalTransition(f"{self.name}: no transition from {state} to {wanted}")
        return wanted


BOOKING = Machine(
    "booking",
    states={
        "active": "holds cells; can be unlocked or cancelled",
        "unlocking": "a command to open the cells was inserted; its outcome is not known yet",
        "returning": "the cells of a return are open; accumulators are expected in them",
        "completed": "everything requested was opened (issue) or inserted (return)",
        "partially_completed": "a part of what was requested was opened or inserted",
        "failed": "nothing was left to hold, or the outcome of the unlock stayed unknown",
        "cancelled": "cancelled by the caller",
        "expired": "its time ran out",
    },
    initial=("active",),
    final=("completed", "partially_completed", "failed", "cancelled", "expired"),
    transitions=(
        Transition("unlock_requested", ("active",), "unlocking"),
        # A return whose doors are closed, with nothing inserted.
        Transition("cancelled", ("active", "returning"), "cancelled"),
        Transition("expired", ("active", "returning"), "expired"),
        Transition("nothing_left_to_hold", ("active",), "failed"),
        Transition("command_not_published", ("unlocking",), "active"),
        Transition("nothing_opened", ("unlocking",), "active"),
        # A cell that opened after all may also complete a booking that is active again, or ended.
        Transition(
            "all_opened", ("active", "unlocking", "partially_completed", "failed"), "completed"
        ),
        Transition("some_opened", ("active", "unlocking", "failed"), "partially_completed"),
        Transition("opened_for_return", ("active", "unlocking"), "returning"),
        Transition("all_inserted", ("returning",), "completed"),
        Transition("some_inserted", ("returning",), "partially_completed"),
        Transition("outcome_unresolved", ("unlocking",), "failed"),
    ),
)

BOOKING_CELL = Machine(
    "booking cell",
    states={
        "held": "reserved for the booking",
        "opened": "its door was opened",
        "inserted": "an accumulator was returned into it",
        "failed": "its door was not opened, or nobody knows whether it was",
        "released": "no longer reserved; `reason` says why",
    },
    initial=("held",),
    final=("inserted", "failed", "released"),
    transitions=(
        # From `failed` and `released`: it opened after all, or another cell did instead.
        Transition("opened", ("held", "failed", "released"), "opened"),
        Transition("not_opened", ("held",), "failed"),
        # From `held`: a return's cell whose unlock has no result yet.
        Transition("inserted", ("held", "opened"), "inserted"),
        # From `opened`: the cell of a return into which nothing was inserted.
        Transition("released", ("held", "opened"), "released"),
        Transition("held_again", ("released", "failed"), "held"),
    ),
)

COMMAND_IN_FLIGHT = ("pending", "published")
"""A result may still come before the deadline."""
COMMAND_UNANSWERED = ("no_answer", "unresolved")
"""The deadline passed without a result: cells may have opened."""
COMMAND_UNSETTLED = (*COMMAND_IN_FLIGHT, *COMMAND_UNANSWERED)
"""Nobody knows yet whether the command was executed."""
_SETTLEABLE = (*COMMAND_UNSETTLED, "not_executed", "not_published")

COMMAND = Machine(
    "command",
    states={
        "pending": "inserted, not published yet",
        "published": "handed to the broker",
        "succeeded": "the cabinet did all of it",
        "partially_succeeded": "the cabinet did it for some cells",
        "failed": "the cabinet tried and did it for no cell",
        "rejected": "the cabinet refused the whole command",
        "not_published": "nothing was sent",
        "no_answer": "no result by the deadline; cells may have opened",
        "not_executed": "proved by a later state report: nothing was opened",
        "unresolved": "no evidence within the reconcile window; an operator decides",
    },
    initial=("pending",),
    final=(
        "succeeded",
        "partially_succeeded",
        "failed",
        "rejected",
        "not_published",
        "not_executed",
        "unresolved",
    ),
    transitions=(
        Transition("published", ("pending",), "published"),
        Transition("not_published", ("pending",), "not_published"),
        Transition("timed_out", COMMAND_IN_FLIGHT, "no_answer"),
        Transition("window_passed", ("no_answer",), "unresolved"),
        Transition("proved_not_executed", COMMAND_UNSETTLED, "not_executed"),
        # A result always settles a command that has none, however late it comes. Further parts of
        # it, corrections and evidence add cells that opened after all.
        Transition(
            "all_done", (*_SETTLEABLE, "partially_succeeded", "failed", "rejected"), "succeeded"
        ),
        Transition("some_done", (*_SETTLEABLE, "failed", "rejected"), "partially_succeeded"),
        Transition("none_done", _SETTLEABLE, "failed"),
        Transition("rejected", _SETTLEABLE, "rejected"),
    ),
)

ACCUMULATOR = Machine(
    "accumulator",
    states={
        "in_service": "can be issued",
        "quarantined": "not issued until an operator puts it in service",
        "missing": "an operator reported that it cannot be found",
        "retired": "taken out of the system; its ledger stays",
    },
    initial=("in_service", "quarantined"),
    final=("retired",),
    transitions=(
        Transition("put_in_service", ("quarantined", "missing", "retired"), "in_service"),
        # By an operator, or by evidence: two cells claim it, or it turns up after all.
        Transition("quarantined", ("in_service", "missing", "retired"), "quarantined"),
        Transition("reported_missing", ("in_service", "quarantined", "retired"), "missing"),
        Transition("retired", ("in_service", "quarantined", "missing"), "retired"),
    ),
)

CABINET = Machine(
    "cabinet",
    states={
        "active": "in service",
        "inactive": "taken out of service by an operator: no bookings, no unlocks",
    },
    initial=("active",),
    final=(),
    transitions=(
        Transition("put_in_service", ("inactive",), "active"),
        Transition("taken_out_of_service", ("active",), "inactive"),
    ),
)

WEBHOOK = Machine(
    "webhook",
    states={
        "active": "events are delivered",
        "paused": "nothing is sent until an operator resumes it",
    },
    initial=("active",),
    final=(),
    transitions=(
        Transition("paused_by_operator", ("active",), "paused"),
        Transition("failed_for_days", ("active",), "paused"),
        Transition("gone", ("active",), "paused"),
        Transition("resumed", ("paused",), "active"),
    ),
)
"""Not among MACHINES: nothing in the domain depends on it, and no event tells of it."""

MACHINES = (BOOKING, BOOKING_CELL, COMMAND, ACCUMULATOR, CABINET)
