"""GET /v1/search: ids of every kind, and beginnings of ids."""

from urllib.parse import quote

import pytest

from tests.integration.cabinets.cabinet_requests import MOSCOW
from tests.support.service import Service


def found(service: Service, q: str) -> list[tuple[str, str]]:
    results = service.get(f"/v1/search?q={quote(q)}")["results"]
    return [(one["kind"], one["id"]) for one in results]


def test_nothing_is_found_in_an_empty_service(service: Service) -> None:
    assert found(service, "C-1") == []


def test_an_id_of_several_kinds_finds_all_of_them_before_longer_ids(service: Service) -> None:
    service.connect("X-1")
    service.connect("X-10")
    for name, place in [
        ("X-1", {"contractor_id": "X-1"}),
        ("X-11", {"scooter_id": "X-1"}),
    ]:
        service.post("/v1/accumulators", {"accumulator_id": name, **place})
    assert found(service, "X-1") == [
        ("cabinet", "X-1"),
        ("accumulator", "X-1"),
        ("contractor", "X-1"),
        ("scooter", "X-1"),
        ("cabinet", "X-10"),
        ("accumulator", "X-11"),
    ]


def test_a_device_finds_its_cabinet_once(service: Service) -> None:
    service.connect("C-1")
    service.patch("/v1/cabinets/C-1", {"device_id": "board-7"})
    assert found(service, "board-7") == [("cabinet", "C-1")]
    assert found(service, "board-") == []
    assert found(service, "C-1") == [("cabinet", "C-1")]


def test_accumulators_are_found_in_any_case_and_cabinets_only_as_they_are(service: Service) -> None:
    service.connect("Ab")
    service.post("/v1/accumulators", {"accumulator_id": "ab-1"})
    assert found(service, "aB-1") == [("accumulator", "AB-1")]
    assert found(service, "ab") == [("accumulator", "AB-1")]
    assert found(service, "Ab") == [("cabinet", "Ab"), ("accumulator", "AB-1")]


@pytest.mark.parametrize("q", ["_", "C_", "C.", "C:", "C--", "C%", "c-"])
def test_no_character_is_a_wildcard(service: Service, q: str) -> None:
    for cabinet_id in ("C-1", "CC1"):
        service.connect(cabinet_id)
    response = service.call("GET", f"/v1/search?q={quote(q)}")
    assert (response.status, response.body.get("results", [])) in [(200, []), (400, [])]


@pytest.mark.parametrize("last", [*"-.:_09AZaz"])
def test_every_character_of_ids_is_found_after_a_beginning(service: Service, last: str) -> None:
    body = {"cabinet_id": f"C{last}", "device_id": "x", "coords": MOSCOW, "cells_total": 1}
    service.post("/v1/cabinets", body)
    service.connect("D")
    assert found(service, "C") == [("cabinet", f"C{last}")]


def test_a_contractor_is_found_by_a_booking_and_by_a_movement(service: Service) -> None:
    service.add_cabinet(charges=[98])
    service.book(1, contractor_id="T-1")
    assert found(service, "T-1") == [("contractor", "T-1")]
    assert found(service, "T-") == []
    service.post("/v1/accumulators", {"accumulator_id": "B", "contractor_id": "T-2"})
    body = {"place": {"scooter_id": "S-1"}, "reason": "x"}
    service.patch("/v1/accumulators/B", body)
    assert found(service, "T-2") == [("contractor", "T-2")]
    assert found(service, "S-1") == [("scooter", "S-1")]
    service.patch("/v1/accumulators/B", {"place": {"nowhere": True}, "reason": "x"})
    assert found(service, "S-1") == [("scooter", "S-1")]


def test_bookings_and_commands_are_found_by_their_whole_id(service: Service) -> None:
    service.add_cabinet(charges=[98])
    booking = service.book(1)
    command_id = service.unlock(booking).body["command_id"]
    booking_id = booking["booking_id"]
    assert found(service, booking_id) == [("booking", booking_id)]
    assert found(service, command_id.upper()) == [("command", command_id)]
    assert found(service, booking_id[:-1]) == []


def test_at_most_twenty_are_returned_cabinets_first(service: Service) -> None:
    for number in range(15):
        service.connect(f"X-{number:02}")
        service.post("/v1/accumulators", {"accumulator_id": f"X-{number:02}"})
    kinds = [kind for kind, _ in found(service, "X")]
    assert kinds == ["cabinet"] * 15 + ["accumulator"] * 5
    assert found(service, "X")[:2] == [("cabinet", "X-00"), ("cabinet", "X-01")]


def test_a_removed_cabinet_is_not_found(service: Service) -> None:
    service.connect("C-1")
    service.delete("/v1/cabinets/C-1")
    assert found(service, "C-1") == []


@pytest.mark.parametrize("q", ["", " ", "C 1", "шкаф", "x" * 65, "'", "%00", "C-1\n", "a/b"])
def test_only_what_can_be_an_id_is_searched_for(service: Service, q: str) -> None:
    response = service.call("GET", f"/v1/search?q={quote(q, safe='%')}")
    assert response.status == 400
    assert [fault["field"] for fault in response.body["errors"]] == ["q"]


def test_a_search_needs_something_to_search_for(service: Service) -> None:
    assert service.call("GET", "/v1/search").status == 400
