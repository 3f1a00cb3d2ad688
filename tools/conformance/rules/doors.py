"""Rules on what people do at the cabinet, and on reports in time."""

from collections.abc import Iterator

from tools.conformance.rules import Rule, Verdict, broken, first_broken, held, unchecked
from tools.conformance.transcript import Answered, Entry
from tools.conformance.view import Seen, Told

_TEN_MINUTES_S = 600
_LATE_S = 15


def _door_event(seen: Seen) -> Verdict:
    return _told_by_itself(seen, ("close",), "closed the door of")


def _content_event(seen: Seen) -> Verdict:
    return _told_by_itself(seen, ("take", "insert"), "changed what is in")


def _told_by_itself(seen: Seen, actions: tuple[str, ...], what: str) -> Verdict:
    done = [(asked, end, one) for asked, end, one in seen.hands(*actions) if one.outcome == "done"]
    if not done:
        return unchecked("nobody " + what + " a cell")

    def silent() -> Iterator[Verdict]:
        for asked, end, one in done:
            if _messages(seen, asked, end, one):
                continue
            line = f"no cell_event within {seen.target.event_s:g} s after somebody {what} cell"
            yield broken(f"{line} {one.cell}", [end])

    first = _messages(seen, *done[0])
    return first_broken(silent(), held("changes of cells are reported", *(m.entry for m in first)))


def _messages(seen: Seen, asked: Entry, end: Entry, one: Answered) -> list[Told]:
    """Return the messages that report the change without a command."""
    limit = end.seconds + seen.target.event_s
    return [
        told
        for told in seen.of_type("cell_event", "state_report")
        if asked.seconds <= told.entry.seconds <= limit
        and not told.command_id
        and one.cell in told.cells
        and _shows(told, one)
    ]


def _shows(told: Told, one: Answered) -> bool:
    cell = told.cells[one.cell or 0]
    if one.action == "close":
        return told.doors()[one.cell or 0] != "open"
    is_empty = cell.get("accumulator_id") is None
    return is_empty if one.action == "take" else not is_empty


def _ten_minutes(seen: Seen) -> Verdict:
    began = seen.steps("long", "began")
    if not began or not seen.steps("long"):
        return unchecked("takes more than 10 minutes: run with --long")
    reports = [
        one
        for one in seen.of_type("state_report")
        if one.entry.number > began[0].number and not one.command_id
    ]
    limit = _TEN_MINUTES_S + _LATE_S
    if not reports or reports[0].entry.seconds - began[0].seconds > limit:
        return broken(f"no state_report by itself within {limit} s", [began[0]])
    return held("a state_report by itself within 10 minutes", reports[0].entry)


RULES = (
    Rule(
        "door-event",
        "A door that is closed by hand is reported",
        "Until then the cell is open: nobody can book it.",
        "Send a cell_event when the door's sensor changes.",
        "cell_event",
        _door_event,
    ),
    Rule(
        "content-event",
        "An accumulator that is put in or taken out is reported",
        "It shows who has the accumulator.",
        "Send a cell_event when the cell's content changes, with door and accumulator_id.",
        "cell_event",
        _content_event,
    ),
    Rule(
        "ten-minutes",
        "A complete state report comes at least every 10 minutes",
        "It repairs what was lost on the way.",
        "Send a state_report by a timer, also if nothing has changed.",
        "state_report",
        _ten_minutes,
    ),
)
