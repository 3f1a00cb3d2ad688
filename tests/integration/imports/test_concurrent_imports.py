"""Imports at the same time as other requests and as cabinets' messages."""

from typing import Any

import pytest

from local.cabinet.hardware import Accumulator
from shared import db, evidence, triggers
from shared.config import settings
from shared.models.accumulators import AccumulatorRequest
from shared.models.cabinets import CabinetChange, CabinetRequest
from shared.services import accumulators, cabinets
from tests.integration.blocking import blocked
from tests.integration.cabinets.cabinet_requests import register
from tests.integration.imports.import_requests import (
    MOSCOW,
    accumulator,
    cabinet,
    import_items,
    request_import,
)
from tests.support.service import Service, record


def results(body: Any) -> list[tuple[str, str]]:
    return [(one["id"], one["code"] or one["result"]) for one in body["results"]]


def test_an_accumulator_registered_meanwhile_is_not_registered_again(service: Service) -> None:
    body = {"accumulators": [accumulator("A-1"), accumulator("A-2", contractor_id="T-2")]}
    with blocked(service, lambda: request_import(service, **body)) as start:
        with db.transaction() as tx:
            request = AccumulatorRequest(accumulator_id="A-2", contractor_id="T-1")
            accumulators.register(tx, request)
            waiting = start()
        assert results(waiting.result().body) == [("A-1", "created"), ("A-2", "updated")]
    service.check_invariants()


@pytest.mark.parametrize("device_id", ["C-2", "D-7"])
def test_a_cabinet_registered_meanwhile_keeps_its_id_and_its_device(
    service: Service, device_id: str
) -> None:
    items = [cabinet("C-1"), cabinet("C-2", address="Arbat 2"), cabinet("C-3", device_id=device_id)]
    with blocked(service, lambda: request_import(service, cabinets=items)) as start:
        with db.transaction() as tx:
            request = {"cabinet_id": "C-2", "device_id": device_id, "coords": MOSCOW}
            new = CabinetRequest.model_validate({**request, "cells_total": 2})
            cabinets.register(tx, new, settings())
            waiting = start()
        assert results(waiting.result().body) == [
            ("C-1", "created"),
            ("C-2", "updated"),
            ("C-3", "device_exists"),
        ]


def test_a_device_given_to_another_cabinet_meanwhile_is_refused(service: Service) -> None:
    register(service, "C-1")
    register(service, "C-2")
    body = {"cabinets": [cabinet("C-2", device_id="D-9")]}
    with blocked(service, lambda: request_import(service, **body)) as start:
        with db.transaction() as tx:
            cabinets.change(tx, "C-1", CabinetChange(device_id="D-9"), settings())
            waiting = start()
        assert results(waiting.result().body) == [("C-2", "device_exists")]


def test_a_changed_device_is_not_given_to_a_new_cabinet_meanwhile(service: Service) -> None:
    register(service, "C-1")
    body = {"cabinet_id": "C-2", "device_id": "D-9", "coords": MOSCOW, "cells_total": 2}
    change = {"device_id": "D-9"}

    def patch() -> Any:
        return service.call("PATCH", "/v1/cabinets/C-1", change, key="operator")

    with blocked(service, patch) as start:
        with db.transaction() as tx:
            cabinets.register(tx, CabinetRequest.model_validate(body), settings())
            waiting = start()
        assert waiting.result().body["code"] == "device_exists"


def test_an_accumulator_that_entered_a_cell_meanwhile_stays_there(service: Service) -> None:
    import_items(service, accumulator("A-9", contractor_id="T-1"))
    hardware = service.add_cabinet()
    hardware.cells[1].accumulator = Accumulator("A-9", 90)
    event = {"messages": [record("C-1", hardware.state_report())]}
    body = {"accumulators": [accumulator("A-9", contractor_id="T-2")]}
    with blocked(service, lambda: request_import(service, **body)) as start:
        with db.transaction() as tx:
            evidence.apply_messages(tx, triggers.raw_messages(event), reconcile_seconds=600)
            waiting = start()
        assert results(waiting.result().body) == [("A-9", "unchanged")]
    assert service.place("A-9") == {"cabinet_id": "C-1", "cell_number": 1}
    service.check_invariants()


def test_a_batch_sees_an_accumulator_that_was_imported_meanwhile(service: Service) -> None:
    hardware = service.add_cabinet()
    hardware.cells[1].accumulator = Accumulator("A-9", 90)

    with (
        blocked(service, service.report) as start,
        db.transaction() as tx,
    ):
        accumulators.register(tx, AccumulatorRequest(accumulator_id="A-9", contractor_id="T-1"))
        start()
    found = service.get("/v1/accumulators/A-9")
    assert (found["status"], found["cabinet_id"]) == ("in_service", "C-1")
    assert service.anomalies() == ["inserted_without_booking"]
    assert service.movement_causes("A-9") == ["registered", "reported"]
    service.check_invariants()
