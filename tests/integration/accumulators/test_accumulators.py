"""Accumulators over HTTP: register, look up, correct, retire, and their chain of custody."""

from typing import Any

import pytest

from tests.integration.api_calls import all_pages, refusal
from tests.support.service import Service


def register(service: Service, accumulator_id: str, **more: Any) -> Any:
    return service.post("/v1/accumulators", {"accumulator_id": accumulator_id} | more)


def correct(service: Service, accumulator_id: str, **change: Any) -> Any:
    body = {"reason": "counted"} | change
    return service.call("PATCH", f"/v1/accumulators/{accumulator_id}", body, key="operator")


def ids(service: Service, query: str = "") -> list[str]:
    page = service.get(f"/v1/accumulators?{query}")
    return [found["accumulator_id"] for found in page["accumulators"]]


# --- register, look up ------------------------------------------------------------------------


@pytest.mark.parametrize(
    "place",
    [{}, {"contractor_id": "T-1"}, {"scooter_id": "S-1"}],
    ids=["nowhere", "bag", "scooter"],
)
def test_an_accumulator_is_registered_at_its_place(service: Service, place: dict[str, str]) -> None:
    body = {"accumulator_id": "A-1", "battery_charge": 97} | place
    response = service.call("POST", "/v1/accumulators", body, key="operator")
    assert response.status == 201
    found = dict(response.body)
    assert found.pop("charge_at").endswith("Z")
    columns = {"cabinet_id": None, "cell_number": None, "contractor_id": None, "scooter_id": None}
    assert found == {
        "accumulator_id": "A-1",
        "place": place or None,
        **columns,
        **place,
        "battery_charge": 97,
        "state_of_health": None,
        "status": "in_service",
        "requested_by": "operator",
    }
    assert service.get("/v1/accumulators/A-1") == response.body
    assert service.movement_causes("A-1") == ["registered"]


def test_an_unknown_charge_has_no_time(service: Service) -> None:
    found = register(service, "A-1")
    assert (found["battery_charge"], found["charge_at"]) == (None, None)


def test_an_accumulator_id_can_be_registered_once(service: Service) -> None:
    register(service, "A-1", contractor_id="T-1")
    again = {"accumulator_id": "A-1", "scooter_id": "S-1"}
    assert refusal(service, "POST", "/v1/accumulators", again) == (409, "accumulator_exists")
    assert service.place("A-1") == {"contractor_id": "T-1"}
    assert service.movement_causes("A-1") == ["registered"]


def test_an_accumulator_cannot_be_registered_at_two_places(service: Service) -> None:
    body = {"accumulator_id": "A-1", "contractor_id": "T-1", "scooter_id": "S-1"}
    assert refusal(service, "POST", "/v1/accumulators", body) == (400, "invalid_request")


@pytest.mark.parametrize(
    ("method", "path", "body"),
    [
        ("GET", "/v1/accumulators/A-9", None),
        ("PATCH", "/v1/accumulators/A-9", {"battery_charge": 5, "reason": "x"}),
        ("DELETE", "/v1/accumulators/A-9", None),
        ("GET", "/v1/accumulators/A-9/movements", None),
    ],
    ids=["get", "correct", "retire", "movements"],
)
def test_an_unknown_accumulator_is_not_found(
    service: Service, method: str, path: str, body: Any
) -> None:
    assert refusal(service, method, path, body) == (404, "accumulator_not_found")


# --- lists ------------------------------------------------------------------------------------


def test_accumulators_are_filtered_by_place_status_and_charge(service: Service) -> None:
    service.add_cabinet(charges=[98, 40])
    register(service, "B-1", contractor_id="T-1", battery_charge=20)
    register(service, "B-2", scooter_id="S-1")
    assert ids(service) == ["B-1", "B-2", "C-1.A-1", "C-1.A-2"]
    assert ids(service, "contractor_id=T-1") == ["B-1"]
    assert ids(service, "scooter_id=S-1") == ["B-2"]
    assert ids(service, "cabinet_id=C-1") == ["C-1.A-1", "C-1.A-2"]
    assert ids(service, "min_charge=40") == ["C-1.A-1", "C-1.A-2"]
    assert ids(service, "cabinet_id=C-1&min_charge=41") == ["C-1.A-1"]
    assert correct(service, "B-2", status="quarantined").status == 200
    assert ids(service, "status=quarantined") == ["B-2"]
    assert ids(service, "status=quarantined&contractor_id=T-1") == []


@pytest.mark.parametrize("limit", [1, 2, 3, 200])
def test_pages_contain_every_accumulator_once(service: Service, limit: int) -> None:
    for number in (3, 1, 2):
        register(service, f"A-{number}")
    found = all_pages(service, "/v1/accumulators", "accumulators", limit=limit)
    assert [a["accumulator_id"] for a in found] == ["A-1", "A-2", "A-3"]


@pytest.mark.parametrize("limit", [1, 2, 3, 200])
def test_movements_are_listed_newest_first_in_pages(service: Service, limit: int) -> None:
    register(service, "A-1", contractor_id="T-0")
    for number in range(1, 3):
        correct(service, "A-1", place={"contractor_id": f"T-{number}"})
    found = all_pages(service, "/v1/accumulators/A-1/movements", "movements", limit=limit)
    assert [(m["from"], m["to"]) for m in found] == [
        ({"contractor_id": "T-1"}, {"contractor_id": "T-2"}),
        ({"contractor_id": "T-0"}, {"contractor_id": "T-1"}),
        (None, {"contractor_id": "T-0"}),
    ]


# --- correct ----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "place",
    [{"contractor_id": "T-2"}, {"scooter_id": "S-2"}, {"cabinet_id": "C-1", "cell_number": 2}],
    ids=["bag", "scooter", "cell"],
)
def test_a_corrected_place_is_recorded_in_the_ledger_with_its_reason(
    service: Service, place: dict[str, Any]
) -> None:
    service.add_cabinet()
    register(service, "A-1", contractor_id="T-1", battery_charge=50)
    assert correct(service, "A-1", place=place, reason="found there").body["place"] == place
    last = service.get("/v1/accumulators/A-1/movements")["movements"][0]
    assert (last["cause"], last["from"], last["to"]) == (
        "corrected",
        {"contractor_id": "T-1"},
        place,
    )
    assert (last["reason"], last["discrepancy"]) == ("found there", True)
    service.check_invariants()


def test_a_place_can_be_corrected_to_nowhere_known(service: Service) -> None:
    register(service, "A-1", scooter_id="S-1")
    response = correct(service, "A-1", place={"nowhere": True}, status="missing")
    assert (response.body["place"], response.body["status"]) == (None, "missing")


def test_a_correction_to_the_current_place_records_no_movement(service: Service) -> None:
    register(service, "A-1", scooter_id="S-1")
    assert correct(service, "A-1", place={"scooter_id": "S-1"}).status == 200
    assert service.movement_causes("A-1") == ["registered"]


def test_a_correction_changes_only_the_given_fields(service: Service) -> None:
    register(service, "A-1", contractor_id="T-1", battery_charge=50)
    after = correct(service, "A-1", status="quarantined").body
    assert (after["status"], after["battery_charge"], after["place"]) == (
        "quarantined",
        50,
        {"contractor_id": "T-1"},
    )
    assert correct(service, "A-1", battery_charge=60).body["status"] == "quarantined"


def test_a_charge_can_be_corrected_to_unknown(service: Service) -> None:
    register(service, "A-1", battery_charge=50)
    assert correct(service, "A-1", battery_charge=None).body["battery_charge"] is None


@pytest.mark.parametrize(
    "place",
    [{"cabinet_id": "C-9", "cell_number": 1}, {"cabinet_id": "C-1", "cell_number": 7}],
    ids=["cabinet", "cell"],
)
def test_a_correction_to_an_unknown_cell_is_not_found(
    service: Service, place: dict[str, Any]
) -> None:
    service.add_cabinet(cells=6)
    register(service, "A-1")
    response = correct(service, "A-1", place=place)
    assert (response.status, response.body["code"]) == (404, "cell_not_found")


@pytest.mark.parametrize(
    "change",
    [
        {},
        {"status": "retired"},
        {"place": {}},
        {"place": {"nowhere": False}},
        {"place": {"contractor_id": "T-1", "scooter_id": "S-1"}},
        {"place": {"cabinet_id": "C-1"}},
        {"battery_charge": 101},
        {"battery_charge": 50, "reason": ""},
        {"battery_charge": 50, "reason": None},
    ],
    ids=str,
)
def test_an_invalid_correction_is_refused(service: Service, change: dict[str, Any]) -> None:
    register(service, "A-1")
    assert correct(service, "A-1", **change).status == 400


def test_a_held_accumulator_can_be_neither_moved_nor_retired(service: Service) -> None:
    service.add_cabinet(charges=[98])
    service.book(1)
    assert correct(service, "C-1.A-1", place={"nowhere": True}).body["code"] == "accumulator_in_use"
    path = "/v1/accumulators/C-1.A-1"
    assert refusal(service, "DELETE", path) == (409, "accumulator_in_use")
    service.advance_time(1801)  # an expired booking holds nothing
    assert correct(service, "C-1.A-1", place={"nowhere": True}).status == 200
    service.check_invariants()


# --- retire -----------------------------------------------------------------------------------


def test_a_retired_accumulator_keeps_its_movements(service: Service) -> None:
    register(service, "A-1")
    response = service.call("DELETE", "/v1/accumulators/A-1", key="operator")
    assert (response.status, response.body) == (204, None)
    assert service.get("/v1/accumulators/A-1")["status"] == "retired"
    assert service.movement_causes("A-1") == ["registered"]
    assert service.get("/v1/stats")["places"]["retired"] == 1


@pytest.mark.parametrize("place", [{"contractor_id": "T-1"}, {"scooter_id": "S-1"}], ids=str)
def test_an_accumulator_with_a_contractor_or_in_a_scooter_cannot_be_retired(
    service: Service, place: dict[str, str]
) -> None:
    register(service, "A-1", **place)
    assert refusal(service, "DELETE", "/v1/accumulators/A-1") == (409, "accumulator_in_use")
    assert correct(service, "A-1", place={"nowhere": True}).status == 200
    service.delete("/v1/accumulators/A-1")


def test_a_retired_accumulator_cannot_be_moved_before_it_is_in_service_again(
    service: Service,
) -> None:
    register(service, "A-1")
    service.delete("/v1/accumulators/A-1")
    assert correct(service, "A-1", place={"scooter_id": "S-1"}).body["code"] == "accumulator_in_use"
    response = correct(service, "A-1", status="in_service", place={"scooter_id": "S-1"})
    assert response.body["place"] == {"scooter_id": "S-1"}
