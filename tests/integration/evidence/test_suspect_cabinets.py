"""Suspect cabinets: what counts as a claim, what is held back, what an operator does about it."""

from datetime import UTC, datetime
from typing import Any

import pytest

from local.cabinet.hardware import Accumulator
from tests.integration.evidence.test_lying_cabinets import claim, stock
from tests.support.accumulators import cell_state, put_in_bag, report_cells
from tests.support.service import Service

LONG_AGO = "2026-01-01T00:00:00Z"
WHY = "its login was stolen"


def make_suspect(service: Service) -> list[str]:
    """A fleet of 20, of which L-1 claims 16; return the ids."""
    ids = stock(service, cabinets=2, cells=10)
    service.connect("L-1", 20)
    claim(service, ids[:16])
    return ids


def state(service: Service, accumulator_id: str) -> tuple[str, Any]:
    found = service.get(f"/v1/accumulators/{accumulator_id}")
    return found["status"], found["place"]


def is_suspect(service: Service, cabinet_id: str = "L-1") -> bool:
    return service.get(f"/v1/cabinets/{cabinet_id}")["suspect_since"] is not None


def held_back(service: Service, cabinet_id: str = "L-1") -> list[str]:
    cells = service.get(f"/v1/cabinets/{cabinet_id}")["cells"]
    return [cell["held_back_id"] for cell in cells if cell["held_back_id"]]


def clear(service: Service, cabinet_id: str = "L-1") -> Any:
    body = {"suspect": False, "suspect_reason": "the van was unloaded by hand"}
    return service.patch(f"/v1/cabinets/{cabinet_id}", body)


def undo(service: Service, cabinet_id: str = "L-1", since: str = LONG_AGO) -> Any:
    body = {"since": since, "reason": WHY}
    return service.post(f"/v1/cabinets/{cabinet_id}/undo", body)


def in_cell(index: int) -> Any:
    return {"cabinet_id": f"H-{index // 10 + 1}", "cell_number": index % 10 + 1}


# --- becoming suspect -------------------------------------------------------------------------


def test_a_suspect_cabinet_is_shown_with_its_reason_and_what_is_held_back(service: Service) -> None:
    ids = make_suspect(service)
    cabinet = service.get("/v1/cabinets/L-1")
    assert cabinet["suspect_since"] is not None
    assert cabinet["suspect_reason"] == "claimed more than 12 accumulators that others have"
    assert held_back(service) == ids[12:16]
    [item] = service.get("/v1/attention?kind=cabinet_suspect")["items"]
    assert item["cabinet_id"] == "L-1"
    assert item["detail"] == f"{cabinet['suspect_reason']}; held back: 4"
    reasons = service.anomalies()
    assert reasons.count("suspect_cabinet") == 1
    assert reasons.count("claim_held_back") == 4
    assert state(service, ids[12]) == ("in_service", in_cell(12))


def test_a_suspect_cabinet_is_in_the_feed(service: Service) -> None:
    start = service.get("/v1/events")["cursor"]
    make_suspect(service)
    events = service.get(f"/v1/events?after={start}&limit=1000")["events"]
    changed = [e["resource"] for e in events if e["type"] == "cabinet.changed"]
    assert [c["cabinet_id"] for c in changed if c["suspect_since"]] == ["L-1"]
    cells = [e["resource"] for e in events if e["type"] == "cell.changed"]
    assert len([c for c in cells if c["held_back_id"]]) == 4


def test_a_report_that_repeats_held_back_claims_adds_nothing(service: Service) -> None:
    make_suspect(service)
    before = service.sql("SELECT reason, detail, count FROM anomalies ORDER BY anomaly_id")
    service.report("L-1")
    assert service.sql("SELECT reason, detail, count FROM anomalies ORDER BY anomaly_id") == before


def test_claims_under_the_limit_of_an_hour_do_not_add_up_over_hours(service: Service) -> None:
    put_in_bag(service, *[f"B-{n}" for n in range(24)])
    service.post("/v1/transfers", transfer([f"B-{n}" for n in range(24)]))
    service.connect("L-1", 12)
    claim(service, [f"B-{n}" for n in range(12)])
    age_movements(service, hours=1)
    claim(service, [f"B-{n}" for n in range(12, 24)])
    assert not is_suspect(service)


def test_claims_that_another_cell_contradicts_add_up_over_a_day(service: Service) -> None:
    ids = stock(service, cabinets=2, cells=10)
    service.connect("L-1", 12)
    claim(service, ids[:12])
    age_movements(service, hours=23)
    claim(service, ids[12:13])
    assert is_suspect(service)
    assert held_back(service) == [ids[12]]


def test_a_liar_cannot_claim_by_the_result_of_an_unlock(service: Service) -> None:
    ids = stock(service, cabinets=2, cells=10)
    service.add_cabinet("L-1", charges=[95])
    make_suspect_by_hand(service)
    booking = service.book(cabinet_id="L-1")
    service.lose_commands = True
    assert service.unlock(booking).status == 504
    command = service.queue.commands("unlock")[-1]
    result = {"cell_number": 1, "result": "opened", "accumulator_id": ids[3]}
    hardware = service.cabinets["L-1"]
    message = hardware._message(
        "command_result", command_id=command["command_id"], status="done", cells=[result]
    )
    service.send_from("L-1", message)
    assert state(service, ids[3]) == ("in_service", in_cell(3))
    assert service.place("L-1.A-1") == {"contractor_id": "T-1"}


def test_a_liar_cannot_quarantine_by_reporting_an_id_in_two_cells(service: Service) -> None:
    ids = stock(service, cabinets=2, cells=10)
    service.connect("L-1", 4)
    make_suspect_by_hand(service)
    claim(service, [ids[0], ids[0], ids[1], ids[1]])
    assert state(service, ids[0]) == ("in_service", in_cell(0))
    assert state(service, ids[1]) == ("in_service", in_cell(1))


def test_a_liar_cannot_use_a_return_to_take_from_a_closed_cell(service: Service) -> None:
    ids = stock(service, cabinets=2, cells=10)
    service.connect("L-1", 4)
    service.report("L-1")
    make_suspect_by_hand(service)
    assert service.unlock(service.book(kind="return", cabinet_id="L-1")).status == 200
    report_cells(service, cell_state(1, ids[0]), cabinet_id="L-1")
    assert state(service, ids[0]) == ("in_service", in_cell(0))


# --- honest cabinets --------------------------------------------------------------------------


def test_two_accumulators_with_one_id_make_no_cabinet_suspect(service: Service) -> None:
    stock(service, cabinets=2, cells=2)
    service.connect("L-1", 4)
    for _ in range(20):
        claim(service, ["A-0"])
        claim(service, [])
    assert not is_suspect(service)


def test_a_cabinet_that_is_filled_from_an_imported_van_is_not_suspect(service: Service) -> None:
    ids = [f"B-{n}" for n in range(30)]
    items = [{"accumulator_id": id_, "contractor_id": "VAN-1"} for id_ in ids]
    service.post("/v1/imports", {"accumulators": items})
    service.connect("N-1", 30)
    claim(service, ids, "N-1")
    assert not is_suspect(service, "N-1")
    assert service.place("B-29") == {"cabinet_id": "N-1", "cell_number": 30}


def test_what_a_contractor_puts_into_the_cells_opened_for_them_is_no_claim(
    service: Service,
) -> None:
    service.add_cabinet("C-1", charges=[95] * 20, cells=20)
    put_in_bag(service, *[f"B-{n}" for n in range(20)], contractor_id="T-2")
    service.post("/v1/transfers", transfer([f"B-{n}" for n in range(20)], "T-2", "T-1"))
    for start in range(0, 20, 10):
        opened = service.unlock(service.book(10)).body["cells"]
        for n, cell in enumerate(opened, start=start):
            service.cabinets["C-1"].remove(cell["cell_number"])
            service.put(cell["cell_number"], Accumulator(f"B-{n}", 10))
    assert not is_suspect(service, "C-1")
    assert service.sql("SELECT reason, detail, count FROM anomalies") == [
        {"reason": "inserted_without_booking", "detail": "from a contractor", "count": 20}
    ]
    assert service.get("/v1/attention")["counts"]["anomaly"] == 0


def test_a_replaced_board_reports_the_cabinets_own_accumulators(service: Service) -> None:
    ids = stock(service, cabinets=1, cells=20)
    service.patch("/v1/cabinets/H-1", {"device_id": "NEW-1"})
    service.cabinets["H-1"].reboot()
    service.deliver(("NEW-1", service.cabinets["H-1"].state_report()))
    assert not is_suspect(service, "H-1")
    assert state(service, ids[19]) == ("in_service", {"cabinet_id": "H-1", "cell_number": 20})


def test_two_cabinets_with_exchanged_devices_end_with_the_true_places(service: Service) -> None:
    ids = stock(service, cabinets=2, cells=16)
    one, two = service.cabinets["H-1"], service.cabinets["H-2"]
    for _ in range(3):
        service.deliver(("H-1", two.state_report()), ("H-2", one.state_report()))
    assert is_suspect(service, "H-1")
    for cabinet_id, device_id in [("H-1", "X-1"), ("H-2", "H-1"), ("H-1", "H-2")]:
        service.patch(f"/v1/cabinets/{cabinet_id}", {"device_id": device_id})
    clear(service, "H-1")
    for _ in range(3):
        service.deliver(("H-2", one.state_report()), ("H-1", two.state_report()))
    undo(service, "H-1")
    undo(service, "H-2")
    for n, id_ in enumerate(ids):
        cell = {"cabinet_id": f"H-{n // 16 + 1}", "cell_number": n % 16 + 1}
        assert state(service, id_) == ("in_service", cell)
    service.check_invariants()


def test_an_honest_cabinet_that_takes_back_what_liars_took_is_not_suspect(
    service: Service,
) -> None:
    ids = stock(service, cabinets=1, cells=24)
    for liar, part in (("L-1", ids[:12]), ("L-2", ids[12:])):
        service.connect(liar, 12)
        claim(service, part, liar)
    report_cells(service, *[cell_state(n, "?") for n in range(1, 25)], cabinet_id="H-1")
    service.report("H-1")
    assert not is_suspect(service, "H-1")
    assert service.place(ids[23]) == {"cabinet_id": "H-1", "cell_number": 24}


# --- a suspect cabinet is served --------------------------------------------------------------


def test_a_suspect_cabinet_issues_and_takes_back_its_own(service: Service) -> None:
    service.add_cabinet("C-1", charges=[95, 95])
    make_suspect_by_hand(service, "C-1")
    [cell] = service.unlock(service.book(1)).body["cells"]
    taken = service.take(cell["cell_number"])
    assert service.place(taken.accumulator_id) == {"contractor_id": "T-1"}
    booking = service.book(1, "return")
    [cell] = service.unlock(booking).body["cells"]
    service.put(cell["cell_number"], taken)
    assert service.booking(booking)["status"] == "completed"
    assert service.place(taken.accumulator_id)["cabinet_id"] == "C-1"


# --- clearing and undoing ---------------------------------------------------------------------


def test_what_was_held_back_is_applied_at_the_next_report_after_clearing(service: Service) -> None:
    ids = make_suspect(service)
    cleared = clear(service)
    assert (cleared["suspect_since"], cleared["suspect_reason"]) == (
        None,
        "the van was unloaded by hand",
    )
    service.report("L-1")
    assert not is_suspect(service)
    assert held_back(service) == []
    assert service.place(ids[15]) == {"cabinet_id": "L-1", "cell_number": 16}
    claim(service, ids[16:18])
    assert not is_suspect(service)  # what an operator let pass does not count
    service.check_invariants()


def test_a_claim_from_before_the_owners_last_report_moves_nothing_when_it_is_cleared(
    service: Service,
) -> None:
    ids = make_suspect(service)
    before, delayed = datetime.now(UTC), service.cabinets["L-1"].state_report()
    service.report("H-2")
    clear(service)
    service.deliver(("L-1", delayed), received_at=before)
    assert state(service, ids[12]) == ("in_service", in_cell(12))
    service.report("L-1")
    assert service.place(ids[12]) == {"cabinet_id": "L-1", "cell_number": 13}


def test_undoing_returns_each_accumulator_to_its_place_and_to_service(service: Service) -> None:
    ids = make_suspect(service)
    undone = undo(service)
    assert undone == {
        "restored": ids[:12],
        "kept": [],
        "put_in_service": ids[:12],
        "has_more": False,
    }
    assert [state(service, id_) for id_ in ids] == [
        ("in_service", in_cell(n)) for n in range(len(ids))
    ]
    service.report("L-1")
    service.report("H-1")
    assert state(service, ids[0]) == ("in_service", in_cell(0))
    [last, claimed, *_] = service.get(f"/v1/accumulators/{ids[0]}/movements")["movements"]
    assert (last["cause"], last["reason"], last["discrepancy"]) == ("corrected", WHY, True)
    assert (claimed["cause"], claimed["reason"]) == ("reported", "contradicted")
    again = undo(service)
    assert (again["restored"], again["put_in_service"]) == ([], [])
    service.check_invariants()


def test_undoing_returns_accumulators_to_contractors_and_scooters(service: Service) -> None:
    put_in_bag(service, "B-1", "B-2")
    swap = {"scooter_id": "S-1", "contractor_id": "T-1", "installed_accumulator_id": "B-2"}
    service.post("/v1/swaps", swap)
    service.post("/v1/transfers", transfer(["B-1"]))
    service.connect("L-1", 4)
    claim(service, ["B-1", "B-2"])
    assert undo(service)["restored"] == ["B-1", "B-2"]
    assert service.place("B-1") == {"contractor_id": "T-2"}
    assert service.place("B-2") == {"scooter_id": "S-1"}


def test_undoing_leaves_what_others_have_moved_since(service: Service) -> None:
    ids = stock(service, cabinets=1, cells=10)
    service.connect("L-1", 4)
    claim(service, ids[:4])
    body = {"place": {"contractor_id": "T-9"}, "reason": "T-9 has it"}
    service.patch(f"/v1/accumulators/{ids[0]}", body)
    other = {"place": {"cabinet_id": "H-1", "cell_number": 2}, "reason": "it is here"}
    service.post("/v1/accumulators", {"accumulator_id": "NEW"})
    service.patch("/v1/accumulators/NEW", other)
    assert undo(service)["kept"] == [
        {"accumulator_id": ids[0], "because": "moved_since"},
        {"accumulator_id": ids[1], "because": "place_taken"},
    ]
    assert service.place(ids[0]) == {"contractor_id": "T-9"}
    service.check_invariants()


def test_undoing_follows_what_the_liar_itself_has_moved_since(service: Service) -> None:
    ids = stock(service, cabinets=1, cells=10)
    service.connect("L-1", 4)
    claim(service, ids[:2])
    claim(service, [])  # vanished from its cells
    assert service.place(ids[0]) is None
    assert undo(service)["restored"] == ids[:2]
    assert state(service, ids[1]) == ("in_service", in_cell(1))


def test_undoing_begins_at_the_given_time(service: Service) -> None:
    make_suspect(service)
    assert undo(service, since=datetime.now(UTC).isoformat())["restored"] == []


def test_undoing_at_an_unknown_cabinet_is_not_found(service: Service) -> None:
    body = {"since": LONG_AGO, "reason": WHY}
    response = service.call("POST", "/v1/cabinets/C-404/undo", body, key="operator")
    assert (response.status, response.body["code"]) == (404, "cabinet_not_found")


def test_what_a_cabinet_reported_is_listed(service: Service) -> None:
    ids = make_suspect(service)
    listed = service.get("/v1/movements?reported_by=L-1&newest_first=true")["movements"]
    assert [m["accumulator_id"] for m in reversed(listed)] == ids[:12]
    assert {m["reason"] for m in listed} == {"contradicted"}
    claim(service, [])
    listed = service.get("/v1/movements?reported_by=L-1")["movements"]
    assert len(listed) == 24  # and that they vanished


@pytest.mark.parametrize(
    "body", [{"suspect": True}, {"suspect_reason": "why"}, {"suspect": False, "suspect_reason": ""}]
)
def test_suspicion_needs_a_reason(service: Service, body: Any) -> None:
    service.connect("L-1")
    response = service.call("PATCH", "/v1/cabinets/L-1", body, key="operator")
    assert (response.status, response.body["code"]) == (400, "invalid_request")


def make_suspect_by_hand(service: Service, cabinet_id: str = "L-1") -> None:
    body = {"suspect": True, "suspect_reason": "its key was found on the street"}
    assert service.patch(f"/v1/cabinets/{cabinet_id}", body)["suspect_since"] is not None


def transfer(ids: list[str], giver: str = "T-1", taker: str = "T-2") -> Any:
    return {"from_contractor_id": giver, "to_contractor_id": taker, "accumulator_ids": ids}


def age_movements(service: Service, *, hours: int) -> None:
    service.sql("UPDATE movements SET at = at - make_interval(hours => %(h)s)", h=hours)
