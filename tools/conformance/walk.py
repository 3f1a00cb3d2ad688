"""The walk: drives the cabinet through the steps, and records what happens.

A step only causes things to happen; whether they are right is for the rules to say.
"""

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import NamedTuple, TypeVar

from tools.conformance.hand import Hand
from tools.conformance.proxy import Proxy
from tools.conformance.rules.commands import SPREAD_TOLERANCE_S
from tools.conformance.service import Service
from tools.conformance.transcript import Answered, Asked, Entry, Sent, Step, Transcript
from tools.conformance.view import Seen, Target, text

T = TypeVar("T")
_LONG_SECONDS = 620
_HOUR_SECONDS = 3600
_BROADCASTS = 3
_MOST_CELLS = 3
_OFFLINE_TTL_S = 1
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
    spread_s: float = 3
    outage_s: float = 4
    settle_s: float = 1  # after the last step, for messages that are late


class StepOf(NamedTuple):
    """A step: its name, what it does, and the method that does it."""

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

    def seen(self) -> Seen:
        """Return what has happened until now."""
        return Seen(self.transcript.entries, self.target, self.transcript.seconds)

    def run(self, names: Iterable[str], after_step: Callable[[], None]) -> None:
        """Make these steps; call `after_step` after each. Raises NoCabinet."""
        chosen = [step for step in STEPS if step.name in {*names, "connect"}]
        for number, step in enumerate(chosen, 1):
            self.say(f"step {number} of {len(chosen)}: {step.title}")
            self.transcript.add(Step(step.name, "began"))
            try:
                step.run(self)
                self.transcript.add(Step(step.name, "ended"))
            except SkipStep as error:
                self.say(f"  skipped: {error}")
                self.transcript.add(Step(step.name, "skipped", str(error)))
            if step is chosen[-1]:
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
        """Return cells to open: those that are closed, or else any."""
        doors = self.seen().doors()
        known = range(1, self.target.cells + 1)
        closed = [number for number in known if doors.get(number) == "closed"]
        return (closed or [*known])[:count]

    def by_hand(self, action: str, cell: int | None, is_seen: Callable[[Seen], object]) -> bool:
        """Ask for a hand; return whether it was done."""
        asked = self.transcript.add(Asked(action, cell))

        def wait(seconds: float) -> bool:
            found = self.wait(lambda seen: is_seen(_after(seen, asked)) or None, seconds)
            return found is not None

        outcome = self.hand.do(action, cell, wait)
        if outcome == "not_done" and action != "power" and self.ask("look"):
            outcome = "done" if wait(0) else "not_done"  # done, but the cabinet did not say so
        self.transcript.add(Answered(action, cell, outcome))
        if outcome == "done":
            wait(self.target.reconnect_s if action == "power" else self.target.event_s)
        return outcome == "done"

    def close(self, *cells: int) -> bool:
        """Have doors closed; return whether all are."""
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


# --- The steps ----------------------------------------------------------------------------------


def _connect(walk: Walk) -> None:
    """Wait for the cabinet, its subscription and its first report."""

    def is_listening(seen: Seen) -> object:
        return any(one.is_accepted and one.filters for one in seen.connections) or None

    pace = walk.pace
    if walk.wait(is_listening, min(pace.hint_s, pace.connect_s)) is None:
        walk.say(f"  still waiting: {_hint(walk.seen())}")
        if walk.wait(is_listening, max(0, pace.connect_s - pace.hint_s)) is None:
            raise NoCabinet(
                f"no cabinet subscribed within {pace.connect_s:g} s: {_hint(walk.seen())}"
            )
    walk.wait(lambda seen: seen.last_report, walk.target.first_report_s)


def _hint(seen: Seen) -> str:
    if not seen.connections:
        return "nothing has connected; check host, port and the network (and firewall)"
    last = seen.connections[-1]
    if last.code:
        return (
            f"a client logged in as {last.connect.username!r} and was refused; the login is"
            f" {seen.target.device_id!r} with the password shown above"
        )
    return "a client has logged in, but it has not subscribed to its commands"


def _report(walk: Walk) -> None:
    """Ask for reports: of this cabinet, and of all cabinets."""
    walk.ask("report", spread_s=0)
    for _ in range(_BROADCASTS):
        sent = walk.send(
            "spread", "report_state", broadcast=True, spread_s=walk.pace.spread_s, ttl_s=60
        )
        if not walk.wait_for_answer(sent, seconds=walk.pace.spread_s + SPREAD_TOLERANCE_S):
            return


def _booking(walk: Walk) -> None:
    """Book and unlock through the API, as an app does."""
    report = walk.seen().last_report
    if report is None:
        raise SkipStep("without a state report the service issues nothing")
    found = [text(cell.get("accumulator_id")) for cell in report.cells.values()]
    walk.service.put_in_service([one for one in found if one not in ("", "?")])
    walk.ask("report", spread_s=0)
    booking_id = walk.service.book()
    if booking_id is None:
        raise SkipStep("there is neither a charged accumulator nor an empty cell to book")
    walk.service.unlock(booking_id)
    commands = [one for one in walk.seen().commands_for("service") if one.kind == "unlock"]
    opened = [
        cell
        for one in commands[-1:]
        for answer in walk.seen().answers(one.id)
        for cell, door in answer.doors().items()
        if door == "open" and cell in one.cells
    ]
    walk.close(*dict.fromkeys(opened))


def _lock(walk: Walk) -> None:
    """Lock a cell."""
    walk.ask("lock", "lock", cells=walk.closed_cells(1))


def _several(walk: Walk) -> None:
    """Open several cells at once, and ask for the state right behind."""
    unlock = walk.send("several", "unlock", cells=walk.closed_cells(_MOST_CELLS))
    report = walk.send("order", "report_state", spread_s=0)
    walk.wait_for_answer(unlock)
    walk.wait_for_answer(report)
    walk.close(*walk.opened(unlock))


def _doors(walk: Walk) -> None:
    """Have an accumulator moved, and the door closed."""
    if not walk.hand.is_there:
        raise SkipStep("needs a hand")
    report = walk.seen().last_report
    cells = report.cells if report else {}
    occupied = {number for number, cell in cells.items() if cell.get("accumulator_id") is not None}
    closed = walk.closed_cells(walk.target.cells)
    [cell] = [number for number in closed if number in occupied][:1] or closed[:1]
    unlock = walk.send("doors", "unlock", cells=[cell])
    walk.wait_for_answer(unlock)
    if cell not in walk.opened(unlock):
        raise SkipStep(f"cell {cell} did not open")
    is_occupied = cell in occupied

    def has_changed(seen: Seen) -> bool:
        told = [
            one.cells[cell]
            for one in seen.of_type("cell_event", "state_report")
            if cell in one.cells
        ]
        return any((one.get("accumulator_id") is None) == is_occupied for one in told)

    walk.by_hand("take" if is_occupied else "insert", cell, has_changed)
    walk.close(cell)


def _repeat(walk: Walk) -> None:
    """Send the same command three times: at once, and after its door was closed."""
    first = walk.send("repeat", "unlock", cells=walk.closed_cells(1), ttl_s=600)
    if not walk.wait_for_answer(first):
        raise SkipStep("the command was not answered")
    opened = walk.opened(first)
    again = walk.transcript.entries[-1].number
    walk.service.publish(Sent("repeat-again", first.command, first.topic))
    walk.wait_for_answer(first, after=again)
    if not (opened and walk.close(*opened)):
        return
    again = walk.transcript.entries[-1].number
    walk.service.publish(Sent("repeat-closed", first.command, first.topic))
    walk.wait_for_answer(first, after=again)
    walk.ask("repeat-check", spread_s=0)
    walk.close(*[cell for cell in opened if walk.seen().doors().get(cell) == "open"])


def _expired(walk: Walk) -> None:
    """Send an unlock that is an hour old."""
    walk.ask("expired", "unlock", cells=walk.closed_cells(1), issued_ago_s=_HOUR_SECONDS)
    walk.ask("expired-check", spread_s=0)


def _unknown(walk: Walk) -> None:
    """Send what the cabinet cannot know: a kind, a field, a cell."""
    walk.ask("unknown-kind", "blink_lights", colour="green")
    walk.ask("unknown-field", spread_s=0, priority={"level": 3})
    walk.ask("unknown-cell", "unlock", cells=[walk.target.cells + 1])


def _cut(walk: Walk) -> None:
    """Cut the connection behind an unlock, and send another one while it is cut."""
    cells = [*walk.closed_cells(2), 1]
    unlock = walk.unlock_and_cut(cells[0])
    late = walk.send("offline", "unlock", cells=[cells[1]], ttl_s=_OFFLINE_TTL_S)
    walk.wait(lambda _: None, walk.pace.outage_s)
    entry = walk.transcript.entries[-1]
    walk.proxy.unblock()

    def is_back(seen: Seen) -> object:
        later = [one for one in seen.connections if one.opened.number > entry.number]
        return any(one.is_accepted for one in later) or None

    if walk.wait(is_back, walk.target.reconnect_s) is None:
        return
    walk.wait(
        lambda seen: (
            any(one.filters for one in seen.connections if one.opened.number > entry.number) or None
        ),
        walk.target.subscribe_s,
    )
    walk.wait(lambda seen: _reports_after(seen, entry) or None, walk.target.first_report_s)
    walk.ask("cut-check", spread_s=0)
    walk.close(*{*walk.opened(unlock), *walk.opened(late)})


def _reports_after(seen: Seen, entry: Entry) -> list[object]:
    return [
        o
        for o in seen.of_type("state_report")
        if o.entry.number > entry.number and not o.command_id
    ]


def _power(walk: Walk) -> None:
    """Have the power switched off and on."""
    if not walk.hand.is_there:
        raise SkipStep("needs a hand")
    begin = walk.transcript.entries[-1]

    def is_back(seen: Seen) -> object:
        return any(one.is_accepted and one.filters for one in seen.connections)

    if not walk.by_hand("power", None, is_back):
        raise SkipStep("nobody switched the power off and on")
    walk.wait(lambda seen: _reports_after(seen, begin) or None, walk.target.first_report_s)


def _long(walk: Walk) -> None:
    """Wait for a report that nobody asked for."""
    entry = walk.transcript.entries[-1]
    walk.wait(lambda seen: _reports_after(seen, entry) or None, _LONG_SECONDS)


STEPS = (
    StepOf("connect", "login, subscriptions and the first report", _connect),
    StepOf("report", "reports on request", _report),
    StepOf("booking", "a booking through the service", _booking),
    StepOf("lock", "the command lock", _lock),
    StepOf("several", "several cells at once, and a report right behind", _several),
    StepOf("doors", "an accumulator moved by hand", _doors),
    StepOf("repeat", "the same command several times", _repeat),
    StepOf("expired", "an expired command", _expired),
    StepOf("unknown", "unknown kinds, fields and cells", _unknown),
    StepOf("cut", "a cut connection while a command is on its way", _cut),
    StepOf("power", "a power cycle", _power),
    StepOf("long", "ten minutes without a command", _long),
)
