"""Rules on answers: which commands are answered, by what, when, and with which cells."""

from collections.abc import Iterator
from itertools import pairwise

from tools.conformance.rules import Rule, Verdict, broken, first_broken, held, unchecked
from tools.conformance.view import Command, Seen, Told

SPREAD_TOLERANCE_S = 2.0
"""How late a report to all cabinets may be, for the network and a busy computer."""
_ORDINARY = ("service", "lock", "several", "doors", "repeat")
"""The purposes of commands that a cabinet has to carry out."""
_DUTIES = "duties"
_AT_ONCE = 0.05
"""Replies before this part of spread_s are taken for immediate."""
_ENOUGH_BROADCASTS = 3


def door_commands(seen: Seen) -> list[Command]:
    """Return the received unlocks and locks that have to be carried out."""
    return [one for one in seen.commands_for(*_ORDINARY) if one.kind in ("unlock", "lock")]


def named(cells: list[int]) -> str:
    """Return cells for people to read."""
    if not cells:
        return "no cell"
    return ("cell " if len(cells) == 1 else "cells ") + ", ".join(map(str, cells))


def _answered(seen: Seen) -> Verdict:
    commands = door_commands(seen)
    if not commands:
        return unchecked("the cabinet has received no unlock or lock")
    limit = seen.target.answer_s

    def silent() -> Iterator[Verdict]:
        for one in commands:
            answers = seen.answers(one.id, after=one.entry.number)
            late = not answers or answers[0].entry.seconds - one.entry.seconds > limit
            if late and seen.has_waited(one.entry, limit * 0.95):
                yield broken(
                    f"no answer with this command_id to the {one.kind} of {named(one.cells)}"
                    f" within {limit:g} s",
                    [one.entry],
                )

    return first_broken(silent(), held(f"each of {len(commands)} commands was answered"))


def _report_id(seen: Seen) -> Verdict:
    asked = [one for one in seen.commands_for("report", "service") if one.kind == "report_state"]
    if not asked:
        return unchecked("the cabinet has received no report_state")
    for one in asked:
        answers = [a for a in seen.answers(one.id) if a.type == "state_report"]
        limit = seen.target.answer_s
        if not answers and seen.has_waited(one.entry, limit * 0.95):
            other = [
                told
                for told in seen.of_type("state_report")
                if 0 < told.entry.seconds - one.entry.seconds <= limit
            ]
            what = "a state_report without this command_id" if other else "nothing"
            line = f"{what} came within {limit:g} s after a report_state"
            return broken(line, [one.entry, *(told.entry for told in other[:1])])
    first = next(iter(seen.answers(asked[0].id)), None)
    return held(
        "each report_state has a state_report with its id", *([first.entry] if first else [])
    )


def _spread(seen: Seen) -> Verdict:
    asked = seen.commands_for("spread")
    if not asked:
        return unchecked("no report was requested from all cabinets")
    delays = []
    for one in asked:
        spread = float(one.document.get("spread_s", 0))
        reports = seen.answers(one.id)
        if not reports:
            if seen.has_waited(one.entry, spread + SPREAD_TOLERANCE_S * 0.95):
                return broken(
                    f"no state_report with its command_id within spread_s = {spread:g} s after a"
                    " report_state to all cabinets",
                    [one.entry],
                )
            continue
        delay = reports[0].entry.seconds - one.entry.seconds
        delays.append((delay, spread, one, reports[0]))
        if delay > spread + SPREAD_TOLERANCE_S:
            line = f"the report came after {delay:.1f} s; spread_s was {spread:g}"
            return broken(line, [one.entry, reports[0].entry])
    return _random_delay(delays)


def _random_delay(delays: list[tuple[float, float, Command, Told]]) -> Verdict:
    if len(delays) < _ENOUGH_BROADCASTS:
        return unchecked("too few reports were requested from all cabinets")
    listed = ", ".join(f"{delay:.1f}" for delay, *_ in delays)
    evidence = [entry for _, _, one, told in delays for entry in (one.entry, told.entry)]
    if all(delay < _AT_ONCE * spread for delay, spread, *_ in delays):
        line = f"all {len(delays)} reports to all cabinets came at once ({listed} s)"
        return broken(f"{line}, not after a random delay of 0 to spread_s", evidence)
    return held(f"random delays: {listed} s", *evidence)


def _cells_asked(seen: Seen) -> Verdict:
    commands = door_commands(seen)
    answered = [(one, told) for one in commands for told in seen.answers(one.id) if told.results()]
    if not answered:
        return unchecked("no command_result to compare")
    for one, told in answered:
        others = sorted(set(told.results()) - set(one.cells))
        if others:
            line = f"asked for {named(one.cells)}, the result names {named(others)}"
            return broken(line, (one.entry, told.entry))
    return held("results name only the cells of their commands", answered[0][1].entry)


def _cells_named(seen: Seen) -> Verdict:
    answered = list(_done_results(seen))
    if not answered:
        return unchecked("no command_result with status done")
    for one, results in answered:
        reported = {number for told in results for number in told.results()}
        missing = sorted(set(one.cells) - reported)
        if missing and not reported - set(one.cells):
            line = f"asked for {named(one.cells)}, no result names {named(missing)}"
            return broken(line, (one.entry, *(told.entry for told in results)))
    return held("results name every cell of their commands", answered[0][1][0].entry)


def _one_part(seen: Seen) -> Verdict:
    answered = [(one, told) for one, told in _done_results(seen) if len(one.cells) > 1]
    if not answered:
        return unchecked("no result of a command for several cells")
    for one, results in answered:
        first = set(results[0].results())
        later = {number for told in results[1:] for number in told.results()} & set(one.cells)
        if later - first:
            line = f"the first result names {named(sorted(first))} of {named(one.cells)}"
            return broken(f"{line}; the others come later", (told.entry for told in results))
    return held("the first result names all cells", answered[0][1][0].entry)


def _done_results(seen: Seen) -> Iterator[tuple[Command, list[Told]]]:
    """Yield each unlock and lock with its first results, if it was carried out."""
    again = {one.id: one for one in seen.commands_for("repeat-again", "repeat-closed")}
    for one in door_commands(seen):
        before = again[one.id].entry.seconds if one.id in again else 1e12
        results = [
            told for told in seen.answers(one.id, before=before) if told.type == "command_result"
        ]
        if results and results[0].document.get("status") not in ("rejected", "expired"):
            yield one, results


def _order(seen: Seen) -> Verdict:
    unlocks, reports = seen.commands_for("several"), seen.commands_for("order")
    if not unlocks or not reports:
        return unchecked("no report was requested right after an unlock")
    answers = seen.answers(unlocks[0].id, after=unlocks[0].entry.number)
    told = seen.answers(reports[0].id)
    if not answers or not told:
        return unchecked("the unlock or the report after it was not answered")
    if told[0].entry.number < answers[0].entry.number:
        line = "the report that was requested after an unlock came before the unlock's result"
        return broken(line, (reports[0].entry, told[0].entry, answers[0].entry))
    return held("commands are handled in their order", answers[0].entry, told[0].entry)


def _opened_is_open(seen: Seen) -> Verdict:
    unlocks, reports = seen.commands_for("several"), seen.commands_for("order")
    if not unlocks or not reports:
        return unchecked("no report was requested right after an unlock")
    results = [one for one in seen.answers(unlocks[0].id) if one.type == "command_result"]
    told = seen.answers(reports[0].id)
    opened = [n for one in results[:1] for n, word in one.results().items() if word == "opened"]
    if not told or not opened or told[0].entry.number < results[0].entry.number:
        return unchecked("no report after an unlock that opened a cell")
    closed = [number for number in opened if told[0].doors().get(number) == "closed"]
    if closed:
        line = f"the result says opened, the report after it shows {named(closed)} closed"
        return broken(line, (results[0].entry, told[0].entry))
    return held("cells with the result opened are reported as open", told[0].entry)


def _booking(seen: Seen) -> Verdict:
    calls = seen.calls("/unlock")
    if not calls:
        return unchecked("no booking was made")
    entry, call = calls[-1]
    body = call.body if isinstance(call.body, dict) else {}
    if call.status == 200:  # noqa: PLR2004 - HTTP
        status = body.get("status")
        return held(f"the service opened the booking's cell: the booking is {status}", entry)
    code = body.get("code", "")
    return broken(f"the unlock of a booking failed: HTTP {call.status} {code}", [entry])


def _settled_twice(seen: Seen) -> Verdict:
    """Every answer names a command that the cabinet has received."""
    known = {one.id for one in seen.commands}
    known |= {fact.command["command_id"] for _, fact in seen.sent("cut", "offline")}
    results = seen.of_type("command_result")
    if not results:
        return unchecked("the cabinet has sent no command_result")
    unknown = [one for one in results if one.command_id not in known]
    if unknown:
        line = f"a result names the command {unknown[0].command_id!r}, which was never sent to it"
        return broken(line, (one.entry for one in unknown))
    return held("each result names a command that was received", results[0].entry)


def _more_results(seen: Seen) -> Verdict:
    """A command that arrived once has one result, unless a later one says more."""
    arrived = [one.id for one in seen.commands]
    for one, results in _done_results(seen):
        if arrived.count(one.id) > 1:
            continue
        for earlier, later in pairwise(results):
            if earlier.results() == later.results():
                line = "the same result was sent twice for a command that arrived once"
                return broken(line, (one.entry, earlier.entry, later.entry))
    if not any(True for _ in _done_results(seen)):
        return unchecked("no command_result with status done")
    return held("one result for each command")


RULES = (
    Rule(
        "booking",
        "The unlock of a booking opens its cell",
        "This is what the cabinet is for.",
        "Mend the other broken rules first; then look at the messages of this step.",
        "command_result",
        _booking,
    ),
    Rule(
        "answer",
        "Each unlock and each lock is answered",
        "Without an answer the service waits, tells the technician nothing, and asks for a report.",
        "Send a command_result with the command_id of the command as soon as the doors have moved.",
        "command_result",
        _answered,
    ),
    Rule(
        "report-id",
        "The report that answers a report_state has its command_id",
        "Only such a report proves that an unlock without a result was not executed.",
        "Copy command_id from the command into the state_report.",
        _DUTIES,
        _report_id,
    ),
    Rule(
        "spread",
        "The report to a report_state comes after a random delay of at most spread_s",
        "Otherwise thousands of cabinets answer the same poll at the same moment.",
        "Wait for a random time between 0 and spread_s, then send the state of that time with the"
        " command_id; this also holds for commands to all cabinets.",
        "service--cabinet",
        _spread,
    ),
    Rule(
        "cells-asked",
        "A result names only cells of its command",
        "An accumulator in a cell that was not asked for is charged to the booking's contractor.",
        "Open the cells that the command names, and no others.",
        "command_result",
        _cells_asked,
    ),
    Rule(
        "cells-named",
        "A result names every cell of its command",
        "A missing cell counts as failed, and is taken out of use.",
        "Add an entry for each cell of the command, also for those that failed.",
        "command_result",
        _cells_named,
    ),
    Rule(
        "one-part",
        "The first result names all cells of its command",
        "The first part settles the command: the technician is told that the other cells failed.",
        "Wait until all doors have moved or failed, then send one result. Corrections may follow.",
        "command_result",
        _one_part,
    ),
    Rule(
        "one-result",
        "A result is sent once for a command that arrived once",
        "Repeated messages hide those that the network repeats.",
        "Send the result once at QoS 1; the MQTT client repeats it if it is not acknowledged.",
        "command_result",
        _more_results,
    ),
    Rule(
        "known-commands",
        "A result names a command that the cabinet has received",
        "A result with another id is not applied.",
        "Copy command_id from the command without any change.",
        "bad-input",
        _settled_twice,
    ),
    Rule(
        "order",
        "Commands are handled in the order in which they arrive",
        "The service takes the report as proof that an earlier unlock without a result was not"
        " executed, and opens another cell.",
        "Put commands into one queue; answer report_state with the state after all earlier ones.",
        _DUTIES,
        _order,
    ),
    Rule(
        "opened-is-open",
        "A cell with the result opened is open",
        "opened is final: the accumulator is recorded as taken.",
        "Send opened when a sensor sees the door open; not_detected if it does not.",
        "command_result",
        _opened_is_open,
    ),
)
