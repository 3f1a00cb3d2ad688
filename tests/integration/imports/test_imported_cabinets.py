"""POST /v1/imports: cabinets."""

from typing import Any

from local.cabinet.hardware import Accumulator
from tests.integration.cabinets.cabinet_requests import register
from tests.integration.imports.import_requests import cabinet, import_items, outcomes
from tests.support.service import Service


def test_a_new_cabinet_has_its_cells_and_the_default_device(service: Service) -> None:
    assert outcomes(service, cabinet(address="Tverskaya 1", cells_total=3)) == ["created"]
    created = service.get("/v1/cabinets/C-1")
    assert (created["device_id"], created["protocol"]) == ("C-1", "native.v1")
    assert (created["address"], len(created["cells"])) == ("Tverskaya 1", 3)


def test_the_same_cabinet_again_is_unchanged(service: Service) -> None:
    item = cabinet(coords={"lat": 55.123456789, "lon": -0.1}, address="Tverskaya 1")
    assert outcomes(service, item) == ["created"]
    assert outcomes(service, item) == ["unchanged"]


def test_the_named_fields_of_an_existing_cabinet_are_changed(service: Service) -> None:
    register(service, "C-1")
    named: dict[str, Any] = {"coords": {"lat": 1, "lon": 2}, "address": "Arbat 2", "cells_total": 5}
    assert outcomes(service, cabinet(**named)) == ["updated"]
    changed = service.get("/v1/cabinets/C-1")
    assert {name: changed[name] for name in named} == named
    assert len(changed["cells"]) == 5


def test_an_absent_field_of_an_existing_cabinet_stays_as_it_is(service: Service) -> None:
    register(service, "C-1", device_id="D-1", address="Arbat 2")
    service.patch("/v1/cabinets/C-1", {"status": "inactive", "status_reason": "moved"})
    before = service.get("/v1/cabinets/C-1")
    assert outcomes(service, cabinet()) == ["unchanged"]
    assert service.get("/v1/cabinets/C-1") == before


def test_cells_in_use_are_not_removed_by_an_import(service: Service) -> None:
    service.add_cabinet(charges=[None, 90, 80], cells=3)
    before = service.get("/v1/cabinets/C-1")
    [result] = import_items(service, cabinet(cells_total=1, address="x"))["results"]
    assert result["code"] == "cells_in_use"
    assert "2, 3" in result["detail"]
    assert service.get("/v1/cabinets/C-1") == before


def test_an_unknown_protocol_fails(service: Service) -> None:
    [result] = import_items(service, cabinet(protocol="modbus"))["results"]
    assert [fault["field"] for fault in result["errors"]] == ["protocol"]
    assert service.get("/v1/cabinets")["cabinets"] == []


def test_a_device_of_another_cabinet_fails(service: Service) -> None:
    register(service, "C-1")
    [result] = import_items(service, cabinet("C-2", device_id="C-1"))["results"]
    assert (result["code"], result["detail"]) == (
        "device_exists",
        "Cabinet C-1 has the device C-1.",
    )


def test_the_first_item_that_claims_a_device_gets_it(service: Service) -> None:
    items = (cabinet("C-1", device_id="D"), cabinet("C-2", device_id="D"), cabinet("D"))
    assert outcomes(service, *items) == ["created", "device_exists", "device_exists"]


def test_a_device_that_another_cabinet_gives_up_is_free_wherever_that_is_in_the_import(
    service: Service,
) -> None:
    for number in (1, 2, 3):
        register(service, f"C-{number}", device_id=f"D-{number}")
    items = [cabinet("C-9", device_id="D-1")]
    items += [cabinet(f"C-{number}", device_id=f"D-{number + 1}") for number in (1, 2, 3)]
    assert outcomes(service, *items) == ["created", "updated", "updated", "updated"]
    assert outcomes(service, *items) == ["unchanged"] * 4
    shown = {one["cabinet_id"]: one["device_id"] for one in service.get("/v1/cabinets")["cabinets"]}
    assert shown == {"C-1": "D-2", "C-2": "D-3", "C-3": "D-4", "C-9": "D-1"}


def test_cabinets_that_would_exchange_their_devices_both_fail(service: Service) -> None:
    for number in (1, 2):
        register(service, f"C-{number}", device_id=f"D-{number}")
    items = (cabinet("C-1", device_id="D-2"), cabinet("C-2", device_id="D-1"))
    assert outcomes(service, *items) == ["device_exists", "device_exists"]


def test_a_cabinet_that_cannot_be_changed_keeps_its_device_from_others(service: Service) -> None:
    service.add_cabinet(charges=[None, 90], cells=2)
    items = (cabinet("C-1", device_id="D-9", cells_total=1), cabinet("C-2", device_id="C-1"))
    assert outcomes(service, *items) == ["cells_in_use", "device_exists"]


def test_a_replaced_board_starts_again(service: Service) -> None:
    hardware = service.add_cabinet(charges=[90], cells=2)
    assert outcomes(service, cabinet(device_id="BOARD-2")) == ["updated"]
    hardware.cells[1].accumulator = Accumulator("C-1.A-1", 50)
    hardware.seq = 0  # the new board counts from zero, perhaps with the same boot id
    service.deliver(("BOARD-2", hardware.state_report()))
    assert service.cell(1)["battery_charge"] == 50
    service.check_invariants()
