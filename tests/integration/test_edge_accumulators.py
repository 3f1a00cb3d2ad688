"""Edge cases E31 to E50: accumulators and cells. docs/edge-cases.md lists them."""

from typing import Any

import psycopg2
import pytest

from local.cabinet.hardware import Accumulator
from tests.service import Message, Service

IN_CELL_1 = {"cabinet_id": "C-1", "cell_number": 1}


def stock(service: Service) -> tuple[int, int]:
    """How many accumulators C-1 can issue, and how many free cells it has."""
    cabinet = service.get("/v1/cabinets/C-1")
    return cabinet["accumulators"]["available"], cabinet["free_cells"]


def state_report(service: Service, *cells: Message, cabinet_id: str = "C-1") -> None:
    """The cabinet reports these cells in place of what it knows of them."""
    report = service.cabinets[cabinet_id].state_report()
    changed = {cell["cell_number"]: cell for cell in cells}
    told = [changed.get(cell["cell_number"], cell) for cell in report["cells"]]
    service.say(cabinet_id, {**report, "cells": told})


def cell(number: int, accumulator_id: str | None, **more: Any) -> Message:
    return {"cell_number": number, "door": "closed", "accumulator_id": accumulator_id, **more}


def carry(service: Service, *accumulator_ids: str, contractor_id: str = "T-1") -> None:
    """Put accumulators that the service knows into a contractor's bag."""
    for accumulator_id in accumulator_ids:
        body = {"accumulator_id": accumulator_id, "contractor_id": contractor_id}
        service.post("/v1/accumulators", body)


def opened_return(service: Service, count: int = 1) -> Any:
    """A return booking of T-1 at C-1 whose cells are open."""
    booking = service.book(count, "return")
    assert service.unlock(booking).body["status"] == "returning"
    return booking


def ledger(service: Service) -> int:
    rows: int = service.sql("SELECT count(*) AS n FROM movements")[0]["n"]
    return rows


# --- E31, E32: taken without a booking, vanished --------------------------------------------------


def test_e31_taken_from_a_cell_that_support_opened_it_is_nowhere_known(service: Service) -> None:
    service.add_cabinet(charges=[90])
    body = {"kind": "unlock", "cells": [1], "reason": "support"}
    service.post("/v1/cabinets/C-1/commands", body)
    service.take(1)
    assert service.place("C-1.A-1") is None
    assert service.anomalies() == ["taken_without_booking"]
    assert service.cell(1)["health"] == "ok"
    service.check_invariants()


def test_e31_the_same_when_supports_opening_was_never_answered(service: Service) -> None:
    service.add_cabinet(charges=[90])
    service.hold_messages = True
    body = {"kind": "unlock", "cells": [1], "reason": "support"}
    assert service.call("POST", "/v1/cabinets/C-1/commands", body, key="operator").status == 504
    service.take(1)
    service.hold_messages = False
    service.waiting.clear()
    service.poll()
    assert service.place("C-1.A-1") is None
    assert service.anomalies() == ["taken_without_booking"]
    service.check_invariants()


def test_e31_what_else_leaves_a_booked_open_cell_is_with_its_contractor(
    service: Service,
) -> None:
    service.add_cabinet(charges=[90])
    service.unlock(service.book())
    service.act("C-1", lambda hardware: hardware.remove(1))
    service.act("C-1", lambda hardware: hardware.insert(1, Accumulator("X-1", 30)))
    assert service.place("X-1") == IN_CELL_1
    service.take(1)
    assert service.place("X-1") == {"contractor_id": "T-1"}
    assert service.anomalies() == ["unknown_accumulator", "taken_without_booking"]
    service.check_invariants()


def test_e32_gone_from_a_cell_that_never_opened_it_is_nowhere_known_and_the_cell_faulty(
    service: Service,
) -> None:
    hardware = service.add_cabinet(charges=[90])
    hardware.cells[1].accumulator = None
    service.report()
    assert service.place("C-1.A-1") is None
    assert (service.cell(1)["health"], service.cell(1)["health_reason"]) == ("faulty", "vanished")
    assert service.anomalies() == ["vanished"]
    service.check_invariants()


def test_e32_when_it_shows_again_it_is_there_and_a_person_frees_the_cell(
    service: Service,
) -> None:
    hardware = service.add_cabinet(charges=[90])
    hardware.cells[1].senses["accumulator_id"] = None
    service.report()
    hardware.cells[1].senses.clear()
    service.report()
    assert service.place("C-1.A-1") == IN_CELL_1
    assert stock(service)[0] == 0
    service.patch("/v1/cabinets/C-1/cells/1", {"health": "ok", "reason": "sensor mended"})
    assert stock(service)[0] == 1
    service.check_invariants()


# --- E33, E34: unreadable -------------------------------------------------------------------------


def test_e33_something_unreadable_is_neither_issued_nor_taken_for_empty(
    service: Service,
) -> None:
    hardware = service.add_cabinet(cells=1)
    hardware.cells[1].accumulator = Accumulator("X", 99, readable=False)
    service.report()
    assert service.cell(1)["content"] == "unidentified"
    assert stock(service) == (0, 0)
    service.check_invariants()


def test_e33_an_id_that_cannot_be_one_is_not_believed(service: Service) -> None:
    service.add_cabinet(cells=2)
    state_report(service, cell(1, "no such id!"), cell(2, "X"))
    assert service.place("X") == {"cabinet_id": "C-1", "cell_number": 2}
    assert service.anomalies() == ["cell_not_believed", "unknown_accumulator"]
    service.check_invariants()


def test_e34_while_it_cannot_be_read_it_stays_where_it_was_and_is_not_issued(
    service: Service,
) -> None:
    hardware = service.add_cabinet(charges=[90])
    hardware.cells[1].senses["accumulator_id"] = "?"
    service.report()
    assert service.place("C-1.A-1") == IN_CELL_1
    assert stock(service)[0] == 0
    service.check_invariants()


# --- E35: the same id twice -----------------------------------------------------------------------


def test_e35_one_id_in_two_cells_of_a_report_is_quarantined(service: Service) -> None:
    service.add_cabinet(charges=[90])
    state_report(service, cell(3, "C-1.A-1", battery_charge=90))
    assert service.get("/v1/accumulators/C-1.A-1")["status"] == "quarantined"
    assert service.anomalies() == ["duplicate_accumulator"]
    assert stock(service)[0] == 0
    service.check_invariants()


def test_e35_one_id_in_two_cabinets_is_quarantined_where_it_was_seen_last(
    service: Service,
) -> None:
    service.add_cabinet("C-1", charges=[90])
    service.add_cabinet("C-2")
    state_report(service, cell(1, "C-1.A-1"), cabinet_id="C-2")
    assert service.place("C-1.A-1") == {"cabinet_id": "C-2", "cell_number": 1}
    assert service.get("/v1/accumulators/C-1.A-1")["status"] == "quarantined"
    service.check_invariants()


@pytest.mark.parametrize("other", ["C-1", "C-2"])
def test_e35_two_that_keep_claiming_one_id_do_not_fill_the_ledger(
    service: Service, other: str
) -> None:
    service.add_cabinet("C-1", charges=[90])
    service.add_cabinet("C-2")
    service.cabinets[other].cells[3].accumulator = Accumulator("C-1.A-1", 50)
    for cabinet_id in ("C-1", "C-2"):
        service.report(cabinet_id)
    before = ledger(service), len(service.anomalies())
    for cabinet_id in ("C-1", "C-2", "C-2", "C-1"):
        service.report(cabinet_id)
    assert (ledger(service), len(service.anomalies())) == before
    service.check_invariants()


def test_e35_two_that_have_changed_places_unseen_are_where_they_are_seen(
    service: Service,
) -> None:
    hardware = service.add_cabinet(charges=[90, 80])
    one, two = hardware.cells[1], hardware.cells[2]
    one.accumulator, two.accumulator = two.accumulator, one.accumulator
    service.report()
    assert service.place("C-1.A-1") == {"cabinet_id": "C-1", "cell_number": 2}
    assert service.place("C-1.A-2") == IN_CELL_1
    service.check_invariants()


def test_e35_three_that_have_moved_on_by_one_cell_are_where_they_are_seen(
    service: Service,
) -> None:
    hardware = service.add_cabinet(charges=[90, 91, 92])
    inside = [hardware.cells[n].accumulator for n in (1, 2, 3)]
    for number, accumulator in zip((2, 3, 1), inside, strict=True):
        hardware.cells[number].accumulator = accumulator
    service.report()
    for number, accumulator in zip((2, 3, 1), inside, strict=True):
        assert accumulator is not None
        place = service.place(accumulator.accumulator_id)
        assert place == {"cabinet_id": "C-1", "cell_number": number}
    service.check_invariants()


# --- E36 to E40: returns --------------------------------------------------------------------------


def test_e36_a_return_comes_in_and_the_chain_of_custody_says_from_whom(service: Service) -> None:
    service.add_cabinet()
    carry(service, "A")
    booking = opened_return(service)
    service.put(1, Accumulator("A", 12))
    found = service.booking(booking)
    assert (found["status"], found["cells"][0]["accumulator_id"]) == ("completed", "A")
    [last, *_] = service.get("/v1/accumulators/A/movements")["movements"]
    assert (last["cause"], last["from"]["contractor_id"]) == ("returned", "T-1")
    assert (last["booking_id"], last["discrepancy"]) == (booking["booking_id"], False)
    service.check_invariants()


def test_e36_an_unknown_accumulator_registers_itself_quarantined_with_a_discrepancy(
    service: Service,
) -> None:
    service.add_cabinet()
    booking = opened_return(service)
    service.put(1, Accumulator("X-1", 95))
    assert service.get("/v1/accumulators/X-1")["status"] == "quarantined"
    assert stock(service)[0] == 0
    assert service.booking(booking)["status"] == "completed"
    assert service.get("/v1/accumulators/X-1/movements")["movements"][0]["discrepancy"]
    service.check_invariants()


def test_e37_anothers_accumulator_is_accepted_as_a_fact_with_a_discrepancy(
    service: Service,
) -> None:
    service.add_cabinet()
    carry(service, "A", contractor_id="T-2")
    booking = opened_return(service)
    service.put(1, Accumulator("A", 12))
    assert service.place("A") == IN_CELL_1
    [last, *_] = service.get("/v1/accumulators/A/movements")["movements"]
    assert (last["from"]["contractor_id"], last["discrepancy"]) == ("T-2", True)
    assert last["booking_id"] == booking["booking_id"]
    service.check_invariants()


def test_e38_a_return_into_another_cell_counts_and_releases_the_booked_one(
    service: Service,
) -> None:
    hardware = service.add_cabinet()
    carry(service, "A")
    booking = opened_return(service)
    hardware.pry_open(5)
    service.put(5, Accumulator("A", 12))
    service.act("C-1", lambda hardware: hardware.close_door(1))
    found = service.booking(booking)
    assert (found["status"], found["cells"][0]["reason"]) == ("completed", "in cell 5")
    assert service.cell(1)["booking_id"] is None
    service.check_invariants()


def test_e39_a_return_into_another_cabinet_moves_by_evidence_and_the_booking_expires(
    service: Service,
) -> None:
    service.add_cabinet("C-1")
    service.add_cabinet("C-2")
    carry(service, "A")
    booking = opened_return(service)
    service.cabinets["C-2"].pry_open(3)
    service.put(3, Accumulator("A", 12), "C-2")
    assert service.place("A") == {"cabinet_id": "C-2", "cell_number": 3}
    service.later(1800)
    assert service.booking(booking)["status"] == "expired"
    service.check_invariants()


def test_e40_what_did_not_fit_is_still_the_contractors(service: Service) -> None:
    service.add_cabinet(cells=1)
    carry(service, "A", "B")
    opened_return(service)
    service.put(1, Accumulator("A", 12))
    held = service.get("/v1/accumulators?contractor_id=T-1")["accumulators"]
    assert [one["accumulator_id"] for one in held] == ["B"]
    service.check_invariants()


def test_e40_fewer_than_booked_by_the_expiry_is_partially_completed(service: Service) -> None:
    service.add_cabinet()
    carry(service, "A")
    booking = opened_return(service, 2)
    service.put(1, Accumulator("A", 12))
    assert service.booking(booking)["status"] == "returning"
    service.later(1800)
    assert service.booking(booking)["status"] == "partially_completed"
    service.poll()
    assert service.booking(booking)["status"] == "partially_completed"
    service.check_invariants()


@pytest.mark.parametrize("evidence", ["before the reply", "instead of a reply"])
def test_e40_a_return_that_is_seen_inserted_completes_its_booking(
    service: Service, evidence: str
) -> None:
    hardware = service.add_cabinet()
    carry(service, "A")
    booking = service.book(kind="return")
    replies: list[Message] = []

    def insert_at_once(_device: str | None, command: Message) -> None:
        replies.extend(reply.make() for reply in hardware.handle(command))
        service.put(1, Accumulator("A", 12))

    arrive, service.queue.arrive = service.queue.arrive, insert_at_once
    assert service.unlock(booking).status == 504
    service.queue.arrive = arrive
    if evidence == "before the reply":
        service.say("C-1", *replies)
    else:
        service.poll()
    assert service.booking(booking)["status"] == "completed"
    assert service.causes("A") == ["registered", "returned"]
    service.check_invariants()


# --- E41 to E43: short ----------------------------------------------------------------------------


def test_e41_the_last_free_cell_can_be_booked(service: Service) -> None:
    service.add_cabinet(charges=[90], cells=2)
    assert service.book(kind="return")["cells"][0]["cell_number"] == 2
    assert stock(service) == (1, 0)
    service.check_invariants()


@pytest.mark.parametrize(
    ("kind", "code"), [("issue", "not_enough_accumulators"), ("return", "not_enough_free_cells")]
)
def test_e42_a_cabinet_that_is_short_says_how_many_there_are(
    service: Service, kind: str, code: str
) -> None:
    service.add_cabinet(charges=[90, 20], cells=3)
    wanted = {"cabinet_id": "C-1", "contractor_id": "T-1", "kind": kind, "count": 2}
    answer = service.call("POST", "/v1/bookings", wanted)
    assert (answer.status, answer.body["code"]) == (409, code)
    assert (answer.body["requested"], answer.body["available"]) == (2, 1)
    service.check_invariants()


def test_e43_one_whose_charge_has_dropped_is_replaced_at_the_unlock(service: Service) -> None:
    hardware = service.add_cabinet(charges=[95, 90])
    booking = service.book()
    hardware.cells[1].accumulator = Accumulator("C-1.A-1", 60)
    service.report()
    answer = service.unlock(booking)
    assert [one["accumulator_id"] for one in answer.body["cells"]] == ["C-1.A-2"]
    assert service.booking(booking)["cells"][0]["reason"] == "charge_too_low"
    service.check_invariants()


# --- E44, E45: readings ---------------------------------------------------------------------------


@pytest.mark.parametrize("charge", [255, 101, -1, "97", 97.5, True, []])
def test_e44_an_impossible_charge_rejects_its_cell_and_nothing_else(
    service: Service, charge: object
) -> None:
    service.add_cabinet(charges=[90, 80])
    state_report(
        service,
        cell(1, "C-1.A-1", battery_charge=charge),
        cell(2, "C-1.A-2", battery_charge=81),
    )
    assert service.cell(1)["battery_charge"] == 90
    assert service.cell(2)["battery_charge"] == 81
    assert service.anomalies() == ["cell_not_believed"]
    service.check_invariants()


def test_e44_an_unknown_charge_is_unknown_and_not_issued(service: Service) -> None:
    hardware = service.add_cabinet(charges=[90])
    hardware.cells[1].accumulator = Accumulator("C-1.A-1", None)
    service.report()
    assert service.cell(1)["battery_charge"] is None
    assert stock(service)[0] == 0
    service.check_invariants()


def test_e45_a_cell_that_is_too_hot_is_not_used_until_it_has_cooled(service: Service) -> None:
    hardware = service.add_cabinet(charges=[90])
    hardware.cells[1].temperature_c = 61
    service.report()
    assert (service.cell(1)["health_reason"], stock(service)[0]) == ("over_temperature", 0)
    hardware.cells[1].temperature_c = 40
    service.report()
    assert (service.cell(1)["health"], stock(service)[0]) == ("ok", 1)
    service.check_invariants()


# --- E46: not collected ---------------------------------------------------------------------------


def test_e46_left_in_its_closed_cell_it_goes_back_and_can_be_booked_again(
    service: Service,
) -> None:
    hardware = service.add_cabinet(charges=[90])
    service.unlock(service.book())
    hardware.close_door(1)
    service.report()
    assert service.causes("C-1.A-1")[-2:] == ["issued", "not_collected"]
    assert service.place("C-1.A-1") == IN_CELL_1
    assert service.unlock(service.book()).body["status"] == "completed"
    service.check_invariants()


def test_e46_taken_and_put_back_before_closing_it_was_not_collected_either(
    service: Service,
) -> None:
    hardware = service.add_cabinet(charges=[90])
    service.unlock(service.book())
    taken = hardware.remove(1)
    service.say("C-1", *hardware.noticed())
    service.put(1, taken)
    assert service.causes("C-1.A-1")[-1] == "not_collected"
    service.check_invariants()


# --- E47, E48: what cannot be ---------------------------------------------------------------------


def test_e47_a_person_cannot_put_a_second_accumulator_into_a_cell(service: Service) -> None:
    service.add_cabinet(charges=[90])
    carry(service, "B")
    body = {"place": IN_CELL_1, "reason": "found"}
    answer = service.call("PATCH", "/v1/accumulators/B", body, key="operator")
    assert (answer.status, answer.body["code"]) == (409, "place_taken")
    assert answer.body["accumulator_id"] == "C-1.A-1"
    service.check_invariants()


@pytest.mark.parametrize(
    "change",
    [
        "contractor_id = 'T-1'",
        "scooter_id = 'S-1'",
        "cell_number = NULL",
        "cell_number = 99",
        "status = 'lost'",
        "status = 'retired'",
        "battery_charge = 101",
    ],
)
def test_e47_e48_the_database_itself_refuses_what_cannot_be(service: Service, change: str) -> None:
    service.add_cabinet(charges=[90])
    with pytest.raises(psycopg2.IntegrityError):
        service.sql(f"UPDATE accumulators SET {change} WHERE accumulator_id = 'C-1.A-1'")  # noqa: S608
    service.check_invariants()


def test_e48_what_is_somewhere_cannot_be_retired(service: Service) -> None:
    service.add_cabinet(charges=[90])
    answer = service.call("DELETE", "/v1/accumulators/C-1.A-1", key="operator")
    assert (answer.status, answer.body["code"]) == (409, "accumulator_in_use")
    service.check_invariants()


def test_e48_a_retired_one_that_shows_up_in_a_cell_is_there_and_quarantined(
    service: Service,
) -> None:
    service.add_cabinet()
    service.post("/v1/accumulators", {"accumulator_id": "A"})
    service.delete("/v1/accumulators/A")
    state_report(service, cell(1, "A", battery_charge=99))
    found = service.get("/v1/accumulators/A")
    assert (found["place"], found["status"]) == (IN_CELL_1, "quarantined")
    assert service.anomalies() == ["retired_found"]
    service.check_invariants()


# --- E49, E50: numbering, power -------------------------------------------------------------------


@pytest.mark.parametrize(("number", "reason"), [(0, "malformed"), (7, "cell_out_of_range")])
def test_e49_a_cell_that_the_cabinet_does_not_have_rejects_the_message(
    service: Service, number: int, reason: str
) -> None:
    service.add_cabinet(charges=[90])
    report = service.cabinets["C-1"].state_report()
    report["cells"][0]["battery_charge"] = 50
    service.say("C-1", {**report, "cells": [*report["cells"], cell(number, None)]})
    assert service.anomalies() == [reason]
    assert service.cell(1)["battery_charge"] == 90
    service.check_invariants()


def test_e49_a_report_that_names_a_cell_twice_is_rejected(service: Service) -> None:
    service.add_cabinet(charges=[90])
    report = service.cabinets["C-1"].state_report()
    service.say("C-1", {**report, "cells": [*report["cells"], cell(1, None)]})
    assert service.anomalies() == ["malformed"]
    assert service.place("C-1.A-1") == IN_CELL_1
    service.check_invariants()


def test_e50_a_cabinet_without_power_keeps_what_it_had_but_gives_nothing(
    service: Service,
) -> None:
    service.add_cabinet(charges=[90])
    known_at = service.get("/v1/accumulators/C-1.A-1")["charge_at"]
    service.later(86400)
    found = service.get("/v1/accumulators/C-1.A-1")
    assert (found["place"], found["battery_charge"]) == (IN_CELL_1, 90)
    assert found["charge_at"] == known_at
    wanted = {"cabinet_id": "C-1", "contractor_id": "T-1", "kind": "issue", "count": 1}
    assert service.call("POST", "/v1/bookings", wanted).body["code"] == "cabinet_offline"
    service.check_invariants()


# --- order: what is older never overwrites what is newer ------------------------------------------


def test_an_older_report_changes_nothing_after_a_newer_one(service: Service) -> None:
    hardware = service.add_cabinet(charges=[90])
    old = hardware.state_report()
    hardware.cells[1].accumulator = Accumulator("C-1.A-1", 95)
    service.report()
    service.say("C-1", old)
    assert service.cell(1)["battery_charge"] == 95
    service.check_invariants()


def test_an_older_report_does_not_undo_a_newer_event_of_one_cell(service: Service) -> None:
    hardware = service.add_cabinet(charges=[90, 80])
    hardware.cells[2].accumulator = Accumulator("C-1.A-2", 81)
    old = hardware.state_report()
    hardware.cells[1].accumulator = Accumulator("C-1.A-1", 95)
    service.say("C-1", hardware.cell_event(1), old)
    assert service.cell(1)["battery_charge"] == 95
    assert service.cell(2)["battery_charge"] == 81
    service.check_invariants()


def test_exact_duplicates_write_nothing(service: Service) -> None:
    hardware = service.add_cabinet(charges=[90])
    event, report = hardware.cell_event(1), hardware.state_report()
    service.say("C-1", event, report)
    before = ledger(service), service.anomalies()
    service.say("C-1", event, report, event, report)
    assert (ledger(service), service.anomalies()) == before
    service.check_invariants()
