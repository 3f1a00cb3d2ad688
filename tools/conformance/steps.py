"""The steps of a walk: what the kit does to the cabinet, and what it waits for."""

from tools.conformance.rules.answers import SPREAD_TOLERANCE_S
from tools.conformance.transcript import Entry, Sent
from tools.conformance.view import Seen, text
from tools.conformance.walk import NoCabinet, SkipStep, StepOf, Walk

_LONG_SECONDS = 620
_HOUR_SECONDS = 3600
_BROADCASTS = 3
_MOST_CELLS = 3
_OFFLINE_TTL_S = 1


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
    if not walk.ask("report", spread_s=0):
        return
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
    """Send an unlock that is an hour old, between two reports."""
    walk.look()
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


def chosen(names: list[str]) -> list[StepOf]:
    """Return the steps with these names, in their order; always with the first."""
    return [step for step in STEPS if step.name in {STEPS[0].name, *names}]
