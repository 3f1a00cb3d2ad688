"""Rules on commands that must not be carried out: repeated, expired, unknown, missed."""

from tools.conformance.rules import Rule, Verdict, broken, held, unchecked
from tools.conformance.rules.answers import door_commands, named
from tools.conformance.view import Command, Seen

_DUTIES = "duties"


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
    moved = [
        one
        for one in seen.of_type("cell_event")
        if again[0].entry.number < one.entry.number < told[0].entry.number
        and set(one.cells) & set(again[0].cells)
    ]
    doors = told[0].doors()
    opened = [number for number in again[0].cells if doors.get(number) == "open"]
    if opened or moved:
        line = f"the same command_id opened {named(opened or again[0].cells)} a second time"
        evidence = (again[0].entry, *(one.entry for one in moved), told[0].entry)
        return broken(line, evidence)
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
    commands = door_commands(seen)
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
    word = answers[0].results().get(cell, "nothing")
    refused = answers[0].document.get("status") == "rejected"
    if word == "unknown_cell" or refused:
        return held("the unlock of a cell that is not there fails", answers[0].entry)
    line = f"the unlock of cell {cell}, which the cabinet does not have, is answered with {word}"
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


RULES = (
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
