"""Bookings over HTTP, and edge cases E53, E56 and E57."""

from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest

from tests.integration.api_calls import all_pages
from tests.support.service import Service

UNKNOWN_ID = "00000000-0000-4000-8000-000000000000"


def states(booking: Any) -> list[tuple[int, str]]:
    return [(cell["cell_number"], cell["state"]) for cell in booking["cells"]]


def ids(service: Service, query: str = "") -> list[str]:
    return [b["booking_id"] for b in service.get(f"/v1/bookings?{query}")["bookings"]]


# --- create -----------------------------------------------------------------------------------


def test_a_booking_holds_the_most_charged_accumulators(service: Service) -> None:
    service.add_cabinet(charges=[85, 98, 79, 90, None])
    response = service.request_booking(count=2)
    assert response.status == 201
    booking = response.body
    assert (booking["kind"], booking["status"], booking["requested"]) == ("issue", "active", 2)
    assert (booking["min_charge"], booking["command_id"]) == (80, None)
    assert booking["cells"] == [
        {
            "cell_number": number,
            "accumulator_id": f"C-1.A-{number}",
            "battery_charge": charge,
            "state": "held",
            "reason": None,
        }
        for number, charge in ((2, 98), (4, 90))
    ]
    assert service.booking(booking) == booking
    service.check_invariants()


def test_a_return_holds_free_cells(service: Service) -> None:
    service.add_cabinet(charges=[98], cells=3)
    booking = service.book(2, "return")
    assert states(booking) == [(2, "held"), (3, "held")]
    assert booking["min_charge"] is None


def test_a_held_accumulator_is_not_held_again(service: Service) -> None:
    service.add_cabinet(charges=[98, 95])
    service.book(1)
    assert states(service.book(1)) == [(2, "held")]
    assert service.request_booking().body["code"] == "not_enough_accumulators"


@pytest.mark.parametrize("kind", ["issue", "return"])
def test_a_partial_booking_holds_what_is_available(service: Service, kind: str) -> None:
    service.add_cabinet(charges=[98, 95, 40], cells=5)
    booking = service.book(3, kind, allow_partial=True)
    assert (booking["requested"], len(booking["cells"])) == (3, 2)


def test_a_booking_may_set_another_minimum_charge(service: Service) -> None:
    service.add_cabinet(charges=[85, 40])
    assert service.request_booking(min_charge=90).body["code"] == "not_enough_accumulators"
    booking = service.book(2, min_charge=40)
    assert (booking["min_charge"], len(booking["cells"])) == (40, 2)


def test_a_booking_at_an_unknown_cabinet_is_not_found(service: Service) -> None:
    response = service.request_booking(cabinet_id="C-9")
    assert (response.status, response.body["code"]) == (404, "cabinet_not_found")


def test_a_booking_at_a_cabinet_that_never_connected_is_refused(service: Service) -> None:
    service.connect("C-1")
    assert service.request_booking().body["code"] == "cabinet_offline"


def test_a_return_with_a_minimum_charge_is_invalid(service: Service) -> None:
    service.add_cabinet()
    assert service.request_booking(kind="return", min_charge=50).status == 400


# --- look up, list ----------------------------------------------------------------------------


@pytest.mark.parametrize("method", ["GET", "DELETE", "POST"])
@pytest.mark.parametrize("name", [UNKNOWN_ID, "T-1", "1"])
def test_an_unknown_booking_is_not_found(service: Service, method: str, name: str) -> None:
    path = f"/v1/bookings/{name}" + ("/unlock" if method == "POST" else "")
    response = service.call(method, path)
    assert (response.status, response.body["code"]) == (404, "booking_not_found")


def test_bookings_are_filtered_by_cabinet_contractor_and_status(service: Service) -> None:
    service.add_cabinet("C-1", charges=[98, 95])
    service.add_cabinet("C-2", charges=[98])
    first = service.book(1)["booking_id"]
    second = service.book(1, contractor_id="T-2")["booking_id"]
    third = service.book(1, cabinet_id="C-2")["booking_id"]
    service.delete(f"/v1/bookings/{second}")
    assert ids(service) == [third, second, first]
    assert ids(service, "cabinet_id=C-1") == [second, first]
    assert ids(service, "contractor_id=T-1") == [third, first]
    assert ids(service, "status=cancelled") == [second]
    assert ids(service, "status=active&cabinet_id=C-2") == [third]


def test_a_booking_is_listed_as_expired_before_the_sweep_stores_it(service: Service) -> None:
    service.add_cabinet(charges=[98])
    booking = service.book(1)
    service.advance_time(1790)  # the machine may be slow
    assert ids(service, "status=expired") == []
    service.advance_time(11)
    assert ids(service, "status=expired") == [booking["booking_id"]]
    assert ids(service, "status=active") == []
    assert service.booking(booking)["status"] == "expired"
    assert service.sql("SELECT status FROM bookings") == [{"status": "active"}]


@pytest.mark.parametrize("limit", [1, 2, 3, 5, 200])
def test_pages_contain_every_booking_once_even_with_equal_creation_times(
    service: Service, limit: int
) -> None:
    service.add_cabinet(charges=[98] * 5)
    for _ in range(5):
        service.book(1)
    service.sql("UPDATE bookings SET created_at = now() - interval '1 minute'")
    service.sql("DROP INDEX bookings_created_at_booking_id_idx")  # it would sort the rows
    bookings = all_pages(service, "/v1/bookings", "bookings", limit=limit)
    found = [booking["booking_id"] for booking in bookings]
    assert found == sorted(found, reverse=True)
    assert len(found) == 5


# --- cancel -----------------------------------------------------------------------------------


def test_a_cancelled_booking_releases_its_cells(service: Service) -> None:
    service.add_cabinet(charges=[98])
    booking = service.book(1)
    response = service.call("DELETE", f"/v1/bookings/{booking['booking_id']}")
    assert (response.status, response.body["status"]) == (200, "cancelled")
    assert [(c["state"], c["reason"]) for c in response.body["cells"]] == [
        ("released", "cancelled")
    ]
    assert service.cell(1)["booking_id"] is None
    service.book(1)


def test_a_cancelled_booking_cannot_be_cancelled_again(service: Service) -> None:
    service.add_cabinet(charges=[98])
    booking = service.book(1)
    service.delete(f"/v1/bookings/{booking['booking_id']}")
    response = service.call("DELETE", f"/v1/bookings/{booking['booking_id']}")
    assert (response.status, response.body["code"]) == (409, "booking_not_active")
    assert "cancelled" in response.body["detail"]


@pytest.mark.parametrize("ended", ["completed", "expired"])
def test_only_an_active_booking_can_be_cancelled(service: Service, ended: str) -> None:
    service.add_cabinet(charges=[98])
    booking = service.book(1)
    if ended == "expired":
        service.advance_time(1801)
    else:
        service.unlock(booking)
    response = service.call("DELETE", f"/v1/bookings/{booking['booking_id']}")
    assert (response.status, response.body["code"]) == (409, "booking_not_active")
    assert service.booking(booking)["status"] == ended


def test_e53_a_booking_cannot_be_cancelled_while_it_is_unlocking(service: Service) -> None:
    service.add_cabinet(charges=[90])
    booking = service.book()
    service.hold_messages = True
    service.unlock(booking)
    response = service.call("DELETE", f"/v1/bookings/{booking['booking_id']}")
    assert (response.status, response.body["code"]) == (409, "booking_not_active")
    service.deliver_held_messages()
    assert service.booking(booking)["status"] == "completed"
    service.check_invariants()


def test_e53_an_accumulator_released_by_a_cancelled_booking_is_with_its_contractor(
    service: Service,
) -> None:
    hardware = service.add_cabinet(charges=[90])
    booking = service.book()
    service.lose_commands = True
    service.unlock(booking)
    service.lose_commands = False
    service.poll()
    service.delete(f"/v1/bookings/{booking['booking_id']}")
    [lost] = service.queue.commands("unlock")
    for reply in hardware.handle(lost):
        service.send_from("C-1", reply.make())
    service.take(1)
    assert service.booking(booking)["status"] == "cancelled"
    assert service.place("C-1.A-1") == {"contractor_id": "T-1"}
    service.check_invariants()


# --- competing and partial bookings (E56, E57) -------------------------------------------------


def test_e56_of_20_contractors_competing_for_6_accumulators_6_succeed_and_14_are_refused(
    service: Service,
) -> None:
    service.add_cabinet(charges=[90] * 6)
    with ThreadPoolExecutor(20) as threads:
        requests = [
            threads.submit(service.request_booking, contractor_id=f"T-{n}") for n in range(20)
        ]
        responses = [request.result(50) for request in requests]
    statuses = sorted(response.status for response in responses)
    assert statuses == [201] * 6 + [409] * 14
    refused = {response.body["code"] for response in responses if response.status == 409}
    assert refused == {"not_enough_accumulators"}
    held = [c["accumulator_id"] for a in responses if a.status == 201 for c in a.body["cells"]]
    assert len(set(held)) == 6
    service.check_invariants()


def test_e57_a_partial_booking_is_completed_with_fewer_accumulators(service: Service) -> None:
    service.add_cabinet(charges=[90, 90])
    booking = service.book(3, allow_partial=True)
    assert (booking["requested"], len(booking["cells"])) == (3, 2)
    assert service.unlock(booking).body["status"] == "completed"
    service.check_invariants()


def test_e57_a_partial_booking_of_nothing_is_refused(service: Service) -> None:
    service.add_cabinet()
    response = service.request_booking(3, allow_partial=True)
    assert (response.status, response.body["code"]) == (409, "not_enough_accumulators")
    assert response.body["available"] == 0
    service.check_invariants()
