"""GET /v1/overview: the cabinets as columns, places, and the ETag."""

from typing import Any

import pytest

from tests.support.service import Service

COLUMNS = {
    "cabinet_id",
    "lat",
    "lon",
    "active",
    "online",
    "alarms",
    "ready",
    "free",
    "faulty",
    "accumulators",
    "cells_total",
    "last_seen_at",
    "firmware",
}


def rows(service: Service, query: str = "") -> dict[str, dict[str, Any]]:
    """Return the overview's columns as one row for each cabinet, by id."""
    columns = service.get(f"/v1/overview{query}")["cabinets"]
    names = list(columns)
    found = [dict(zip(names, row, strict=True)) for row in zip(*columns.values(), strict=True)]
    return {row["cabinet_id"]: row for row in found}


def test_an_empty_fleet_has_empty_columns(service: Service) -> None:
    overview = service.get("/v1/overview")
    assert overview["cabinets"] == {name: [] for name in COLUMNS}
    assert overview["places"] == {"cabinet": 0, "contractor": 0, "scooter": 0, "unknown": 0}
    assert overview["needs_a_person"] == 0


def test_the_columns_are_what_the_list_of_cabinets_has(service: Service) -> None:
    first = service.add_cabinet("C-1", charges=[98, 80, 79, None, 41])
    first.cells[6].fault = "sensor"
    first.alarms.add("door")
    service.report("C-1")
    service.book(1)
    service.add_cabinet("C-2", charges=[90], cells=3)
    service.connect("C-3")
    service.patch("/v1/cabinets/C-2", {"status": "inactive", "status_reason": "x"})
    found = rows(service)
    assert list(found) == ["C-1", "C-2", "C-3"]
    for cabinet in service.get("/v1/cabinets")["cabinets"]:
        assert found[cabinet["cabinet_id"]] == {
            "cabinet_id": cabinet["cabinet_id"],
            "lat": cabinet["coords"]["lat"],
            "lon": cabinet["coords"]["lon"],
            "active": cabinet["status"] == "active",
            "online": cabinet["online"],
            "alarms": len(cabinet["alarms"]),
            "ready": cabinet["accumulators"]["available"],
            "free": cabinet["free_cells"],
            "faulty": cabinet["faulty_cells"],
            "accumulators": cabinet["accumulators"]["total"],
            "cells_total": cabinet["cells_total"],
            "last_seen_at": None,
            "firmware": None,
        }
    assert found["C-1"]["ready"] == 1
    assert found["C-1"]["faulty"] == 1


def test_an_unlock_in_doubt_takes_its_cells_out_of_the_stock(service: Service) -> None:
    service.add_cabinet(charges=[98, 97])
    service.lose_commands = True
    body = {"kind": "unlock", "cells": [1, 3], "reason": "x"}
    service.call("POST", "/v1/cabinets/C-1/commands", body, key="operator")
    assert (rows(service)["C-1"]["ready"], rows(service)["C-1"]["free"]) == (1, 3)


def test_coordinates_are_rounded_and_a_silent_cabinet_shows_when_it_was_seen(
    service: Service,
) -> None:
    service.add_cabinet()
    service.patch("/v1/cabinets/C-1", {"coords": {"lat": 55.123456789, "lon": -0.000001}})
    service.send_from("C-1", service.cabinets["C-1"].hello())
    service.advance_time(181)
    [cabinet] = rows(service).values()
    assert (cabinet["lat"], cabinet["lon"], cabinet["online"]) == (55.12346, 0, False)
    seen = service.get("/v1/cabinets/C-1")["last_seen_at"]
    assert cabinet["last_seen_at"] == seen[:19] + "Z"
    assert cabinet["firmware"] == service.get("/v1/cabinets/C-1")["firmware"] is not None


def test_named_cabinets_only(service: Service) -> None:
    for number in range(3):
        service.connect(f"C-{number}")
    assert list(rows(service, "?cabinet_ids=C-2,C-0,C-9,C-2")) == ["C-0", "C-2"]
    assert rows(service, "?cabinet_ids=C-9") == {}


@pytest.mark.parametrize("ids", [",", "C-1,", "C-1, C-2", "C-1,шкаф", ",".join(["C-1"] * 101)])
def test_a_malformed_list_of_cabinets_is_refused(service: Service, ids: str) -> None:
    response = service.call("GET", f"/v1/overview?cabinet_ids={ids}")
    assert response.status == 400
    [fault] = response.body["errors"]
    assert fault["field"] == "cabinet_ids"
    assert fault["message"] == "must be up to 100 ids, comma-separated"


def test_a_hundred_cabinets_can_be_named(service: Service) -> None:
    assert rows(service, "?cabinet_ids=" + ",".join(["x" * 64] * 100)) == {}


def test_a_removed_cabinet_is_not_in_the_overview(service: Service) -> None:
    service.add_cabinet()
    service.delete("/v1/cabinets/C-1")
    assert rows(service) == {}


def test_accumulators_are_counted_by_kind_of_place_without_retired_ones(service: Service) -> None:
    service.add_cabinet(charges=[98, 97])
    for number, place in enumerate([{"contractor_id": "T"}, {"scooter_id": "S"}, {}, {}]):
        service.post("/v1/accumulators", {"accumulator_id": f"B-{number}", **place})
    service.delete("/v1/accumulators/B-3")
    places = service.get("/v1/overview")["places"]
    assert places == {"cabinet": 2, "contractor": 1, "scooter": 1, "unknown": 1}


# --- the ETag ---------------------------------------------------------------------------------


def etag(service: Service) -> str:
    return service.call("GET", "/v1/overview").headers["ETag"]


def test_the_same_overview_has_the_same_etag_whenever_it_is_read(service: Service) -> None:
    service.add_cabinet(charges=[98])
    first, second = (service.call("GET", "/v1/overview") for _ in range(2))
    assert first.body["at"] != second.body["at"]
    assert first.headers["ETag"] == second.headers["ETag"]
    service.report()
    assert etag(service) == first.headers["ETag"]


def test_a_change_has_another_etag(service: Service) -> None:
    service.add_cabinet(charges=[98])
    before = etag(service)
    service.book(1)
    assert etag(service) != before


@pytest.mark.parametrize("form", ["{}", '"x", {}', 'W/"a,b" ,{}', "*", "{} "])
def test_a_client_that_has_the_overview_gets_304(service: Service, form: str) -> None:
    known = etag(service)
    for method in ("GET", "HEAD"):
        headers = {"If-None-Match": form.format(known)}
        response = service.call(method, "/v1/overview", headers=headers)
        assert (response.status, response.body) == (304, None)
        assert response.headers["ETag"] == known


def test_a_strong_form_of_the_etag_matches_too(service: Service) -> None:
    headers = {"If-None-Match": etag(service).removeprefix("W/")}
    assert service.call("GET", "/v1/overview", headers=headers).status == 304


@pytest.mark.parametrize(
    "known", ["", 'W/"x"', "x", '"', '""', "W/", "шкаф".encode().decode("latin-1")]
)
def test_a_client_that_has_something_else_gets_the_overview(service: Service, known: str) -> None:
    response = service.call("GET", "/v1/overview", headers={"If-None-Match": known})
    assert response.status == 200


def test_other_routes_ignore_if_none_match(service: Service) -> None:
    response = service.call("GET", "/v1/me", headers={"If-None-Match": "*"})
    assert response.status == 200
    assert "ETag" not in response.headers


def test_an_error_has_no_etag(service: Service) -> None:
    headers = {"If-None-Match": "*"}
    response = service.call("GET", "/v1/overview?cabinet_ids=,", headers=headers)
    assert (response.status, "ETag" in response.headers) == (400, False)
