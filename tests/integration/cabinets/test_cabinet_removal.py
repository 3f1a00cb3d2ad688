"""A cabinet is removed while an unlock or a message waits for its lock."""

from collections.abc import Callable
from typing import Any

from shared import db
from shared.services import cabinets
from tests.integration.blocking import blocked
from tests.support.service import Service


def result_after_removal(service: Service, action: Callable[[], Any]) -> Any:
    """Remove C-1 while `action` waits for its lock; return the result of the action."""
    with blocked(service, action) as start, db.transaction() as tx:
        cabinets.remove(tx, "C-1")
        waiting = start()
    return waiting.result()


def test_an_unlock_that_waits_for_the_removal_of_its_cabinet_finds_no_booking(
    service: Service,
) -> None:
    service.add_cabinet()
    booking = service.book(kind="return")
    service.delete(f"/v1/bookings/{booking['booking_id']}")
    response = result_after_removal(service, lambda: service.unlock(booking))
    assert (response.status, response.body["code"]) == (404, "booking_not_found")


def test_a_message_that_waits_for_the_removal_of_its_cabinet_is_an_anomaly(
    service: Service,
) -> None:
    hardware = service.add_cabinet()
    report = ("C-1", hardware.state_report())
    result = result_after_removal(service, lambda: service.deliver(report))
    assert result == {"messages": 1, "anomalies": 1, "settled": []}
    assert service.anomalies() == ["unknown_device"]


def test_a_malformed_message_that_waits_for_the_removal_of_its_cabinet_is_an_anomaly(
    service: Service,
) -> None:
    service.add_cabinet()
    result = result_after_removal(service, lambda: service.deliver(("C-1", b"{")))
    assert result == {"messages": 1, "anomalies": 1, "settled": []}
    assert service.anomalies() == ["malformed"]
