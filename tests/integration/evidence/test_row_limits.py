"""One cabinet cannot fill the tables: boots and unknown accumulators have limits."""

from typing import Any

import pytest

from local.cabinet.hardware import Accumulator
from tests.integration.evidence.test_numbering import ask
from tests.support.service import Message, Service

KEPT = 5


def boots(service: Service) -> list[str]:
    rows = service.sql("SELECT boot_id FROM boots ORDER BY boot_no")
    return [row["boot_id"] for row in rows]


def report(service: Service, charge: int, *, command_id: str | None = None) -> Message:
    """Return a report of the current boot in which the accumulator has this charge."""
    hardware = service.cabinets["C-1"]
    hardware.cells[1].accumulator = Accumulator("C-1.A-1", charge)
    return hardware.state_report(command_id)


@pytest.fixture
def aged(service: Service, monkeypatch: pytest.MonkeyPatch) -> Service:
    """A cabinet that has had as many boots as are kept; its charge is 50."""
    monkeypatch.setattr("shared.evidence.unit_of_work.MAX_BOOTS", KEPT)
    hardware = service.add_cabinet(charges=[90])
    for _ in range(KEPT - 1):
        hardware.reboot()
        service.send_from("C-1", report(service, 50))
    assert len(boots(service)) == KEPT
    return service


def test_a_boot_id_in_each_message_does_not_fill_the_table(
    service: Service, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("shared.evidence.unit_of_work.MAX_BOOTS", KEPT)
    hardware = service.add_cabinet(charges=[90])
    for _ in range(10 * KEPT):
        hardware.reboot()
        service.report()
    in_one_batch = []
    for _ in range(10 * KEPT):
        hardware.reboot()
        in_one_batch.append(hardware.state_report())
    service.send_from("C-1", *in_one_batch)
    assert len(boots(service)) <= KEPT
    service.check_invariants()


def test_after_many_boots_a_new_one_is_believed_once_it_answers(aged: Service) -> None:
    aged.cabinets["C-1"].reboot()
    aged.send_from("C-1", report(aged, 60))
    assert aged.cell(1)["battery_charge"] == 50
    assert aged.anomalies() == ["older_generation"]
    aged.send_from("C-1", report(aged, 61, command_id=ask(aged)))
    assert aged.cell(1)["battery_charge"] == 61
    aged.send_from("C-1", report(aged, 62))
    assert aged.cell(1)["battery_charge"] == 62
    assert len(boots(aged)) == KEPT


def test_after_many_boots_the_poll_is_enough(aged: Service) -> None:
    aged.cabinets["C-1"].reboot()
    aged.cabinets["C-1"].cells[1].accumulator = Accumulator("C-1.A-1", 61)
    aged.poll()
    assert aged.cell(1)["battery_charge"] == 61


def test_a_delayed_message_of_a_folded_boot_changes_nothing(aged: Service) -> None:
    hardware = aged.cabinets["C-1"]
    first = boots(aged)[0]
    delayed = {**report(aged, 99), "boot_id": first, "seq": 10_000}
    for charge in (61, 62):  # the first boots are folded
        hardware.reboot()
        aged.send_from("C-1", report(aged, charge, command_id=ask(aged)))
    assert first not in boots(aged)
    aged.send_from("C-1", delayed)
    assert aged.cell(1)["battery_charge"] == 62
    old = ask(aged)
    hardware.reboot()
    aged.send_from("C-1", report(aged, 63, command_id=ask(aged)))
    aged.send_from("C-1", {**delayed, "command_id": old})  # answers what was asked before
    assert aged.cell(1)["battery_charge"] == 63
    aged.check_invariants()


def test_a_new_board_after_many_boots_is_believed_at_once(aged: Service) -> None:
    aged.patch("/v1/cabinets/C-1", {"device_id": "NEW-1"})
    aged.cabinets["C-1"].reboot()
    aged.deliver(("NEW-1", report(aged, 70)))
    assert aged.cell(1)["battery_charge"] == 70


def test_an_unlock_is_settled_by_a_boot_that_is_not_known_any_more(aged: Service) -> None:
    aged.send_from("C-1", report(aged, 95))
    aged.cabinets["C-1"].reboot()
    assert aged.unlock(aged.book()).body["cells"][0]["result"] == "opened"
    aged.take(1)
    assert aged.place("C-1.A-1") == {"contractor_id": "T-1"}


def found(service: Service) -> int:
    count: int = service.sql("SELECT count(*) AS n FROM accumulators")[0]["n"]
    return count


def send_unknown(service: Service, first: int, count: int = 6) -> None:
    hardware = service.cabinets["C-1"]
    for cell, n in zip(hardware.cells.values(), range(first, first + count), strict=False):
        cell.accumulator = Accumulator(f"X-{n}", 90)
    service.report()


@pytest.fixture
def limited(service: Service, monkeypatch: pytest.MonkeyPatch) -> Any:
    """The service with a limit of 10 unknown accumulators a day."""
    monkeypatch.setenv("UNKNOWN_ACCUMULATORS_PER_DAY", "10")
    from shared import config  # noqa: PLC0415 - its cache

    config.settings.cache_clear()
    yield service
    config.settings.cache_clear()


def test_new_ids_in_each_report_do_not_fill_the_table(limited: Service) -> None:
    limited.add_cabinet()
    for number in range(20):
        send_unknown(limited, 6 * number)
    assert found(limited) == 10
    [row] = limited.sql("SELECT detail, count FROM anomalies WHERE reason = 'too_many_unknown'")
    assert row == {"detail": "more than 10 in 24 hours", "count": 110}
    limited.check_invariants()


def test_what_was_left_out_is_registered_the_next_day(limited: Service) -> None:
    limited.add_cabinet()
    for number in range(3):
        send_unknown(limited, 6 * number)
    assert limited.call("GET", "/v1/accumulators/X-17").status == 404
    limited.sql("UPDATE accumulators SET created_at = created_at - interval '1 day'")
    limited.report()
    assert limited.place("X-17") == {"cabinet_id": "C-1", "cell_number": 6}


def test_a_large_cabinet_registers_one_for_each_cell(limited: Service) -> None:
    limited.add_cabinet(cells=40)
    send_unknown(limited, 0, 40)
    assert found(limited) == 40


def test_results_of_unlocks_do_not_get_around_the_limit(limited: Service) -> None:
    hardware = limited.add_cabinet(charges=[95])
    for number in range(2):
        for cell in range(2, 7):
            hardware.cells[cell].accumulator = Accumulator(f"X-{number}-{cell}", 90)
        limited.report()
    before = found(limited)
    booking = limited.book()
    limited.lose_commands = True
    limited.unlock(booking)
    command = limited.queue.commands("unlock")[-1]["command_id"]
    cells = [{"cell_number": 1, "result": "opened", "accumulator_id": "Y-1"}]
    message = hardware._message("command_result", command_id=command, status="done", cells=cells)
    limited.send_from("C-1", message)
    assert found(limited) == before
    assert limited.place("C-1.A-1") == {"contractor_id": "T-1"}
