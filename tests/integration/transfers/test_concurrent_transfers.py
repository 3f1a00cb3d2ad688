"""Transfers at the same time as other transfers, swaps, bookings and cabinets' messages."""

from collections.abc import Callable
from typing import Any
from uuid import uuid4

import pytest

from local.cabinet.hardware import Accumulator
from shared import db, evidence, triggers
from shared.errors import AccumulatorNotHeld
from shared.models.swaps import SwapRequest
from shared.models.transfers import TransferRequest
from shared.repo import accumulators
from shared.services import swap, transfers
from tests.integration.blocking import blocked
from tests.integration.transfers.transfer_requests import (
    TAKER,
    last_movement,
    movements,
    transfer,
)
from tests.support.service import Response, Service, record


def request(*ids: str, to: str = "T-2", reconcile: bool = False) -> TransferRequest:
    return TransferRequest(
        from_contractor_id="T-1",
        to_contractor_id=to,
        accumulator_ids=[*ids],
        reconcile=reconcile,
    )


def both(
    service: Service, first: Callable[[db.Tx], Any], second: Callable[[], Response]
) -> Response:
    """Let the second action wait for the transaction of the first; return the second's response."""
    with blocked(service, second) as start, db.transaction() as tx:
        first(tx)
        started = start()
    result: Response = started.result()
    return result


@pytest.mark.parametrize("ids", [("A-1", "A-2"), ("A-2", "A-1")], ids=str)
def test_of_two_simultaneous_transfers_of_an_accumulator_one_succeeds(
    carrying: Service, ids: tuple[str, str]
) -> None:
    response = both(
        carrying,
        lambda tx: transfers.record(tx, uuid4(), request("A-1", "A-2")),
        lambda: transfer(carrying, *ids, to_contractor_id="T-3"),
    )
    assert (response.status, response.body["code"]) == (409, "accumulator_not_held")
    assert [one["place"] for one in response.body["accumulators"]] == [TAKER, TAKER]
    assert movements(carrying, "A-1") == 2
    carrying.check_invariants()


@pytest.mark.parametrize("reconcile", [False, True])
def test_two_simultaneous_reports_of_one_transfer_are_one_transfer(
    carrying: Service, *, reconcile: bool
) -> None:
    ids = ("A-1", "NEW") if reconcile else ("A-1", "A-2")
    recorded = []
    response = both(
        carrying,
        lambda tx: recorded.append(
            transfers.record(tx, uuid4(), request(*ids, reconcile=reconcile))
        ),
        lambda: transfer(carrying, *ids, reconcile=reconcile),
    )
    assert response.status == 200
    assert response.body["transfer_id"] == str(recorded[0].transfer_id)
    assert movements(carrying, ids[1]) == 2
    carrying.check_invariants()


def test_a_transfer_that_waits_for_a_swap_of_its_accumulator_is_refused(carrying: Service) -> None:
    report = SwapRequest(scooter_id="S-1", contractor_id="T-1", installed_accumulator_id="A-1")
    response = both(
        carrying,
        lambda tx: swap.record(tx, uuid4(), report),
        lambda: transfer(carrying, "A-1", "A-2"),
    )
    assert (response.status, response.body["place"]) == (409, {"scooter_id": "S-1"})
    assert carrying.place("A-2") == {"contractor_id": "T-1"}
    carrying.check_invariants()


def test_a_swap_that_waits_for_a_transfer_of_its_accumulator_is_refused(carrying: Service) -> None:
    body = {"scooter_id": "S-1", "contractor_id": "T-1", "installed_accumulator_id": "A-1"}
    response = both(
        carrying,
        lambda tx: transfers.record(tx, uuid4(), request("A-1")),
        lambda: carrying.call("POST", "/v1/swaps", body),
    )
    assert (response.status, response.body["code"]) == (409, "accumulator_not_held")
    assert response.body["place"] == TAKER
    carrying.check_invariants()


@pytest.fixture
def entering(carrying: Service) -> list[Any]:
    """A message of C-1 that reports A-1 in its first cell; not delivered yet."""
    hardware = carrying.add_cabinet()
    hardware.cells[1].accumulator = Accumulator("A-1", 90)
    return triggers.raw_messages({"messages": [record("C-1", hardware.state_report())]})


def test_a_transfer_that_waits_for_a_report_of_its_accumulator_in_a_cell_is_refused(
    carrying: Service, entering: list[Any]
) -> None:
    response = both(
        carrying,
        lambda tx: evidence.apply_messages(tx, entering, reconcile_seconds=600),
        lambda: transfer(carrying, "A-1", "A-2"),
    )
    assert (response.status, response.body["code"]) == (409, "accumulator_not_held")
    assert response.body["place"] == {"cabinet_id": "C-1", "cell_number": 1}
    carrying.check_invariants()


def test_a_reconciled_transfer_locks_the_cabinet_its_accumulator_entered_while_it_waited(
    carrying: Service, entering: list[Any]
) -> None:
    response = both(
        carrying,
        lambda tx: evidence.apply_messages(tx, entering, reconcile_seconds=600),
        lambda: transfer(carrying, "A-1", "A-2", reconcile=True),
    )
    assert response.status == 200
    assert carrying.place("A-1") == TAKER
    assert carrying.movement_causes("A-1")[-2:] == ["reported", "transferred"]
    carrying.check_invariants()


def test_a_report_that_waits_for_a_transfer_puts_the_accumulator_into_its_cell(
    carrying: Service, entering: list[Any]
) -> None:
    def apply() -> Response:
        with db.transaction() as tx:
            evidence.apply_messages(tx, entering, reconcile_seconds=600)
        db.close()
        return Response(200, None, {})

    both(carrying, lambda tx: transfers.record(tx, uuid4(), request("A-1", "A-2")), apply)
    assert carrying.place("A-1") == {"cabinet_id": "C-1", "cell_number": 1}
    assert carrying.place("A-2") == TAKER
    assert carrying.movement_causes("A-1")[-2:] == ["transferred", "reported"]
    carrying.check_invariants()


def test_an_older_report_of_its_open_cell_does_not_undo_a_transfer(service: Service) -> None:
    hardware = service.add_cabinet(charges=[90])
    assert service.unlock(service.book()).status == 200
    service.hold_messages = True
    service.report()  # still in the open cell
    service.take(1)
    assert transfer(service, "C-1.A-1").status == 200
    service.deliver_held_messages()
    assert hardware.cells[1].accumulator is None
    assert service.place("C-1.A-1") == TAKER
    assert service.movement_causes("C-1.A-1")[-2:] == ["issued", "transferred"]
    assert service.anomalies() == []
    service.check_invariants()


def test_an_accumulator_seen_in_its_closed_cell_after_a_transfer_is_in_the_cell(
    service: Service,
) -> None:
    hardware = service.add_cabinet(charges=[90])
    assert service.unlock(service.book()).status == 200
    assert transfer(service, "C-1.A-1").status == 200
    hardware.close_door(1)
    service.report()
    assert service.place("C-1.A-1") == {"cabinet_id": "C-1", "cell_number": 1}
    assert service.movement_causes("C-1.A-1")[-2:] == ["transferred", "reported"]
    service.check_invariants()


def test_evidence_knows_by_which_command_a_transferred_accumulator_left_its_cell(
    service: Service,
) -> None:
    service.add_cabinet(charges=[90])
    assert service.unlock(service.book()).status == 200
    issued = last_movement(service, "C-1.A-1")
    assert transfer(service, "C-1.A-1").status == 200
    with db.statements() as tx:
        [row] = accumulators.outside(tx, ["C-1.A-1"])
    assert (row["cause"], str(row["command_id"])) == ("issued", issued["command_id"])
    assert row["moved_on_since"]


def test_a_failed_transfer_leaves_nothing_behind(carrying: Service) -> None:
    with pytest.raises(AccumulatorNotHeld), db.transaction() as tx:
        transfers.record(tx, uuid4(), request("A-1", "A-9"))
    db.close()
    assert movements(carrying, "A-1") == 1


def test_a_transfer_reported_again_after_its_function_died_is_the_same(carrying: Service) -> None:
    transfer_id = uuid4()
    for _ in range(2):
        with db.transaction() as tx:
            transfers.record(tx, transfer_id, request("A-1"))
        db.close()
        carrying.patch("/v1/accumulators/A-1", {"place": {"scooter_id": "S-1"}, "reason": "seen"})
    assert carrying.movement_causes("A-1") == ["registered", "transferred", "corrected"]
