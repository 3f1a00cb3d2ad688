"""The walk: drives the cabinet through the steps, and records what happens.

A step only causes things to happen; whether they are right is for the rules to say.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import NamedTuple, TypeVar

from tools.conformance.hand import Hand
from tools.conformance.proxy import Proxy
from tools.conformance.service import Service
from tools.conformance.transcript import Answered, Asked, Entry, Sent, Step, Transcript
from tools.conformance.view import Seen, Target

T = TypeVar("T")
_SECONDS_TO_DELIVER = 2


class NoCabinet(Exception):
    """No cabinet connected in time."""


class SkipStep(Exception):
    """The step cannot be made; the message says why."""


@dataclass(frozen=True)
class Pace:
    """How long the walk itself takes and waits, in seconds."""

    connect_s: float = 300
    hint_s: float = 20
    spread_s: float = 5
    outage_s: float = 4
    settle_s: float = 1  # after the last step, for messages that are late


class StepOf(NamedTuple):
    """A step: its name, what it does, and the function that does it."""

    name: str
    title: str
    run: Callable[["Walk"], None]


class Walk:
    """Drives one cabinet."""

    def __init__(  # noqa: PLR0913 - each is a part of the kit
        self,
        *,
        target: Target,
        proxy: Proxy,
        service: Service,
        hand: Hand,
        transcript: Transcript,
        pace: Pace,
        say: Callable[[str], None],
    ) -> None:
        self.target = target
        self.proxy = proxy
        self.service = service
        self.hand = hand
        self.transcript = transcript
        self.pace = pace
        self.say = say
        self._gets_reports = True

    def seen(self) -> Seen:
        """Return what has happened until now."""
        return Seen(self.transcript.entries, self.target, self.transcript.seconds)

    def run(self, steps: Sequence[StepOf], after_step: Callable[[], None]) -> None:
        """Make these steps; call `after_step` after each. Raises NoCabinet."""
        for number, step in enumerate(steps, 1):
            self.say(f"step {number} of {len(steps)}: {step.title}")
            self.transcript.add(Step(step.name, "began"))
            try:
                step.run(self)
                self.transcript.add(Step(step.name, "ended"))
            except SkipStep as error:
                self.say(f"  skipped: {error}")
                self.transcript.add(Step(step.name, "skipped", str(error)))
            if step is steps[-1]:
                self.wait(lambda _: None, self.pace.settle_s)
            after_step()

    # --- What steps are made of ---------------------------------------------------------------

    def wait(self, find: Callable[[Seen], T | None], seconds: float) -> T | None:
        """Wait until `find` finds something."""
        return self.transcript.wait_for(
            lambda entries: find(Seen(entries, self.target, self.transcript.seconds)), seconds
        )

    def send(self, purpose: str, kind: str, **fields: object) -> Sent:
        """Publish a command to the cabinet."""
        return self.service.send(purpose, kind, **fields)

    def wait_for_answer(self, sent: Sent, *, after: int = -1, seconds: float | None = None) -> bool:
        """Wait until a command is answered; False if it is not in time."""
        limit = self.target.answer_s if seconds is None else seconds
        command_id = sent.command["command_id"]
        return (
            self.wait(lambda seen: seen.answers(command_id, after=after) or None, limit) is not None
        )

    def ask(self, purpose: str, kind: str = "report_state", **fields: object) -> bool:
        """Publish a command and wait for its answer."""
        return self.wait_for_answer(self.send(purpose, kind, **fields))

    def unlock_and_cut(self, cell: int) -> Sent:
        """Unlock a cell, and cut the connection as soon as the command is with the cabinet."""
        sent = self.service.make("cut", "unlock", cells=[cell], ttl_s=60)
        self.proxy.block_after(sent.command["command_id"])
        self.service.publish(sent)
        self.wait(lambda _: self.proxy.is_blocked or None, _SECONDS_TO_DELIVER)
        self.proxy.block()
        return sent

    def closed_cells(self, count: int) -> list[int]:
        """Return cells to open: first those that are closed."""
        doors = self.seen().doors()
        known = range(1, self.target.cells + 1)
        return sorted(known, key=lambda number: doors.get(number) != "closed")[:count]

    def by_hand(self, action: str, cell: int | None, is_seen: Callable[[Seen], object]) -> bool:
        """Ask for a hand; return whether it was done."""
        asked = self.transcript.add(Asked(action, cell))

        def wait(seconds: float) -> bool:
            found = self.wait(lambda seen: is_seen(_after(seen, asked)) or None, seconds)
            return found is not None

        outcome = self.hand.do(action, cell, wait)
        if outcome == "not_done" and action != "power" and self.look():
            outcome = "done" if wait(0) else "not_done"  # done, but the cabinet did not say so
        self.transcript.add(Answered(action, cell, outcome))
        if outcome == "done":
            wait(self.target.reconnect_s if action == "power" else self.target.event_s)
        return outcome == "done"

    def look(self) -> bool:
        """Ask for a report, unless an earlier one was not answered; return whether it came."""
        self._gets_reports = self._gets_reports and self.ask("look", spread_s=0)
        return self._gets_reports

    def close(self, *cells: int) -> bool:
        """Have those of these doors closed that are open; return whether all are closed."""
        if cells:
            self.look()
        return all([self._close(cell) for cell in cells])  # noqa: C419 - asks for each of them

    def _close(self, cell: int) -> bool:
        if self.seen().doors().get(cell) == "closed":
            return True
        return self.by_hand("close", cell, lambda seen: seen.doors().get(cell) == "closed")

    def opened(self, sent: Sent) -> list[int]:
        """Return the cells that the answers to a command show open."""
        answers = self.seen().answers(sent.command["command_id"])
        doors = [(cell, door) for one in answers for cell, door in one.doors().items()]
        return list(
            dict.fromkeys(c for c, door in doors if door == "open" and c in sent.command["cells"])
        )


def _after(seen: Seen, entry: Entry) -> Seen:
    return Seen(seen.entries[entry.number + 1 :], seen.target, seen.now)
