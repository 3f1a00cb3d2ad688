"""The rules as functions of a transcript, without a broker."""

import json
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from tests.unit.docs.test_links import anchors
from tools.conformance import report
from tools.conformance.rules import Verdict
from tools.conformance.rules.messages import faults
from tools.conformance.rules.table import RULES, as_markdown, judge
from tools.conformance.run import Result
from tools.conformance.transcript import (
    Closed,
    Connect,
    Delivery,
    Entry,
    Fact,
    LoginAnswer,
    Message,
    Sent,
    Step,
    Subscribe,
    Transcript,
)
from tools.conformance.view import Seen, Target

TARGET = Target("MINE", 2)
CELLS = [
    {"cell_number": 1, "door": "closed", "accumulator_id": "A-1", "battery_charge": 90},
    {"cell_number": 2, "door": "closed", "accumulator_id": None},
]
RULE = {rule.id: rule for rule in RULES}


class Story:
    """Writes a transcript."""

    def __init__(self) -> None:
        self.transcript = Transcript()
        self.seq = 0

    def add(self, *facts: Fact) -> "Story":
        for fact in facts:
            self.transcript.add(fact)
        return self

    def connect(self, number: int = 1, **changes: Any) -> "Story":
        fields: dict[str, Any] = {
            "connection": number,
            "level": 4,
            "client_id": "MINE",
            "username": "MINE",
            "clean": True,
            "session_expiry_s": 0,
            "keepalive_s": 30,
            "will": None,
        }
        filters = ((TARGET.commands, 0), (TARGET.broadcasts, 0))
        login = Connect(**fields | changes)
        return self.add(login, LoginAnswer(number, 0), Subscribe(number, filters))

    def say(self, kind: str, *, connection: int = 1, **fields: Any) -> "Story":
        self.seq += 1
        message = {"v": 1, "type": kind, "boot_id": "b-1", "seq": self.seq, **fields}
        return self.say_raw(json.dumps(message).encode(), connection=connection)

    def say_raw(self, payload: bytes, *, connection: int = 1, duplicate: bool = False) -> "Story":
        said = Message(connection, TARGET.events, payload, 1, retain=False, duplicate=duplicate)
        return self.add(said)

    def command(self, command_id: str, kind: str, **fields: Any) -> "Story":
        command = {"v": 1, "command_id": command_id, "kind": kind, **fields}
        return self.deliver("lock", command)

    def deliver(self, purpose: str, command: dict[str, Any]) -> "Story":
        sent = Sent(purpose, command, TARGET.commands)
        payload = json.dumps(command).encode()
        return self.add(sent, Delivery(1, TARGET.commands, payload, 0))

    def verdict(self, rule: str, *, later: float = 0) -> Verdict:
        """Judge the rule, this many seconds after the last entry."""
        seen = Seen(self.transcript.entries, TARGET, self.transcript.seconds + later)
        return RULE[rule].check(seen)


@contextmanager
def one_message(**fields: Any) -> Iterator[Story]:
    yield Story().connect().say("state_report", **{"cells": CELLS, **fields})


def test_nothing_is_checked_without_a_cabinet() -> None:
    verdicts = judge(Seen([], TARGET))
    assert {verdict.status for _, verdict in verdicts} == {"not_checked"}


def test_half_a_character_in_a_message_does_not_cost_the_report(tmp_path: Path) -> None:
    with one_message(cells=[{**CELLS[0], "door": "\ud800"}]) as story:
        entries = story.transcript.entries
    now = datetime.now(UTC)
    result = Result(TARGET, now, now, "", judge(Seen(entries, TARGET)), entries)
    page, _ = report.write(result, tmp_path)
    assert "\\ud800" in page.read_text(encoding="utf-8")


def test_a_wait_ends_although_a_cabinet_never_stops_sending() -> None:
    story = Story().connect()

    def look(entries: list[Entry]) -> bool | None:
        story.say_raw(b"{}")
        return True if len(entries) > 100_000 else None

    assert story.transcript.wait_for(look, 0.05) is None


def test_every_rule_leads_to_a_place_in_the_protocol() -> None:
    assert [rule.id for rule in RULES if rule.anchor not in anchors(report.PROTOCOL)] == []
    assert len(RULE) == len(RULES)


def test_the_page_lists_the_rules() -> None:
    page = report.PROTOCOL.with_name("conformance.md").read_text(encoding="utf-8")
    assert as_markdown() in page, f"put this into docs/conformance.md:\n{as_markdown()}"


def test_a_wrong_password_is_told_from_a_wrong_name() -> None:
    story = Story().connect().add(LoginAnswer(1, 5))
    assert "the password is wrong" in story.verdict("login").line
    story = Story().connect(username="OTHER").add(LoginAnswer(1, 5))
    assert "it logs in as 'OTHER', not as 'MINE'" in story.verdict("login").line


def test_two_clients_without_a_client_id_are_two_connections() -> None:
    story = Story().connect(1, client_id="").connect(2, client_id="")
    assert story.verdict("one-client").status == "broken"
    assert "both without a client id" in story.verdict("one-client").line


def test_an_event_behind_the_question_for_a_report_shows_that_a_door_opened_twice() -> None:
    story = Story().connect().command("c-1", "unlock", cells=[1])
    story.deliver("repeat-closed", {"v": 1, "command_id": "c-1", "kind": "unlock", "cells": [1]})
    story.deliver("repeat-check", {"v": 1, "command_id": "c-2", "kind": "report_state"})
    story.say("cell_event", cell=CELLS[0])
    story.say("state_report", command_id="c-2", cells=CELLS)
    assert "opened cell 1 a second time" in story.verdict("once").line


def test_an_unlock_of_an_unknown_cell_may_not_be_answered_without_that_cell() -> None:
    story = Story().connect()
    story.deliver("unknown-cell", {"v": 1, "command_id": "c-1", "kind": "unlock", "cells": [3]})
    story.say("command_result", command_id="c-1", status="done", cells=[])
    assert "is answered with nothing, not unknown_cell" in story.verdict("unknown-cell").line


def test_a_connection_after_the_end_of_the_last_is_the_same_client() -> None:
    end = Closed(1, "cabinet", with_goodbye=True)
    story = Story().connect(1).add(end).connect(2, client_id="another")
    assert story.verdict("one-client").status == "held"


def test_a_session_of_mqtt_5_that_outlives_its_connection_is_not_clean() -> None:
    story = Story().connect(level=5, clean=True, session_expiry_s=60)
    assert "session expiry 60 s" in story.verdict("clean-session").line


def test_a_message_that_mqtt_delivers_again_is_no_repeated_number() -> None:
    story = Story().connect().say("hello")
    payload = story.transcript.entries[-1].fact
    assert isinstance(payload, Message)
    assert story.say_raw(payload.payload, duplicate=True).verdict("seq").status == "held"
    assert "same seq 1" in story.say_raw(payload.payload).verdict("seq").line


def test_a_gap_in_the_numbers_is_found() -> None:
    story = Story().connect().say("hello")
    story.seq += 2
    story.say("state_report", cells=CELLS)
    assert "seq jumps from 1 to 4" in story.verdict("seq").line


def test_a_silent_command_is_not_judged_before_its_time() -> None:
    story = Story().connect().command("c-1", "lock", cells=[1])
    assert story.verdict("answer").status == "held"
    assert story.verdict("answer", later=TARGET.answer_s).status == "broken"


def test_a_state_report_answers_an_unlock() -> None:
    story = Story().connect().command("c-1", "unlock", cells=[1])
    story.say("state_report", command_id="c-1", cells=CELLS)
    assert story.verdict("answer", later=60).status == "held"


def test_a_refusal_names_no_cells() -> None:
    story = Story().connect().command("c-1", "lock", cells=[1])
    story.say("command_result", command_id="c-1", status="rejected", reason="busy")
    assert story.verdict("cells-named").status == "not_checked"
    assert story.verdict("words").status == "held"


def test_the_hours_of_a_wrong_clock_are_in_the_verdict() -> None:
    story = Story().connect().command("c-1", "unlock", cells=[1])
    story.say("command_result", command_id="c-1", status="expired", sent_at="1970-01-01T00:00:09")
    assert "1970-01-01" in story.verdict("fresh").line


@pytest.mark.parametrize(
    ("payload", "words"),
    [
        (b'{"v": 1}\0', "NUL"),
        (b'\xef\xbb\xbf{"v": 1}', "BOM"),
        (b'{"v": 1', "not JSON"),
        (b'{"v": NaN}', "NaN is not a JSON number"),
        (rb'{"v": "\ud83d"}', "half a character: '\\ud83d'"),
        (b'{"v": 1, "v": 1}', "there twice"),
        (b"[1]", "not an object"),
        (b"\xff{}", "not UTF-8"),
        (b"", "not JSON"),
        (b"[" * 100_000, "nested too deeply"),
    ],
)
def test_what_is_not_exactly_one_json_object_is_found(payload: bytes, words: str) -> None:
    verdict = Story().connect().say_raw(payload).verdict("json")
    assert verdict.status == "broken"
    assert words in verdict.line


@pytest.mark.parametrize("payload", [b'{"v": 1}', b' {"v": 1}\r\n', '{"v": "ё"}'.encode()])
def test_white_space_around_json_is_allowed(payload: bytes) -> None:
    assert Story().connect().say_raw(payload).verdict("json").status == "held"


@pytest.mark.parametrize(
    ("changes", "rule", "words"),
    [
        ({"accumulator_id": "a-1"}, "ids", 'cell 1: accumulator_id is "a-1"'),
        ({"accumulator_id": 17}, "ids", "accumulator_id is 17"),
        ({"accumulator_id": "000"}, "ids", 'accumulator_id is "000"'),
        ({"battery_charge": 101}, "charges", "battery_charge is 101"),
        ({"battery_charge": 90.5}, "charges", "battery_charge is 90.5"),
        ({"battery_charge": 90.0}, "whole-numbers", "battery_charge is 90.0"),
        ({"battery_charge": "90"}, "whole-numbers", 'battery_charge is "90"'),
        ({"state_of_health": -1}, "charges", "state_of_health is -1"),
        ({"door": "OPEN"}, "doors", 'door is "OPEN"'),
        ({"door": None}, "doors", "door is null"),
        ({"charging": "yes"}, "fields", 'charging is "yes"'),
        ({"fault": 7}, "fields", "fault is 7"),
        ({"temperature_c": 900}, "fields", "temperature_c is 900"),
    ],
)
def test_a_wrong_value_breaks_the_rule_of_its_field_only(
    changes: dict[str, Any], rule: str, words: str
) -> None:
    story = Story().connect().say("state_report", cells=[CELLS[0] | changes, CELLS[1]])
    entries = story.transcript.entries
    found = {one.id: v for one, v in judge(Seen(entries, TARGET)) if v.status == "broken"}
    assert set(found) - {"hello"} == {rule}
    assert words in found[rule].line
    assert found[rule].evidence[0].fact == entries[-1].fact


@pytest.mark.parametrize("name", ["v", "type", "boot_id", "seq"])
def test_a_field_of_the_envelope_that_is_missing_is_named(name: str) -> None:
    message = {"v": 1, "type": "state_report", "boot_id": "b", "seq": 1, "cells": CELLS}
    del message[name]
    verdict = Story().connect().say_raw(json.dumps(message).encode()).verdict("envelope")
    assert verdict.status == "broken"
    assert name in verdict.line


def test_messages_of_the_protocol_have_no_faults() -> None:
    with one_message(alarms=["smoke"], command_id="c-1", more={"a": [1]}) as story:
        fact = story.transcript.entries[-1].fact
    assert isinstance(fact, Message)
    assert faults(fact.payload) == ()


@pytest.mark.parametrize(
    ("cells", "words"),
    [
        (CELLS[:1], "no cell 2 of 2"),
        ([*CELLS, CELLS[0]], "cell 1 is in the report twice"),
        ([*CELLS, CELLS[0] | {"cell_number": 3}], "has cell 3; registered are 2"),
        ([CELLS[0] | {"cell_number": 0}, CELLS[0]], "counted from 0"),
    ],
)
def test_a_report_with_other_cells_is_found(cells: list[Any], words: str) -> None:
    with one_message(cells=cells) as story:
        assert words in story.verdict("all-cells").line


def at(times: dict[float, Fact]) -> Seen:
    """Return a transcript in which each fact has its second."""
    noon = datetime(2026, 11, 22, 12, tzinfo=UTC)
    entries = [
        Entry(number, noon + timedelta(seconds=seconds), seconds, fact)
        for number, (seconds, fact) in enumerate(times.items())
    ]
    return Seen(entries, TARGET)


def report_fact(**fields: Any) -> Message:
    message = {"v": 1, "type": "state_report", "boot_id": "b", "seq": 1, "cells": CELLS, **fields}
    payload = json.dumps(message).encode()
    return Message(1, TARGET.events, payload, 1, retain=False, duplicate=False)


@pytest.mark.parametrize(
    ("seconds", "status"), [(600.0, "held"), (614.0, "held"), (618.0, "broken")]
)
def test_the_report_of_every_ten_minutes_has_to_come_in_time(seconds: float, status: str) -> None:
    began, ended = Step("long", "began"), Step("long", "ended")
    seen = at({0.0: began, seconds: report_fact(), 620.0: ended})
    assert RULE["ten-minutes"].check(seen).status == status


def test_a_report_that_was_asked_for_is_not_that_of_every_ten_minutes() -> None:
    asked = report_fact(command_id="c-1")
    seen = at({0.0: Step("long", "began"), 300.0: asked, 620.0: Step("long", "ended")})
    assert RULE["ten-minutes"].check(seen).status == "broken"


@pytest.mark.parametrize(("seconds", "status"), [(1.5, "held"), (30.0, "broken")])
def test_a_report_to_all_cabinets_has_to_come_within_its_spread(
    seconds: float, status: str
) -> None:
    times: dict[float, Fact] = {}
    for number in range(3):
        command_id = f"c-{number}"
        command = {"v": 1, "command_id": command_id, "kind": "report_state", "spread_s": 3}
        payload = json.dumps(command).encode()
        times[100.0 * number] = Sent("spread", command, TARGET.broadcasts)
        times[100.0 * number + 0.1] = Delivery(1, TARGET.broadcasts, payload, 0)
        times[100.0 * number + 0.1 + seconds] = report_fact(command_id=command_id)
    assert RULE["spread"].check(at(times)).status == status
