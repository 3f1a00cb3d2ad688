"""Cabinets and cells over HTTP."""

from typing import Any

import pytest

from local.cabinet.cells import Accumulator
from shared.models.cabinets import Cabinet
from tests.integration.api_calls import refusal
from tests.integration.cabinets.cabinet_requests import MOSCOW, ids, register
from tests.support.service import Service

# --- register, look up ------------------------------------------------------------------------


def test_a_new_cabinet_is_active_and_offline_with_unknown_cells(service: Service) -> None:
    response = service.call(
        "POST",
        "/v1/cabinets",
        {"cabinet_id": "C-1", "coords": MOSCOW, "address": "Tverskaya 1", "cells_total": 2},
        key="operator",
    )
    assert response.status == 201
    cabinet = response.body
    assert (cabinet["device_id"], cabinet["protocol"]) == ("C-1", "native.v1")
    assert (cabinet["status"], cabinet["online"], cabinet["last_seen_at"]) == (
        "active",
        False,
        None,
    )
    assert cabinet["coords"] == MOSCOW
    assert cabinet["accumulators"] == {"total": 0, "available": 0, "held": 0, "charges": []}
    assert cabinet["free_cells"] == 0
    assert [(cell["cell_number"], cell["door"], cell["content"]) for cell in cabinet["cells"]] == [
        (1, "unknown", "unknown"),
        (2, "unknown", "unknown"),
    ]
    assert service.get("/v1/cabinets/C-1") == cabinet


def test_a_cabinet_may_have_another_device_id(service: Service) -> None:
    assert register(service, "msk:1", device_id="D-1")["device_id"] == "D-1"


@pytest.mark.parametrize(
    ("more", "field"),
    [
        ({"cabinet_id": "msk:1"}, "body"),
        ({"device_id": "with:colon"}, "device_id"),
        ({"device_id": "service"}, "device_id"),
        ({"cabinet_id": "bridge"}, "body"),
        ({"protocol": "modbus"}, "protocol"),
        ({"cells_total": 0}, "cells_total"),
        ({"cells_total": 1001}, "cells_total"),
        ({"coords": {"lat": 90.1, "lon": 0}}, "coords.lat"),
        ({"coords": {"lat": 0, "lon": -180.5}}, "coords.lon"),
    ],
    ids=str,
)
def test_an_invalid_cabinet_is_refused(service: Service, more: dict[str, Any], field: str) -> None:
    body = {"cabinet_id": "C-1", "coords": MOSCOW, "cells_total": 2} | more
    response = service.call("POST", "/v1/cabinets", body, key="operator")
    assert response.status == 400
    assert [fault["field"] for fault in response.body["errors"]] == [field]
    assert ids(service) == []


@pytest.mark.parametrize(
    "body", [{"cabinet_id": "C-1"}, {"cabinet_id": "C-2", "device_id": "C-1"}], ids=str
)
def test_cabinet_and_device_ids_are_unique(service: Service, body: dict[str, Any]) -> None:
    register(service, "C-1")
    again = {"coords": MOSCOW, "cells_total": 2} | body
    assert refusal(service, "POST", "/v1/cabinets", again) == (409, "cabinet_exists")
    assert ids(service) == ["C-1"]


@pytest.mark.parametrize(
    ("method", "path", "body"),
    [
        ("GET", "/v1/cabinets/C-9", None),
        ("PATCH", "/v1/cabinets/C-9", {"status": "active"}),
        ("DELETE", "/v1/cabinets/C-9", None),
        ("PATCH", "/v1/cabinets/C-9/cells/1", {"health": "ok", "reason": "x"}),
        ("POST", "/v1/cabinets/C-9/commands", {"kind": "lock", "cells": [1], "reason": "x"}),
    ],
    ids=["get", "change", "remove", "cell", "command"],
)
def test_an_unknown_cabinet_is_not_found(
    service: Service, method: str, path: str, body: Any
) -> None:
    assert refusal(service, method, path, body) == (404, "cabinet_not_found")


# --- contents ---------------------------------------------------------------------------------


def test_a_cabinet_shows_its_counts(service: Service) -> None:
    hardware = service.add_cabinet(charges=[98, 80, 79, None, 41])
    hardware.cells[6].fault = "sensor"
    service.report()
    service.book(1)
    cabinet = service.get("/v1/cabinets/C-1")
    assert cabinet["online"]
    assert cabinet["accumulators"] == {
        "total": 5,
        "available": 1,
        "held": 1,
        "charges": [98, 80, 79, 41],
    }
    assert (cabinet["free_cells"], cabinet["faulty_cells"]) == (0, 1)
    assert service.get("/v1/cabinets")["cabinets"] == [
        {name: cabinet[name] for name in Cabinet.model_fields}
    ]


def test_a_cell_shows_its_contents_and_its_booking(service: Service) -> None:
    service.add_cabinet(charges=[98])
    booking = service.book(1)
    shown = service.cell(1)
    reported_at = shown.pop("reported_at")
    assert reported_at.endswith("Z")
    assert shown == {
        "cell_number": 1,
        "door": "closed",
        "content": "occupied",
        "accumulator_id": "C-1.A-1",
        "battery_charge": 98,
        "health": "ok",
        "health_reason": None,
        "booking_id": booking["booking_id"],
        "requested_by": None,
        "held_back_id": None,
    }
    assert service.cell(2)["content"] == "empty"


def test_a_reported_fault_makes_the_cell_faulty(service: Service) -> None:
    service.add_cabinet(charges=[98])
    service.act("C-1", lambda hardware: setattr(hardware.cells[1], "fault", "over_current"))
    assert (service.cell(1)["health"], service.cell(1)["health_reason"]) == (
        "faulty",
        "over_current",
    )


# --- change -----------------------------------------------------------------------------------


def test_a_change_affects_only_the_given_fields(service: Service) -> None:
    before = register(service, "C-1", address="Tverskaya 1")
    after = service.patch("/v1/cabinets/C-1", {"coords": {"lat": 1.5, "lon": -2.5}})
    assert after == before | {"coords": {"lat": 1.5, "lon": -2.5}}
    assert service.patch("/v1/cabinets/C-1", {"address": "Arbat 1"})["address"] == "Arbat 1"
    assert service.get("/v1/cabinets/C-1")["coords"] == {"lat": 1.5, "lon": -2.5}


def test_an_address_can_be_removed(service: Service) -> None:
    register(service, "C-1", address="Tverskaya 1")
    assert service.patch("/v1/cabinets/C-1", {"address": None})["address"] is None


def test_a_status_reason_lasts_until_the_cabinet_is_active_again(service: Service) -> None:
    register(service, "C-1")
    off = service.patch("/v1/cabinets/C-1", {"status": "inactive", "status_reason": "moved"})
    assert (off["status"], off["status_reason"]) == ("inactive", "moved")
    assert service.patch("/v1/cabinets/C-1", {"address": "x"})["status_reason"] == "moved"
    on = service.patch("/v1/cabinets/C-1", {"status": "active"})
    assert (on["status"], on["status_reason"]) == ("active", None)


def test_an_empty_change_is_refused(service: Service) -> None:
    register(service, "C-1")
    assert refusal(service, "PATCH", "/v1/cabinets/C-1", {}) == (400, "invalid_request")


def test_a_disabled_cell_is_not_used_until_it_is_set_ok(service: Service) -> None:
    service.add_cabinet(charges=[98], cells=2)
    off = service.patch(
        "/v1/cabinets/C-1/cells/1", {"health": "disabled", "reason": "the door is bent"}
    )
    assert (off["health"], off["health_reason"]) == ("disabled", "the door is bent")
    assert service.get("/v1/cabinets/C-1")["accumulators"]["available"] == 0
    assert service.get("/v1/cabinets/C-1")["faulty_cells"] == 1
    on = service.patch("/v1/cabinets/C-1/cells/1", {"health": "ok", "reason": "mended"})
    assert (on["health"], on["health_reason"]) == ("ok", None)
    assert service.get("/v1/cabinets/C-1")["accumulators"]["available"] == 1


def test_an_unknown_cell_is_not_found(service: Service) -> None:
    register(service, "C-1")
    body = {"health": "disabled", "reason": "x"}
    assert refusal(service, "PATCH", "/v1/cabinets/C-1/cells/3", body) == (404, "cell_not_found")


# --- remove -----------------------------------------------------------------------------------


def test_an_empty_cabinet_can_be_removed(service: Service) -> None:
    register(service, "C-1")
    response = service.call("DELETE", "/v1/cabinets/C-1", key="operator")
    assert (response.status, response.body) == (204, None)
    assert refusal(service, "GET", "/v1/cabinets/C-1") == (404, "cabinet_not_found")


def test_a_cabinet_with_accumulators_cannot_be_removed(service: Service) -> None:
    service.add_cabinet(charges=[98])
    assert refusal(service, "DELETE", "/v1/cabinets/C-1") == (409, "cabinet_not_empty")


def test_a_cabinet_with_an_unfinished_booking_cannot_be_removed(service: Service) -> None:
    service.add_cabinet()
    booking = service.book(1, "return")
    assert refusal(service, "DELETE", "/v1/cabinets/C-1") == (409, "cabinet_not_empty")
    service.delete(f"/v1/bookings/{booking['booking_id']}")
    service.delete("/v1/cabinets/C-1")


def test_a_cabinet_with_an_expired_booking_can_be_removed(service: Service) -> None:
    service.add_cabinet()
    service.book(1, "return")
    service.advance_time(1801)
    service.delete("/v1/cabinets/C-1")


def test_a_cabinet_with_an_unsettled_command_cannot_be_removed(service: Service) -> None:
    service.add_cabinet()
    service.lose_commands = True
    body = {"kind": "unlock", "cells": [1], "reason": "x"}
    assert refusal(service, "POST", "/v1/cabinets/C-1/commands", body) == (504, "cabinet_no_answer")
    assert refusal(service, "DELETE", "/v1/cabinets/C-1") == (409, "cabinet_not_empty")


def test_removing_a_cabinet_keeps_the_ledger(service: Service) -> None:
    service.add_cabinet(charges=[98])
    assert service.unlock(service.book(1)).status == 200
    taken = service.take(1)
    back = service.book(1, "return")
    assert service.unlock(back).status == 200
    [cell] = service.booking(back)["cells"]
    service.put(cell["cell_number"], Accumulator(taken.accumulator_id, 97))
    assert service.unlock(service.book(1)).status == 200
    service.take(cell["cell_number"])
    service.send_from("C-1", b"nonsense")
    before = service.get("/v1/accumulators/C-1.A-1/movements")

    service.delete("/v1/cabinets/C-1")

    assert service.get("/v1/accumulators/C-1.A-1/movements") == before
    assert "C-1" in str(before)
    assert service.get("/v1/bookings")["bookings"] == []
    assert service.anomalies() == ["malformed"]
    service.check_invariants()
    assert not register(service, "C-1")["online"]  # its id can be used again
