"""Unlocks over HTTP."""

from concurrent.futures import ThreadPoolExecutor

from tests.support.service import Service


def test_a_successful_unlock_issues_the_accumulators(patient_service: Service) -> None:
    service = patient_service
    service.add_cabinet(charges=[98, 95])
    booking = service.book(2)
    response = service.unlock(booking)
    assert response.status == 200
    assert (response.body["status"], response.body["late"]) == ("completed", False)
    assert [(c["cell_number"], c["result"]) for c in response.body["cells"]] == [
        (1, "opened"),
        (2, "opened"),
    ]
    assert service.place("C-1.A-1") == {"contractor_id": "T-1"}
    assert [command["cells"] for command in service.queue.commands("unlock")] == [[1, 2]]
    service.check_invariants()


def test_an_unlock_of_a_cancelled_booking_is_refused(service: Service) -> None:
    service.add_cabinet(charges=[98])
    booking = service.book(1)
    service.delete(f"/v1/bookings/{booking['booking_id']}")
    response = service.unlock(booking)
    assert (response.status, response.body["code"]) == (409, "booking_not_active")


def test_of_a_simultaneous_cancellation_and_unlock_one_succeeds(patient_service: Service) -> None:
    service = patient_service
    service.add_cabinet(charges=[98] * 6)
    for _ in range(5):
        booking = service.book(1)
        with ThreadPoolExecutor(2) as callers:
            unlocked = callers.submit(service.unlock, booking)
            cancelled = callers.submit(
                service.call, "DELETE", f"/v1/bookings/{booking['booking_id']}"
            )
        statuses = {unlocked.result().status, cancelled.result().status}
        assert statuses == {200, 409}
    service.check_invariants()
