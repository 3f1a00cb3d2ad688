"""Bookings and unlocks over HTTP."""

from concurrent.futures import ThreadPoolExecutor
from typing import Any
from urllib.parse import quote

import pytest

from local.cabinet.hardware import Firmware
from tests.service import Answer, Service

NOBODY = "00000000-0000-4000-8000-000000000000"


def book(service: Service, **more: Any) -> Answer:
    body = {"cabinet_id": "C-1", "contractor_id": "T-1", "kind": "issue", "count": 1}
    return service.call("POST", "/v1/bookings", body | more)


def states(booking: Any) -> list[tuple[int, str]]:
    return [(cell["cell_number"], cell["state"]) for cell in booking["cells"]]


def ids(service: Service, query: str = "") -> list[str]:
    return [b["booking_id"] for b in service.get(f"/v1/bookings?{query}")["bookings"]]


# --- make -------------------------------------------------------------------------------------


def test_a_booking_holds_the_most_charged_accumulators(service: Service) -> None:
    service.add_cabinet(charges=[85, 98, 79, 90, None])
    answer = book(service, count=2)
    assert answer.status == 201
    booking = answer.body
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


def test_what_is_held_is_not_held_again(service: Service) -> None:
    service.add_cabinet(charges=[98, 95])
    service.book(1)
    assert states(service.book(1)) == [(2, "held")]
    assert book(service).body["code"] == "not_enough_accumulators"


@pytest.mark.parametrize(
    ("kind", "code"),
    [("issue", "not_enough_accumulators"), ("return", "not_enough_free_cells")],
)
def test_a_booking_is_whole_or_not_made(service: Service, kind: str, code: str) -> None:
    service.add_cabinet(charges=[98, 95, 40], cells=5)
    answer = book(service, kind=kind, count=3)
    assert (answer.status, answer.body["code"]) == (409, code)
    assert (answer.body["requested"], answer.body["available"]) == (3, 2)
    assert ids(service) == []
    assert service.get("/v1/cabinets/C-1")["accumulators"]["held"] == 0


@pytest.mark.parametrize("kind", ["issue", "return"])
def test_a_partial_booking_holds_what_there_is(service: Service, kind: str) -> None:
    service.add_cabinet(charges=[98, 95, 40], cells=5)
    booking = service.book(3, kind, allow_partial=True)
    assert (booking["requested"], len(booking["cells"])) == (3, 2)


def test_a_partial_booking_of_nothing_is_refused(service: Service) -> None:
    service.add_cabinet(charges=[40])
    answer = book(service, count=3, allow_partial=True)
    assert (answer.status, answer.body["available"]) == (409, 0)


def test_a_booking_may_ask_for_another_charge(service: Service) -> None:
    service.add_cabinet(charges=[85, 40])
    assert book(service, min_charge=90).body["code"] == "not_enough_accumulators"
    booking = service.book(2, min_charge=40)
    assert (booking["min_charge"], len(booking["cells"])) == (40, 2)


def test_a_booking_at_no_cabinet_is_not_found(service: Service) -> None:
    answer = book(service, cabinet_id="C-9")
    assert (answer.status, answer.body["code"]) == (404, "cabinet_not_found")


def test_a_booking_at_a_silent_cabinet_is_refused(service: Service) -> None:
    service.add_cabinet(charges=[98])
    service.later(181)
    answer = book(service)
    assert (answer.status, answer.body["code"]) == (409, "cabinet_offline")


def test_a_booking_at_a_cabinet_that_never_spoke_is_refused(service: Service) -> None:
    service.connect("C-1")
    assert book(service).body["code"] == "cabinet_offline"


def test_a_booking_at_a_cabinet_out_of_service_is_refused(service: Service) -> None:
    service.add_cabinet(charges=[98])
    service.patch("/v1/cabinets/C-1", {"status": "inactive"})
    answer = book(service)
    assert (answer.status, answer.body["code"]) == (409, "cabinet_inactive")


def test_a_booking_at_a_burning_cabinet_is_refused_with_the_alarm(service: Service) -> None:
    service.add_cabinet(charges=[98])
    service.act("C-1", lambda hardware: hardware.alarms.add("smoke"))
    answer = book(service)
    assert (answer.status, answer.body["code"]) == (409, "cabinet_inactive")
    assert "smoke" in answer.body["detail"]


def test_a_lowest_charge_makes_no_sense_for_a_return(service: Service) -> None:
    service.add_cabinet()
    assert book(service, kind="return", min_charge=50).status == 400


# --- look up, list ----------------------------------------------------------------------------


@pytest.mark.parametrize("method", ["GET", "DELETE", "POST"])
@pytest.mark.parametrize("name", [NOBODY, "T-1", "1"])
def test_a_booking_that_is_unknown_is_not_found(service: Service, method: str, name: str) -> None:
    path = f"/v1/bookings/{name}" + ("/unlock" if method == "POST" else "")
    answer = service.call(method, path)
    assert (answer.status, answer.body["code"]) == (404, "booking_not_found")


def test_bookings_can_be_asked_for_by_cabinet_contractor_and_status(service: Service) -> None:
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


def test_expiry_counts_in_lists_before_it_is_written(service: Service) -> None:
    service.add_cabinet(charges=[98])
    booking = service.book(1)
    service.later(1799)
    assert ids(service, "status=expired") == []
    service.later(2)
    assert ids(service, "status=expired") == [booking["booking_id"]]
    assert ids(service, "status=active") == []
    assert service.booking(booking)["status"] == "expired"
    assert service.sql("SELECT status FROM bookings") == [{"status": "active"}]


@pytest.mark.parametrize("limit", [1, 2, 3, 5, 200])
def test_pages_give_every_booking_once_also_those_of_one_moment(
    service: Service, limit: int
) -> None:
    service.add_cabinet(charges=[98] * 5)
    for _ in range(5):
        service.book(1)
    service.sql("UPDATE bookings SET created_at = now() - interval '1 minute'")
    service.sql("DROP INDEX bookings_created_at_booking_id_idx")  # it would put them in order
    found: list[str] = []
    page = service.get(f"/v1/bookings?limit={limit}")
    while True:
        found += [booking["booking_id"] for booking in page["bookings"]]
        if page["next_cursor"] is None:
            break
        page = service.get(f"/v1/bookings?limit={limit}&cursor={quote(page['next_cursor'])}")
    assert found == sorted(found, reverse=True)
    assert len(found) == 5


# --- cancel -----------------------------------------------------------------------------------


def test_a_cancelled_booking_gives_back_what_it_held(service: Service) -> None:
    service.add_cabinet(charges=[98])
    booking = service.book(1)
    answer = service.call("DELETE", f"/v1/bookings/{booking['booking_id']}")
    assert (answer.status, answer.body["status"]) == (200, "cancelled")
    assert [(c["state"], c["reason"]) for c in answer.body["cells"]] == [("released", "cancelled")]
    assert service.cell(1)["booking_id"] is None
    service.book(1)


def test_a_booking_is_cancelled_once(service: Service) -> None:
    service.add_cabinet(charges=[98])
    booking = service.book(1)
    service.delete(f"/v1/bookings/{booking['booking_id']}")
    answer = service.call("DELETE", f"/v1/bookings/{booking['booking_id']}")
    assert (answer.status, answer.body["code"]) == (409, "booking_not_active")
    assert "cancelled" in answer.body["detail"]


@pytest.mark.parametrize("ended", ["completed", "expired", "unlocking"])
def test_a_booking_that_is_not_active_is_not_cancelled(service: Service, ended: str) -> None:
    service.add_cabinet(charges=[98])
    booking = service.book(1)
    service.lose_commands = ended == "unlocking"
    if ended == "expired":
        service.later(1801)
    else:
        service.unlock(booking)
    answer = service.call("DELETE", f"/v1/bookings/{booking['booking_id']}")
    assert (answer.status, answer.body["code"]) == (409, "booking_not_active")
    assert service.booking(booking)["status"] == ended


# --- unlock -----------------------------------------------------------------------------------


def test_an_unlock_hands_the_accumulators_over(service: Service) -> None:
    service.add_cabinet(charges=[98, 95])
    booking = service.book(2)
    answer = service.unlock(booking)
    assert answer.status == 200
    assert (answer.body["status"], answer.body["late"]) == ("completed", False)
    assert [(c["cell_number"], c["result"]) for c in answer.body["cells"]] == [
        (1, "opened"),
        (2, "opened"),
    ]
    assert service.place("C-1.A-1") == {"contractor_id": "T-1"}
    assert [command["cells"] for command in service.queue.commands("unlock")] == [[1, 2]]
    service.check_invariants()


def test_an_unlock_of_an_expired_booking_is_refused(service: Service) -> None:
    service.add_cabinet(charges=[98])
    booking = service.book(1)
    service.later(1801)
    answer = service.unlock(booking)
    assert (answer.status, answer.body["code"]) == (409, "booking_expired")
    assert service.queue.published == []


def test_an_unlock_of_a_cancelled_booking_is_refused(service: Service) -> None:
    service.add_cabinet(charges=[98])
    booking = service.book(1)
    service.delete(f"/v1/bookings/{booking['booking_id']}")
    answer = service.unlock(booking)
    assert (answer.status, answer.body["code"]) == (409, "booking_not_active")


def test_an_unlock_at_a_cabinet_out_of_service_is_refused(service: Service) -> None:
    service.add_cabinet(charges=[98])
    booking = service.book(1)
    service.patch("/v1/cabinets/C-1", {"status": "inactive"})
    answer = service.unlock(booking)
    assert (answer.status, answer.body["code"]) == (409, "cabinet_inactive")
    assert service.queue.published == []


def test_a_cabinets_refusal_is_told_with_its_reason(service: Service) -> None:
    service.add_cabinet(charges=[98]).firmware = Firmware(refuses="maintenance")
    booking = service.book(1)
    answer = service.unlock(booking)
    assert (answer.status, answer.body["code"]) == (502, "cabinet_rejected")
    assert answer.body["reason"] == "maintenance"
    assert service.get(f"/v1/commands/{answer.body['command_id']}")["status"] == "rejected"
    assert service.booking(booking)["status"] == "active"


def test_silence_is_told_with_the_command_that_may_still_be_answered(service: Service) -> None:
    service.add_cabinet(charges=[98])
    service.lose_commands = True
    booking = service.book(1)
    answer = service.unlock(booking)
    assert (answer.status, answer.body["code"]) == (504, "cabinet_no_answer")
    assert service.get(f"/v1/commands/{answer.body['command_id']}")["status"] == "no_answer"
    assert states(service.booking(booking)) == [(1, "held")]


def test_asking_again_gives_the_stored_answer_without_a_command(service: Service) -> None:
    service.add_cabinet(charges=[98])
    booking = service.book(1)
    assert service.unlock(booking).body == service.unlock(booking).body
    assert len(service.queue.published) == 1


# --- many at once -----------------------------------------------------------------------------


def test_twenty_callers_share_six_accumulators_without_a_deadlock(service: Service) -> None:
    service.add_cabinet(charges=[98] * 6)
    with ThreadPoolExecutor(20) as callers:
        answers = list(callers.map(lambda n: book(service, contractor_id=f"T-{n}"), range(20)))
    assert sorted(answer.status for answer in answers) == [201] * 6 + [409] * 14
    assert {a.body["code"] for a in answers if a.status == 409} == {"not_enough_accumulators"}
    held = [c["accumulator_id"] for a in answers if a.status == 201 for c in a.body["cells"]]
    assert len(set(held)) == 6
    service.check_invariants()


def test_two_who_unlock_one_booking_get_one_answer_of_one_command(service: Service) -> None:
    service.add_cabinet(charges=[98])
    booking = service.book(1)
    with ThreadPoolExecutor(5) as callers:
        answers = list(callers.map(service.unlock, [booking] * 5))
    assert [answer.status for answer in answers] == [200] * 5
    assert len({str(answer.body) for answer in answers}) == 1
    assert len(service.queue.commands("unlock")) == 1
    assert service.causes("C-1.A-1").count("issued") == 1
    service.check_invariants()


def test_a_cancellation_and_an_unlock_at_once_are_one_after_the_other(service: Service) -> None:
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
