"""Edge cases E09 to E12: foreign, deviating and broken replies. docs/edge-cases.md lists them."""

from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import pytest

from local.cabinet.hardware import Accumulator
from tests.integration.silence import command, in_silence, unanswered
from tests.service import Service, running


@pytest.fixture
def service(database_url: str, monkeypatch: pytest.MonkeyPatch) -> Iterator[Service]:
    with running(database_url, monkeypatch, UNLOCK_WAIT_SECONDS="0.05") as service:
        yield service


def cells_of(service: Service, booking: Any) -> list[tuple[str, str]]:
    """What a booking has held, and what became of it."""
    return [(c["accumulator_id"], c["state"]) for c in service.booking(booking)["cells"]]


# --- E09: strangers -------------------------------------------------------------------------------


@pytest.mark.parametrize("strange", ["00000000-0000-4000-8000-000000000000", "not a uuid"])
def test_e09_a_reply_to_an_unknown_command_is_kept_and_does_nothing(
    service: Service, strange: str
) -> None:
    hardware = service.add_cabinet(charges=[90])
    opened = {"cell_number": 1, "result": "opened", "accumulator_id": "C-1.A-1"}
    reply = {**hardware.hello(), "type": "command_result", "status": "done", "cells": [opened]}
    service.say("C-1", {**reply, "command_id": strange})
    assert service.anomalies() == ["unknown_command"]
    assert service.cell(1)["door"] == "closed"
    service.check_invariants()


def test_e09_a_reply_to_another_cabinets_command_is_kept_and_does_nothing(
    service: Service,
) -> None:
    service.add_cabinet("C-1", charges=[90])
    service.add_cabinet("C-2", charges=[90])
    booking = service.book()
    command_id = unanswered(service, booking)
    [(_, reply)] = service.waiting
    service.say("C-2", {**reply, "boot_id": service.cabinets["C-2"].boot_id, "seq": 99})
    assert service.anomalies() == ["foreign_command"]
    assert command(service, command_id)["status"] == "no_answer"
    service.check_invariants()


# --- E10, E11: other cells, some cells ------------------------------------------------------------


def test_e10_the_cell_that_really_opened_is_told_and_the_asked_one_becomes_faulty(
    service: Service,
) -> None:
    hardware = service.add_cabinet(charges=[95, 90])
    hardware.firmware = replace(hardware.firmware, substitutes={1: 2})
    answer = service.unlock(service.book())
    told = {cell["cell_number"]: cell["result"] for cell in answer.body["cells"]}
    assert told == {1: "no_result", 2: "opened"}
    assert service.place("C-1.A-2") == {"contractor_id": "T-1"}
    assert service.cell(1)["health_reason"] == "no_result"
    assert service.anomalies() == ["cell_not_asked"]
    service.check_invariants()


def test_e10_what_another_cell_gave_counts_for_the_booking_and_no_second_one_is_offered(
    service: Service,
) -> None:
    hardware = service.add_cabinet(charges=[95, 90, 85])
    hardware.firmware = replace(hardware.firmware, substitutes={1: 2})
    booking = service.book()
    assert service.unlock(booking).body["status"] == "completed"
    assert service.unlock(booking).status == 200
    assert len(service.queue.commands("unlock")) == 1
    assert service.place("C-1.A-3") == {"cabinet_id": "C-1", "cell_number": 3}
    service.check_invariants()


def test_e10_what_left_an_unasked_cell_is_no_longer_held_for_another(service: Service) -> None:
    hardware = service.add_cabinet(charges=[95, 90])
    mine, other = service.book(contractor_id="T-1"), service.book(contractor_id="T-2")
    hardware.firmware = replace(hardware.firmware, substitutes={1: 2})
    service.unlock(mine)
    assert service.booking(other)["status"] == "failed"
    assert service.booking(other)["cells"][0]["reason"] == "moved"
    service.check_invariants()


def test_e10_an_unlock_without_an_answer_does_not_issue_what_another_one_let_out(
    service: Service,
) -> None:
    hardware = service.add_cabinet(charges=[95, 90, 85])
    mine, other = service.book(contractor_id="T-1"), service.book(contractor_id="T-2")
    service.lose_commands = True
    assert service.unlock(other).status == 504
    service.lose_commands = False
    hardware.firmware = replace(hardware.firmware, substitutes={1: 2})
    service.unlock(mine)
    assert service.place("C-1.A-2") == {"contractor_id": "T-1"}
    assert cells_of(service, other) == [("C-1.A-2", "held")]  # until it is known what it did
    service.report()
    assert cells_of(service, other) == [("C-1.A-2", "failed"), ("C-1.A-3", "held")]
    assert service.unlock(other).body["status"] == "completed"
    service.check_invariants()


def test_e10_another_accumulator_than_the_held_one_is_issued_as_the_fact_it_is(
    service: Service,
) -> None:
    hardware = service.add_cabinet(charges=[95])
    booking = service.book()
    hardware.cells[1].accumulator = Accumulator("X-1", 88)
    service.unlock(booking)
    assert service.place("X-1") == {"contractor_id": "T-1"}
    assert service.place("C-1.A-1") is None
    assert service.anomalies() == ["other_accumulator"]
    service.check_invariants()


def test_e10_a_strange_accumulator_in_an_answer_does_not_displace_newer_evidence(
    service: Service,
) -> None:
    hardware = service.add_cabinet(charges=[95])
    unanswered(service, service.book())
    [(_, reply)] = service.waiting
    service.waiting.clear()
    taken = in_silence(service, lambda: service.take(1))
    hardware.pry_open(5)
    service.put(5, taken)
    hardware.pry_open(1)
    service.put(1, Accumulator("X-1", 50))
    service.report()
    reply["cells"][0]["accumulator_id"] = "X-2"
    service.say("C-1", reply)
    service.report()
    assert service.place("X-1") == {"cabinet_id": "C-1", "cell_number": 1}
    service.check_invariants()


def test_e11_of_three_cells_two_open_and_the_third_has_its_reason(service: Service) -> None:
    hardware = service.add_cabinet(charges=[95, 94, 93])
    hardware.cells[2].lock = "jammed"
    booking = service.book(3)
    answer = service.unlock(booking)
    assert answer.body["status"] == "partially_completed"
    told = {cell["cell_number"]: cell["result"] for cell in answer.body["cells"]}
    assert told == {1: "opened", 2: "jammed", 3: "opened"}
    assert service.place("C-1.A-2") == {"cabinet_id": "C-1", "cell_number": 2}
    assert command(service, answer.body["command_id"])["status"] == "partially_succeeded"
    service.check_invariants()


def test_e11_a_cell_that_the_answer_leaves_out_has_failed(service: Service) -> None:
    hardware = service.add_cabinet(charges=[95, 94])
    hardware.firmware = replace(hardware.firmware, claims={2: None})
    answer = service.unlock(service.book(2))
    told = {cell["cell_number"]: cell["result"] for cell in answer.body["cells"]}
    assert told == {1: "opened", 2: "no_result"}
    assert service.cell(2)["health_reason"] == "no_result"
    service.check_invariants()


@pytest.mark.parametrize("word", ["locked", "occupied", "exploded"])
def test_e11_whatever_word_is_not_opened_is_a_failure(service: Service, word: str) -> None:
    hardware = service.add_cabinet(charges=[95, 94])
    hardware.firmware = replace(hardware.firmware, claims={2: word})
    booking = service.book(2)
    assert service.unlock(booking).body["status"] == "partially_completed"
    assert service.booking(booking)["cells"][1]["state"] == "failed"
    assert service.cell(2)["health_reason"] == word
    service.check_invariants()


# --- E12: broken ----------------------------------------------------------------------------------

BROKEN = [
    b"",
    b"\x00\xff\xfe",
    b"[]",
    b"null",
    b'{"v":1,"type":"command_result"',
    b'{"v":1,"type":"greeting","boot_id":"b","seq":1}',
    b'{"v":2,"type":"hello","boot_id":"b","seq":1}',
    b'{"v":1,"type":"hello","boot_id":"b","seq":"1"}',
    b'{"v":1,"type":"hello","boot_id":"","seq":1}',
    b'{"v":1,"type":"state_report","boot_id":"b","seq":1,"cells":[{}]}',
    b"[" * 100_000,
]


def test_e12_broken_messages_are_kept_as_they_came_and_change_nothing(service: Service) -> None:
    service.add_cabinet(charges=[90])
    before = service.get("/v1/cabinets/C-1")["cells"]
    service.say("C-1", *BROKEN)
    rows = service.sql("SELECT reason, payload FROM anomalies ORDER BY anomaly_id")
    assert [bytes(row["payload"]) for row in rows] == BROKEN
    assert {row["reason"] for row in rows} == {"malformed"}
    assert service.get("/v1/cabinets/C-1")["cells"] == before
    service.check_invariants()


def test_e12_a_broken_message_that_is_delivered_again_is_kept_once(service: Service) -> None:
    service.add_cabinet()
    for _ in range(2):
        service.deliver(("C-1", b"broken"), event_id="the same")
    assert service.anomalies() == ["malformed"]
    service.check_invariants()
