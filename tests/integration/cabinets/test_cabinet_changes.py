"""PATCH /v1/cabinets/{cabinet_id}: more cells, fewer cells, another device."""

import pytest

from local.cabinet.cells import Cell
from local.cabinet.hardware import Accumulator
from tests.support.service import Service


def change(service: Service, **fields: object) -> tuple[int, dict[str, object]]:
    response = service.call("PATCH", "/v1/cabinets/C-1", fields, key="operator")
    return response.status, response.body


def test_a_cabinet_can_get_more_cells(service: Service) -> None:
    hardware = service.add_cabinet(charges=[90], cells=2)
    hardware.cells[3] = Cell(3)
    hardware.cells[3].accumulator = Accumulator("A-3", 80)
    service.report()
    assert service.anomalies() == ["cells_total_differs"]
    assert service.place("C-1.A-1") == {"cabinet_id": "C-1", "cell_number": 1}
    status, body = change(service, cells_total=3)
    assert (status, body["cells_total"]) == (200, 3)
    service.report()
    assert service.place("A-3") == {"cabinet_id": "C-1", "cell_number": 3}
    service.check_invariants()


def test_a_cabinet_that_reports_too_many_cells_is_noted_once(service: Service) -> None:
    hardware = service.add_cabinet(cells=2)
    hardware.cells[3] = Cell(3)
    for _ in range(3):
        service.report()
    [row] = service.sql("SELECT reason, count FROM anomalies")
    assert row == {"reason": "cells_total_differs", "count": 3}


def test_a_cabinet_can_get_fewer_cells_if_they_are_closed_and_empty(service: Service) -> None:
    service.add_cabinet(charges=[90], cells=3)
    assert change(service, cells_total=1)[0] == 200
    assert len(service.get("/v1/cabinets/C-1")["cells"]) == 1
    service.check_invariants()


def test_cells_that_were_never_reported_can_be_removed(service: Service) -> None:
    service.connect("C-1", cells=6)
    assert change(service, cells_total=4)[0] == 200


@pytest.mark.parametrize("reason", ["occupied", "open", "held"])
def test_cells_in_use_cannot_be_removed(service: Service, reason: str) -> None:
    service.add_cabinet(charges=[None, 90] if reason == "occupied" else (), cells=2)
    if reason == "open":
        service.act("C-1", lambda cabinet: cabinet.pry_open(2))
    if reason == "held":
        service.book(2, "return")
    status, body = change(service, cells_total=1)
    assert (status, body["code"], body["cells"]) == (409, "cells_in_use", [2])
    assert len(service.get("/v1/cabinets/C-1")["cells"]) == 2
    service.check_invariants()


def test_the_bookings_of_removed_cells_are_kept(service: Service) -> None:
    service.add_cabinet(cells=2)
    booking = service.book(2, "return")
    service.delete(f"/v1/bookings/{booking['booking_id']}")
    assert change(service, cells_total=1)[0] == 200
    assert len(service.booking(booking)["cells"]) == 2


def test_a_replaced_board_keeps_the_cabinet_with_everything_in_it(service: Service) -> None:
    hardware = service.add_cabinet(charges=[90])
    old_report = hardware.state_report()
    status, body = change(service, device_id="BOARD-2")
    assert (status, body["device_id"]) == (200, "BOARD-2")
    assert service.place("C-1.A-1") == {"cabinet_id": "C-1", "cell_number": 1}
    hardware.cells[1].accumulator = Accumulator("C-1.A-1", 50)
    hardware.seq = 0  # the new board counts from zero, perhaps with the same boot id
    service.deliver(("BOARD-2", hardware.state_report()))
    assert service.cell(1)["battery_charge"] == 50
    service.deliver(("C-1", old_report))
    assert service.cell(1)["battery_charge"] == 50
    assert service.anomalies() == ["unknown_device"]
    service.check_invariants()


def test_another_cabinets_device_is_refused(service: Service) -> None:
    service.add_cabinet()
    service.add_cabinet("C-2")
    status, body = change(service, device_id="C-2")
    assert (status, body["code"]) == (409, "device_exists")
    assert change(service, device_id="C-1")[0] == 200


def test_an_unknown_protocol_is_refused(service: Service) -> None:
    service.add_cabinet()
    status, body = change(service, protocol="nobody.v9")
    assert (status, body["code"]) == (400, "invalid_request")
    assert change(service, protocol="native.v1")[0] == 200
