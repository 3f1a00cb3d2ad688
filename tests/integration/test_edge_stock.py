"""Edge cases E41 to E46: what a cabinet can give and take. docs/edge-cases.md lists them."""

import pytest

from local.cabinet.hardware import Accumulator
from tests.integration.accumulators import IN_CELL_1, cell, state_report, stock
from tests.service import Service

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
