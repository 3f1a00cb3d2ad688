"""Edge cases E41 to E46: what a cabinet can issue and take back."""

import pytest

from local.cabinet.hardware import Accumulator
from tests.support.accumulators import IN_CELL_1, available_and_free, cell_state, report_cells
from tests.support.service import Service

# --- E41 to E43: shortage -------------------------------------------------------------------------


def test_e41_the_last_free_cell_can_be_booked(service: Service) -> None:
    service.add_cabinet(charges=[90], cells=2)
    assert service.book(kind="return")["cells"][0]["cell_number"] == 2
    assert available_and_free(service) == (1, 0)
    service.check_invariants()


@pytest.mark.parametrize(
    ("kind", "code"), [("issue", "not_enough_accumulators"), ("return", "not_enough_free_cells")]
)
def test_e42_a_refused_booking_reports_how_many_are_available(
    service: Service, kind: str, code: str
) -> None:
    service.add_cabinet(charges=[90, 20], cells=3)
    response = service.request_booking(2, kind)
    assert (response.status, response.body["code"]) == (409, code)
    assert (response.body["requested"], response.body["available"]) == (2, 1)
    assert service.get("/v1/bookings")["bookings"] == []
    assert service.get("/v1/cabinets/C-1")["accumulators"]["held"] == 0
    service.check_invariants()


def test_e43_a_held_accumulator_whose_charge_dropped_is_replaced_at_the_unlock(
    service: Service,
) -> None:
    hardware = service.add_cabinet(charges=[95, 90])
    booking = service.book()
    hardware.cells[1].accumulator = Accumulator("C-1.A-1", 60)
    service.report()
    response = service.unlock(booking)
    assert [one["accumulator_id"] for one in response.body["cells"]] == ["C-1.A-2"]
    assert service.booking(booking)["cells"][0]["reason"] == "charge_too_low"
    service.check_invariants()


# --- E44, E45: charge and temperature -------------------------------------------------------------


@pytest.mark.parametrize("charge", [255, 101, -1, "full", 100.5, True, []])
def test_e44_an_impossible_charge_is_unknown_and_costs_nothing_else(
    service: Service, charge: object
) -> None:
    service.add_cabinet(charges=[90, 80])
    report_cells(
        service,
        cell_state(1, "C-1.A-1", battery_charge=charge),
        cell_state(2, "C-1.A-2", battery_charge=81),
    )
    assert service.cell(1)["battery_charge"] is None
    assert service.cell(1)["accumulator_id"] == "C-1.A-1"
    assert service.cell(2)["battery_charge"] == 81
    assert service.anomalies() == ["unreadable_value"]
    service.check_invariants()


def test_e44_an_accumulator_of_unknown_charge_is_not_issued(service: Service) -> None:
    hardware = service.add_cabinet(charges=[90])
    hardware.cells[1].accumulator = Accumulator("C-1.A-1", None)
    service.report()
    assert service.cell(1)["battery_charge"] is None
    assert available_and_free(service)[0] == 0
    service.check_invariants()


def test_e45_an_overheated_cell_is_unusable_until_it_cools(service: Service) -> None:
    hardware = service.add_cabinet(charges=[90])
    hardware.cells[1].temperature_c = 61
    service.report()
    assert (service.cell(1)["health_reason"], available_and_free(service)[0]) == (
        "over_temperature",
        0,
    )
    hardware.cells[1].temperature_c = 40
    service.report()
    assert (service.cell(1)["health"], available_and_free(service)[0]) == ("ok", 1)
    service.check_invariants()


# --- E46: not collected ---------------------------------------------------------------------------


def test_e46_an_accumulator_not_collected_can_be_booked_again(
    service: Service,
) -> None:
    hardware = service.add_cabinet(charges=[90])
    service.unlock(service.book())
    hardware.close_door(1)
    service.report()
    assert service.movement_causes("C-1.A-1")[-2:] == ["issued", "not_collected"]
    assert service.place("C-1.A-1") == IN_CELL_1
    assert service.unlock(service.book()).body["status"] == "completed"
    service.check_invariants()


def test_e46_an_accumulator_taken_and_put_back_before_closing_is_not_collected(
    service: Service,
) -> None:
    hardware = service.add_cabinet(charges=[90])
    service.unlock(service.book())
    taken = hardware.remove(1)
    service.send_from("C-1", *hardware.poll_sensors())
    service.put(1, taken)
    assert service.movement_causes("C-1.A-1")[-1] == "not_collected"
    service.check_invariants()
