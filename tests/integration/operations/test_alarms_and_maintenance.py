"""Edge cases E71 to E76: alarms and maintenance."""

import pytest

from local.cabinet.hardware import Accumulator
from tests.integration.api_calls import unlock_without_booking
from tests.support.service import Service


@pytest.mark.parametrize("alarm", ["smoke", "fire", "water"])
def test_e71_a_dangerous_alarm_stops_bookings_and_unlocks(service: Service, alarm: str) -> None:
    hardware = service.add_cabinet(charges=[95, 90])
    booking = service.book()
    service.act("C-1", lambda hardware: hardware.alarms.add(alarm))
    refused = service.request_booking()
    assert (refused.status, refused.body["code"]) == (409, "cabinet_inactive")
    assert alarm in refused.body["detail"]
    assert service.unlock(booking).body["code"] == "cabinet_inactive"
    assert hardware.cells[1].openings == 0
    service.check_invariants()


def test_e71_an_operator_may_open_a_cell_during_an_alarm(service: Service) -> None:
    hardware = service.add_cabinet(charges=[95])
    service.act("C-1", lambda hardware: hardware.alarms.add("smoke"))
    assert unlock_without_booking(service).status == 200
    assert hardware.cells[1].door == "open"
    service.check_invariants()


def test_e72_an_alarm_repeated_in_every_report_is_recorded_as_one_anomaly(service: Service) -> None:
    service.add_cabinet()
    service.act("C-1", lambda hardware: hardware.alarms.add("smoke"))
    for _ in range(3):
        service.report()
    assert service.anomalies() == ["alarm"]
    assert service.get("/v1/cabinets/C-1")["alarms"] == ["smoke"]
    service.check_invariants()


def test_e73_an_alarm_lasts_until_a_report_no_longer_contains_it(service: Service) -> None:
    hardware = service.add_cabinet(charges=[95])
    service.act("C-1", lambda hardware: hardware.alarms.add("smoke"))
    service.advance_time(3600)
    service.send_from("C-1", hardware.hello())
    assert service.request_booking().body["code"] == "cabinet_inactive"
    hardware.alarms.clear()
    service.report()
    assert service.request_booking().status == 201
    service.check_invariants()


def test_e74_an_inactive_cabinet_accepts_no_booking_but_its_reports_are_applied(
    service: Service,
) -> None:
    hardware = service.add_cabinet(charges=[95])
    service.patch("/v1/cabinets/C-1", {"status": "inactive", "status_reason": "maintenance"})
    hardware.cells[2].accumulator = Accumulator("X", 50)
    service.report()
    assert service.request_booking().body["code"] == "cabinet_inactive"
    assert service.place("X") == {"cabinet_id": "C-1", "cell_number": 2}
    service.check_invariants()


def test_e76_an_inactive_cabinet_opens_no_cell_for_an_earlier_booking(
    service: Service,
) -> None:
    hardware = service.add_cabinet(charges=[95])
    booking = service.book()
    service.patch("/v1/cabinets/C-1", {"status": "inactive", "status_reason": "suspended"})
    response = service.unlock(booking)
    assert (response.status, response.body["code"]) == (409, "cabinet_inactive")
    assert hardware.cells[1].openings == 0
    assert service.queue.published == []
    service.check_invariants()
