"""Rules on commands: each is answered, executed once, in order, and only while it is valid."""

from collections.abc import Iterator
from itertools import pairwise

from tools.conformance.rules import Rule, Verdict, broken, first_broken, held, unchecked
from tools.conformance.view import Command, Seen, Told

ORDINARY = ("service", "lock", "several", "doors", "repeat")
"""The purposes of commands that a cabinet has to carry out."""
_EXPECTS_DOORS = ("unlock", "lock")
_DUTIES = "duties"
SPREAD_TOLERANCE_S = 2.0
_AT_ONCE = 0.1
"""Replies before this part of spread_s are taken for immediate."""
_ENOUGH_BROADCASTS = 3


def _door_commands(seen: Seen, *purposes: str) -> list[Command]:
    found = seen.commands_for(*(purposes or ORDINARY))
    return [one for one in found if one.kind in _EXPECTS_DOORS]


def _answered(seen: Seen) -> Verdict:
    commands = _door_commands(seen)
    if not commands:
        return unchecked("the cabinet has received no unlock or lock")
    limit = seen.target.answer_s

    def silent() -> Iterator[Verdict]:
        for one in commands:
            answers = seen.answers(one.id, after=one.entry.number)
            late = not answers or answers[0].entry.seconds - one.entry.seconds > limit
            if late and seen.has_waited(one.entry, limit * 0.95):
                yield broken(
                    f"no answer with this command_id to an {one.kind} of {_cells(one.cells)}"
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
    commands = _door_commands(seen)
    answered = [(one, told) for one in commands for told in seen.answers(one.id) if told.results()]
    if not answered:
        return unchecked("no command_result to compare")
    for one, told in answered:
        others = sorted(set(told.results()) - set(one.cells))
        if others:
            line = f"asked for {_cells(one.cells)}, the result names {_cells(others)}"
            return broken(line, (one.entry, told.entry))
    return held("results name only the cells of their commands", answered[0][1].entry)


def _cells_named(seen: Seen) -> Verdict:
    answered = list(_done_results(seen))
    if not answered:
        return unchecked("no command_result with status done")
    for one, results in answered:
        named = {number for told in results for number in told.results()}
        missing = sorted(set(one.cells) - named)
        if missing and not named - set(one.cells):
            line = f"asked for {_cells(one.cells)}, no result names {_cells(missing)}"
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
            line = f"the first result names {_cells(sorted(first))} of {_cells(one.cells)}"
            return broken(f"{line}; the others come later", (told.entry for told in results))
    return held("the first result names all cells", answered[0][1][0].entry)


def _done_results(seen: Seen) -> Iterator[tuple[Command, list[Told]]]:
    """Yield each unlock and lock with its first results, if it was carried out."""
    again = {one.id: one for one in seen.commands_for("repeat-again", "repeat-closed")}
    for one in _door_commands(seen):
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
        line = f"the result says opened, the report after it shows {_cells(closed)} closed"
        return broken(line, (results[0].entry, told[0].entry))
    return held("cells with the result opened are reported as open", told[0].entry)


def _stored_answer(seen: Seen) -> Verdict:
    first, again = seen.commands_for("repeat"), seen.commands_for("repeat-again")
    if not first or not again:
        return unchecked("no command was sent twice")
    before, after = first[0], again[0]
    originals = seen.answers(before.id, after=before.entry.number, before=after.entry.seconds)
    repeated = seen.answers(after.id, after=after.entry.number)
    if not originals:
        return unchecked("the first of two equal commands was not answered")
    if not repeated:
        line = "no answer to a command_id that arrived again"
        return broken(line, (before.entry, originals[0].entry, after.entry))
    if (originals[0].document.get("status"), originals[0].results()) != (
        repeated[0].document.get("status"),
        repeated[0].results(),
    ):
        line = "the second answer to the same command_id differs from the first"
        return broken(line, (originals[0].entry, repeated[0].entry))
    return held("a command_id that arrives again gets the stored answer", repeated[0].entry)


def _once(seen: Seen) -> Verdict:
    again, checks = seen.commands_for("repeat-closed"), seen.commands_for("repeat-check")
    if not again or not checks:
        return unchecked("no command was sent again after its door was closed")
    told = seen.answers(checks[0].id)
    if not told:
        return unchecked("the report after the second command did not come")
    doors = told[0].doors()
    opened = [number for number in again[0].cells if doors.get(number) == "open"]
    if opened:
        line = f"the same command_id opened {_cells(opened)} a second time"
        return broken(line, (again[0].entry, told[0].entry))
    return held("the same command_id opens a door once", again[0].entry, told[0].entry)


def _expired(seen: Seen) -> Verdict:
    commands = seen.commands_for("expired")
    if not commands:
        return unchecked("no expired command was received")
    one = commands[0]
    answers = seen.answers(one.id, after=one.entry.number)
    opened = _cells_opened_by(seen, one)
    done = [
        told
        for told in answers
        if told.document.get("status") == "done" or "opened" in told.results().values()
    ]
    if done or opened:
        line = "an unlock that was issued an hour ago, with ttl_s 15, was executed"
        return broken(line, (one.entry, *(told.entry for told in done)))
    if not answers:
        return _silence(seen, one, "an expired command, which gets the status expired")
    status = answers[0].document.get("status")
    if status != "expired":
        line = f"the answer to an expired command has the status {status}, not expired"
        return broken(line, (one.entry, answers[0].entry))
    return held("a command older than its ttl_s is refused: expired", answers[0].entry)


def _cells_opened_by(seen: Seen, expired: Command) -> list[int]:
    """Return the cells that were closed before an expired command, and open after it."""
    before = seen.doors(before=expired.entry.number)
    told = [one for check in seen.commands_for("expired-check") for one in seen.answers(check.id)]
    after = told[0].doors() if told else {}
    return [n for n in expired.cells if (before.get(n), after.get(n)) == ("closed", "open")]


def _silence(seen: Seen, command: Command, what: str) -> Verdict:
    """Return the verdict on a command without an answer."""
    if not seen.has_waited(command.entry, seen.target.answer_s * 0.95):
        return unchecked(f"the answer to {what} has not come yet")
    return broken(f"no answer to {what}", [command.entry])


def _fresh(seen: Seen) -> Verdict:
    commands = _door_commands(seen)
    if not commands:
        return unchecked("the cabinet has received no unlock or lock")
    for one in commands:
        for told in seen.answers(one.id):
            if told.document.get("status") == "expired":
                clock = told.document.get("sent_at")
                line = f"a fresh command was refused as expired; the cabinet's clock says {clock}"
                return broken(line, (one.entry, told.entry))
    return held("no fresh command was refused as expired")


def _unknown_kind(seen: Seen) -> Verdict:
    commands = seen.commands_for("unknown-kind")
    if not commands:
        return unchecked("no command of an unknown kind was received")
    one = commands[0]
    answers = seen.answers(one.id)
    if not answers:
        return _silence(seen, one, f"the unknown kind {one.kind!r}")
    status, reason = (answers[0].document.get(name) for name in ("status", "reason"))
    if (status, reason) != ("rejected", "unknown_command"):
        line = f"the answer to the unknown kind {one.kind!r} is {status}"
        line += f" ({reason})" if reason else ""
        return broken(f"{line}, not rejected (unknown_command)", (one.entry, answers[0].entry))
    return held("an unknown kind is rejected: unknown_command", answers[0].entry)


def _unknown_field(seen: Seen) -> Verdict:
    commands = seen.commands_for("unknown-field")
    if not commands:
        return unchecked("no command with an unknown field was received")
    one = commands[0]
    answers = seen.answers(one.id)
    reports = [told for told in answers if told.type == "state_report"]
    if reports:
        return held("unknown fields of a command are ignored", one.entry, reports[0].entry)
    if not seen.has_waited(one.entry, seen.target.answer_s * 0.95) and not answers:
        return unchecked("the answer to a command with an unknown field has not come yet")
    line = "a report_state with one field more was not answered by a report"
    return broken(line, [one.entry, *(told.entry for told in answers)])


def _unknown_cell(seen: Seen) -> Verdict:
    commands = seen.commands_for("unknown-cell")
    if not commands:
        return unchecked("no unlock of an unknown cell was received")
    one = commands[0]
    [cell] = one.cells
    answers = seen.answers(one.id)
    if not answers:
        return _silence(seen, one, f"the unlock of cell {cell}, which the cabinet does not have")
    word = answers[0].results().get(cell)
    refused = answers[0].document.get("status") == "rejected"
    if word == "unknown_cell" or refused:
        return held("the unlock of a cell that is not there fails", answers[0].entry)
    line = f"the unlock of cell {cell}, which the cabinet does not have, has the result {word}"
    return broken(f"{line}, not unknown_cell", (one.entry, answers[0].entry))


def _nothing_late(seen: Seen) -> Verdict:
    sent = seen.sent("offline")
    if not sent:
        return unchecked("no command was sent while the cabinet had no connection")
    entry, fact = sent[0]
    answers = [
        told
        for told in seen.answers(fact.command["command_id"])
        if told.document.get("status") not in ("expired", "rejected")
    ]
    received = [c.entry for c in seen.commands_for("offline")]
    evidence = (entry, *received, *(told.entry for told in answers))
    if answers:
        line = "an unlock from the time without a connection was executed after the reconnect"
        return broken(line, evidence)
    if not seen.steps("cut"):
        return unchecked("the step with the cut connection has not ended")
    return held("a command from the time without a connection is not executed", *evidence)


def _still_listens(seen: Seen) -> Verdict:
    sent = seen.sent("cut-check")
    if not sent:
        return unchecked("no command was sent after the reconnect")
    entry, fact = sent[0]
    answers = seen.answers(fact.command["command_id"])
    if answers:
        return held("commands are answered again after the reconnect", answers[0].entry)
    if not seen.commands_for("cut-check"):
        return unchecked("the cabinet received no command after the reconnect")
    if not seen.has_waited(entry, seen.target.answer_s * 0.95):
        return unchecked("the answer after the reconnect has not come yet")
    return broken("a report_state after the reconnect was not answered", [entry])


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


def _cells(numbers: list[int]) -> str:
    if not numbers:
        return "no cell"
    return ("cell " if len(numbers) == 1 else "cells ") + ", ".join(map(str, numbers))


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
    Rule(
        "stored-answer",
        "A command_id that arrives again gets the stored answer",
        "Brokers may deliver a message twice.",
        "Keep the results of the last commands by command_id, and send the stored one again.",
        _DUTIES,
        _stored_answer,
    ),
    Rule(
        "once",
        "A command_id is executed once",
        "A second execution opens the door for whoever stands there.",
        "Look the command_id up before anything moves.",
        _DUTIES,
        _once,
    ),
    Rule(
        "expired",
        "A command older than its ttl_s is refused",
        "An old unlock opens a door when nobody stands in front of it.",
        "Compare issued_at + ttl_s with the clock; answer with status expired.",
        _DUTIES,
        _expired,
    ),
    Rule(
        "fresh",
        "A fresh command is not refused as expired",
        "A wrong clock makes the cabinet refuse everything.",
        "Set the clock by NTP in UTC; read issued_at as UTC (Z). Until the clock is right, do not"
        " judge the age of commands.",
        _DUTIES,
        _fresh,
    ),
    Rule(
        "unknown-kind",
        "A command of an unknown kind is rejected",
        "Later versions add kinds; the service has to know whether the cabinet can do them.",
        'Answer with status "rejected" and reason "unknown_command".',
        "service--cabinet",
        _unknown_kind,
    ),
    Rule(
        "unknown-field",
        "Unknown fields of a command are ignored",
        "Later versions add fields.",
        "Read the fields that you know, and skip all others.",
        "service--cabinet",
        _unknown_field,
    ),
    Rule(
        "unknown-cell",
        "An unlock of a cell that the cabinet does not have fails",
        "Anything else is taken for what happened at that cell.",
        'Answer with the result "unknown_cell" for this cell.',
        "command_result",
        _unknown_cell,
    ),
    Rule(
        "nothing-late",
        "A command from the time without a connection is not executed",
        "Whoever asked for it has left.",
        "Use a clean session and QoS 0, and refuse what is older than its ttl_s.",
        "connection-and-topics",
        _nothing_late,
    ),
    Rule(
        "still-listens",
        "Commands are answered again after a reconnect",
        "A cabinet that is connected but does not answer looks healthy and is not.",
        "Subscribe in the callback of every connect; start the command queue again.",
        "connection-and-topics",
        _still_listens,
    ),
)
