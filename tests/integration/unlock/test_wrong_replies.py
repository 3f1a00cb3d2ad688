"""Edge cases E09 to E12: replies that are foreign, deviate from the command, or are malformed."""

from dataclasses import replace
from typing import Any

import pytest

from local.cabinet.hardware import Accumulator
from shared.repo import anomalies
from tests.integration.unlock.lost_messages import (
    get_command,
    unlock_without_reply,
    while_messages_are_lost,
)
from tests.support.service import Service


def cells_of(service: Service, booking: Any) -> list[tuple[str, str]]:
    """Return the accumulators that a booking has held, each with the state of its hold."""
    return [(c["accumulator_id"], c["state"]) for c in service.booking(booking)["cells"]]


# --- E09: foreign replies -------------------------------------------------------------------------


@pytest.mark.parametrize("command_id", ["00000000-0000-4000-8000-000000000000", "not a uuid"])
def test_e09_a_reply_to_an_unknown_command_is_an_anomaly_without_effect(
    service: Service, command_id: str
) -> None:
    hardware = service.add_cabinet(charges=[90])
    opened = {"cell_number": 1, "result": "opened", "accumulator_id": "C-1.A-1"}
    reply = {**hardware.hello(), "type": "command_result", "status": "done", "cells": [opened]}
    service.send_from("C-1", {**reply, "command_id": command_id})
    assert service.anomalies() == ["unknown_command"]
    assert service.cell(1)["door"] == "closed"
    service.check_invariants()


def test_e09_a_reply_to_another_cabinets_command_is_an_anomaly_without_effect(
    service: Service,
) -> None:
    service.add_cabinet("C-1", charges=[90])
    service.add_cabinet("C-2", charges=[90])
    booking = service.book()
    command_id = unlock_without_reply(service, booking)
    [(_, reply)] = service.held_messages
    service.send_from("C-2", {**reply, "boot_id": service.cabinets["C-2"].boot_id, "seq": 99})
    assert service.anomalies() == ["foreign_command"]
    assert get_command(service, command_id)["status"] == "no_answer"
    service.check_invariants()


# --- E10, E11: other cells, only some cells -------------------------------------------------------


def test_e10_a_substituted_cell_is_reported_and_the_requested_cell_becomes_faulty(
    service: Service,
) -> None:
    hardware = service.add_cabinet(charges=[95, 90])
    hardware.firmware = replace(hardware.firmware, substitutes={1: 2})
    response = service.unlock(service.book())
    results = {cell["cell_number"]: cell["result"] for cell in response.body["cells"]}
    assert results == {1: "no_result", 2: "opened"}
    assert service.place("C-1.A-2") == {"contractor_id": "T-1"}
    assert service.cell(1)["health_reason"] == "no_result"
    assert service.anomalies() == ["cell_not_asked"]
    service.check_invariants()


def test_e10_an_accumulator_from_a_substituted_cell_completes_the_booking(
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


def test_e10_an_accumulator_from_a_substituted_cell_is_no_longer_held_for_another_booking(
    service: Service,
) -> None:
    hardware = service.add_cabinet(charges=[95, 90])
    first, other = service.book(contractor_id="T-1"), service.book(contractor_id="T-2")
    hardware.firmware = replace(hardware.firmware, substitutes={1: 2})
    service.unlock(first)
    assert service.booking(other)["status"] == "failed"
    assert service.booking(other)["cells"][0]["reason"] == "moved"
    service.check_invariants()


def test_e10_an_unanswered_unlock_does_not_issue_an_accumulator_that_another_unlock_issued(
    service: Service,
) -> None:
    hardware = service.add_cabinet(charges=[95, 90, 85])
    first, other = service.book(contractor_id="T-1"), service.book(contractor_id="T-2")
    service.lose_commands = True
    assert service.unlock(other).status == 504
    service.lose_commands = False
    hardware.firmware = replace(hardware.firmware, substitutes={1: 2})
    service.unlock(first)
    assert service.place("C-1.A-2") == {"contractor_id": "T-1"}
    assert cells_of(service, other) == [("C-1.A-2", "held")]  # until its own outcome is known
    service.report()
    assert cells_of(service, other) == [("C-1.A-2", "failed"), ("C-1.A-3", "held")]
    assert service.unlock(other).body["status"] == "completed"
    service.check_invariants()


def test_e10_an_accumulator_other_than_the_held_one_is_issued_with_an_anomaly(
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


def test_e10_an_unexpected_accumulator_in_a_late_reply_does_not_override_newer_evidence(
    service: Service,
) -> None:
    hardware = service.add_cabinet(charges=[95])
    unlock_without_reply(service, service.book())
    [(_, reply)] = service.held_messages
    service.held_messages.clear()
    taken = while_messages_are_lost(service, lambda: service.take(1))
    hardware.pry_open(5)
    service.put(5, taken)
    hardware.pry_open(1)
    service.put(1, Accumulator("X-1", 50))
    service.report()
    reply["cells"][0]["accumulator_id"] = "X-2"
    service.send_from("C-1", reply)
    service.report()
    assert service.place("X-1") == {"cabinet_id": "C-1", "cell_number": 1}
    service.check_invariants()


def test_e11_an_unlock_of_three_cells_with_one_failure_is_partially_completed(
    service: Service,
) -> None:
    hardware = service.add_cabinet(charges=[95, 94, 93])
    hardware.cells[2].lock = "jammed"
    booking = service.book(3)
    response = service.unlock(booking)
    assert response.body["status"] == "partially_completed"
    results = {cell["cell_number"]: cell["result"] for cell in response.body["cells"]}
    assert results == {1: "opened", 2: "jammed", 3: "opened"}
    assert service.place("C-1.A-2") == {"cabinet_id": "C-1", "cell_number": 2}
    assert get_command(service, response.body["command_id"])["status"] == "partially_succeeded"
    service.check_invariants()


def test_e11_a_cell_missing_from_the_reply_has_failed(service: Service) -> None:
    hardware = service.add_cabinet(charges=[95, 94])
    hardware.firmware = replace(hardware.firmware, claims={2: None})
    response = service.unlock(service.book(2))
    results = {cell["cell_number"]: cell["result"] for cell in response.body["cells"]}
    assert results == {1: "opened", 2: "no_result"}
    assert service.cell(2)["health_reason"] == "no_result"
    service.check_invariants()


@pytest.mark.parametrize("result", ["locked", "occupied", "exploded"])
def test_e11_every_result_but_opened_is_a_failure(service: Service, result: str) -> None:
    hardware = service.add_cabinet(charges=[95, 94])
    hardware.firmware = replace(hardware.firmware, claims={2: result})
    booking = service.book(2)
    assert service.unlock(booking).body["status"] == "partially_completed"
    assert service.booking(booking)["cells"][1]["state"] == "failed"
    assert service.cell(2)["health_reason"] == result
    service.check_invariants()


# --- E12: malformed messages ----------------------------------------------------------------------

MALFORMED = [
    b"",
    b"\x00\xff\xfe",
    b"[]",
    b"null",
    b'{"v":1,"type":"command_result"',
    b'{"v":1,"type":"greeting","boot_id":"b","seq":1}',
    b'{"v":2,"type":"hello","boot_id":"b","seq":1}',
    b'{"v":1,"type":"hello","boot_id":"b","seq":"first"}',
    b'{"v":1,"type":"hello","boot_id":"","seq":1}',
    b'{"v":1,"type":"cell_event","boot_id":"b","seq":1,"cell":{}}',
    b"[" * 100_000,
]


def test_e12_malformed_messages_are_stored_byte_for_byte_and_change_nothing(
    service: Service,
) -> None:
    service.add_cabinet(charges=[90])
    before = service.get("/v1/cabinets/C-1")["cells"]
    service.send_from("C-1", *MALFORMED)
    rows = service.sql("SELECT reason, payload, count FROM anomalies")
    beginnings = [message[: anomalies.BYTES_KEPT] for message in MALFORMED]
    assert sorted(bytes(row["payload"]) for row in rows) == sorted(beginnings)
    assert {row["reason"] for row in rows} == {"malformed"}
    assert service.get("/v1/cabinets/C-1")["cells"] == before
    service.check_invariants()


def test_e12_a_redelivered_malformed_message_is_stored_once(service: Service) -> None:
    service.add_cabinet()
    for _ in range(2):
        service.deliver(("C-1", b"broken"), event_id="the same")
    assert service.anomalies() == ["malformed"]
    service.check_invariants()
