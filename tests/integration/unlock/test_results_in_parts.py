"""Results in parts, corrections, and doors that open after all: only `opened` is final."""

from typing import Any

import pytest

from tests.support.accumulators import IN_CELL_1
from tests.support.service import Message, Service


def unlock_with(service: Service, booking: Any, **results: str) -> Message:
    """Unlock a booking; the cabinet opens nothing, and reports these results: c1="opened".

    Return the result message.
    """
    service.lose_commands = True
    arrive = service.queue.arrive
    sent: list[Message] = []

    def reply(_device: str | None, command: Message) -> None:
        if command["kind"] == "unlock":
            sent.append(result_of(service, command, **results))
            service.send_from("C-1", sent[0])

    service.queue.arrive = reply
    service.unlock(booking)
    service.queue.arrive = arrive
    service.lose_commands = False
    return sent[0]


def result_of(service: Service, command: Message, **results: str) -> Message:
    """Return a new result message of a command with these results of cells."""
    hardware = service.cabinets["C-1"]
    report = hardware.state_report()
    cells = [{"cell_number": int(cell[1:]), "result": word} for cell, word in results.items()]
    head = {name: report[name] for name in ("v", "boot_id", "seq", "sent_at")}
    answered = {"command_id": command["command_id"], "status": "done", "cells": cells}
    return {**head, "type": "command_result", **answered}


def command_of(service: Service, booking: Any) -> Any:
    return service.get(f"/v1/commands/{service.booking(booking)['command_id']}")


def states(service: Service, booking: Any) -> dict[int, str]:
    return {c["cell_number"]: c["state"] for c in service.booking(booking)["cells"]}


def test_the_parts_of_a_result_are_applied_as_they_come(service: Service) -> None:
    service.add_cabinet(charges=[95, 90])
    booking = service.book(2)
    first = unlock_with(service, booking, c1="opened")
    assert service.booking(booking)["status"] == "partially_completed"
    assert service.place("C-1.A-2") == {"cabinet_id": "C-1", "cell_number": 2}
    second = result_of(service, first, c2="opened")
    service.send_from("C-1", second, second)
    assert service.booking(booking)["status"] == "completed"
    assert states(service, booking) == {1: "opened", 2: "opened"}
    for accumulator_id in ("C-1.A-1", "C-1.A-2"):
        assert service.place(accumulator_id) == {"contractor_id": "T-1"}
        assert service.movement_causes(accumulator_id).count("issued") == 1
    assert command_of(service, booking)["status"] == "succeeded"
    assert service.cell(2)["health"] == "ok"
    service.check_invariants()


@pytest.mark.parametrize("word", ["jammed", "not_detected", "occupied", "exploded"])
def test_a_correction_says_that_the_door_opened_after_all(service: Service, word: str) -> None:
    service.add_cabinet(charges=[95])
    booking = service.book()
    first = unlock_with(service, booking, c1=word)
    assert (service.booking(booking)["status"], service.cell(1)["health"]) == ("failed", "faulty")
    service.send_from("C-1", result_of(service, first, c1="opened"))
    command = command_of(service, booking)
    assert (command["status"], command["late"], command["inferred"]) == ("succeeded", True, False)
    assert service.booking(booking)["status"] == "completed"
    assert service.place("C-1.A-1") == {"contractor_id": "T-1"}
    assert service.cell(1)["health"] == "ok"
    service.check_invariants()


def test_opened_is_never_taken_back(service: Service) -> None:
    service.add_cabinet(charges=[95])
    booking = service.book()
    first = unlock_with(service, booking, c1="opened")
    service.send_from("C-1", result_of(service, first, c1="jammed"))
    assert command_of(service, booking)["cells"][0]["result"] == "opened"
    assert service.booking(booking)["status"] == "completed"
    assert service.place("C-1.A-1") == {"contractor_id": "T-1"}
    service.check_invariants()


def test_the_first_word_about_a_missing_cell_replaces_no_result(service: Service) -> None:
    service.add_cabinet(charges=[95, 90])
    booking = service.book(2)
    first = unlock_with(service, booking, c1="opened")
    service.send_from("C-1", result_of(service, first, c2="jammed"))
    results = {c["cell_number"]: c["result"] for c in command_of(service, booking)["cells"]}
    assert results == {1: "opened", 2: "jammed"}
    service.check_invariants()


def test_a_rejected_command_that_opened_after_all_is_recorded(service: Service) -> None:
    service.add_cabinet(charges=[95])
    booking = service.book()
    service.lose_commands = True
    service.queue.arrive = lambda _device, command: service.send_from(
        "C-1", {**result_of(service, command), "status": "rejected", "reason": "busy"}
    )
    assert service.unlock(booking).status == 502
    [command] = service.queue.commands("unlock")
    service.send_from("C-1", result_of(service, command, c1="opened"))
    assert service.booking(booking)["status"] == "completed"
    assert service.place("C-1.A-1") == {"contractor_id": "T-1"}
    service.check_invariants()


def test_another_cell_that_opened_after_a_rejection_is_recorded(service: Service) -> None:
    service.add_cabinet(charges=[95, 90])
    booking = service.book()
    service.lose_commands = True
    service.queue.arrive = lambda _device, command: service.send_from(
        "C-1", {**result_of(service, command), "status": "rejected", "reason": "busy"}
    )
    service.unlock(booking)
    [command] = service.queue.commands("unlock")
    service.send_from("C-1", result_of(service, command, c2="opened"))
    assert service.place("C-1.A-2") == {"contractor_id": "T-1"}
    found = service.get(f"/v1/commands/{command['command_id']}")
    assert (found["status"], found["cells"][0]["result"]) == ("rejected", "opened")
    service.check_invariants()


@pytest.mark.parametrize("word", ["jammed", "not_detected", "no_result"])
def test_a_door_pulled_open_after_a_failure_was_opened_by_the_unlock(
    service: Service, word: str
) -> None:
    hardware = service.add_cabinet(charges=[95])
    booking = service.book()
    unlock_with(service, booking, **({} if word == "no_result" else {"c1": word}))
    service.act("C-1", lambda cabinet: cabinet.pry_open(1))
    command = command_of(service, booking)
    assert (command["status"], command["late"], command["inferred"]) == ("succeeded", True, True)
    assert service.booking(booking)["status"] == "completed"
    service.take(1)
    assert service.place("C-1.A-1") == {"contractor_id": "T-1"}
    [last] = service.get("/v1/accumulators/C-1.A-1/movements?limit=1")["movements"]
    assert (last["cause"], last["discrepancy"]) == ("issued", True)
    assert service.anomalies() == ["opened_after_failure"]
    assert hardware.cells[1].accumulator is None
    service.check_invariants()


def test_an_accumulator_gone_after_a_failure_is_with_the_contractor(service: Service) -> None:
    hardware = service.add_cabinet(charges=[95])
    booking = service.book()
    unlock_with(service, booking, c1="jammed")
    hardware.cells[1].accumulator = None
    service.report()
    assert service.place("C-1.A-1") == {"contractor_id": "T-1"}
    assert service.booking(booking)["status"] == "completed"
    assert service.anomalies() == ["opened_after_failure"]
    service.check_invariants()


def test_after_the_reconcile_window_an_accumulator_that_is_gone_has_vanished(
    service: Service,
) -> None:
    hardware = service.add_cabinet(charges=[95])
    booking = service.book()
    unlock_with(service, booking, c1="jammed")
    service.advance_time(601)
    hardware.cells[1].accumulator = None
    service.report()
    assert service.place("C-1.A-1") is None
    assert "vanished" in service.anomalies()
    service.check_invariants()


def test_after_a_later_command_for_the_cell_the_failure_explains_nothing(service: Service) -> None:
    hardware = service.add_cabinet(charges=[95])
    booking = service.book()
    unlock_with(service, booking, c1="jammed")
    lock = {"kind": "lock", "cells": [1], "reason": "a test"}
    service.call("POST", "/v1/cabinets/C-1/commands", lock, key="operator")
    hardware.cells[1].accumulator = None
    service.report()
    assert service.place("C-1.A-1") is None
    assert service.booking(booking)["status"] == "failed"
    service.check_invariants()


def test_a_door_that_was_open_before_proves_nothing(service: Service) -> None:
    """A broken wire reports the door open, before and after the failed opening."""
    hardware = service.add_cabinet(charges=[95])
    hardware.cells[1].senses["door"] = "open"
    service.report()
    service.lose_commands = True
    service.queue.arrive = lambda _device, command: service.send_from(
        "C-1", result_of(service, command, c1="jammed")
    )
    body = {"kind": "unlock", "cells": [1], "reason": "on the phone", "contractor_id": "T-7"}
    assert service.post("/v1/cabinets/C-1/commands", body)["status"] == "failed"
    service.report()
    assert service.place("C-1.A-1") == IN_CELL_1
    assert service.anomalies() == ["opened_without_command"]
    service.check_invariants()


def test_a_report_that_names_the_unlock_answers_it_with_open_doors(service: Service) -> None:
    hardware = service.add_cabinet(charges=[95])
    booking = service.book()
    service.lose_commands = True

    def reply(_device: str | None, command: Message) -> None:
        hardware.pry_open(1)
        hardware.poll_sensors()
        service.send_from("C-1", hardware.state_report(command["command_id"]))

    service.queue.arrive = reply
    response = service.unlock(booking)
    assert (response.status, response.body["status"]) == (200, "completed")
    assert response.body["cells"][0]["result"] == "opened"
    assert service.place("C-1.A-1") == {"contractor_id": "T-1"}
    assert service.anomalies() == []
    service.check_invariants()


def test_a_report_that_names_the_unlock_and_shows_all_closed_proves_it_was_not_executed(
    service: Service,
) -> None:
    hardware = service.add_cabinet(charges=[95])
    booking = service.book()
    service.lose_commands = True
    service.queue.arrive = lambda _device, command: service.send_from(
        "C-1", hardware.state_report(command["command_id"])
    )
    assert service.unlock(booking).status == 504
    assert service.booking(booking)["status"] == "active"
    [command] = service.queue.commands("unlock")
    assert service.get(f"/v1/commands/{command['command_id']}")["status"] == "not_executed"
    assert service.place("C-1.A-1") == IN_CELL_1
    service.check_invariants()


def test_a_door_that_the_answering_report_showed_as_closed_may_open_after_all(
    service: Service,
) -> None:
    hardware = service.add_cabinet(charges=[95, 90])
    booking = service.book(2)
    service.lose_commands = True
    service.queue.arrive = lambda _device, command: service.send_from(
        "C-1", hardware.state_report(command["command_id"])
    )
    service.unlock(booking)
    service.act("C-1", lambda cabinet: cabinet.pry_open(1))
    service.take(1)
    command = command_of(service, booking)
    assert (command["status"], command["late"]) == ("partially_succeeded", True)
    assert states(service, booking) == {1: "opened", 2: "released"}
    assert service.place("C-1.A-1") == {"contractor_id": "T-1"}
    assert service.anomalies() == ["opened_after_failure"]
    assert service.cell(2)["health"] == "ok"
    service.act("C-1", lambda cabinet: cabinet.pry_open(2))
    assert command_of(service, booking)["status"] == "succeeded"
    assert service.booking(booking)["status"] == "completed"
    service.check_invariants()


def test_a_retired_accumulator_that_left_after_all_is_quarantined(service: Service) -> None:
    service.add_cabinet(charges=[95])
    booking = service.book()
    first = unlock_with(service, booking, c1="jammed")
    correction = {"place": {"nowhere": True}, "reason": "not there"}
    service.patch("/v1/accumulators/C-1.A-1", correction)
    service.delete("/v1/accumulators/C-1.A-1")
    service.send_from("C-1", result_of(service, first, c1="opened"))
    found = service.get("/v1/accumulators/C-1.A-1")
    assert (found["status"], found["contractor_id"]) == ("quarantined", "T-1")
    assert service.anomalies() == ["retired_found"]
    service.check_invariants()


def test_a_result_that_names_a_retired_accumulator_quarantines_it(service: Service) -> None:
    service.add_cabinet(charges=[95])
    service.post("/v1/accumulators", {"accumulator_id": "RETIRED"})
    service.delete("/v1/accumulators/RETIRED")
    booking = service.book()
    service.lose_commands = True

    def reply(_device: str | None, command: Message) -> None:
        result = result_of(service, command, c1="opened")
        result["cells"][0]["accumulator_id"] = "RETIRED"
        service.send_from("C-1", result)

    service.queue.arrive = reply
    assert service.unlock(booking).status == 200
    found = service.get("/v1/accumulators/RETIRED")
    assert (found["status"], found["contractor_id"]) == ("quarantined", "T-1")
    assert sorted(service.anomalies()) == ["other_accumulator", "retired_found"]
    service.check_invariants()
