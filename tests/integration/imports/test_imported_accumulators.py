"""POST /v1/imports: accumulators. An import fills in what is unknown, and overrides nothing."""

from typing import Any

import pytest

from local.cabinet.hardware import Accumulator
from tests.integration.imports.import_requests import (
    accumulator,
    import_items,
    ledger,
    outcomes,
)
from tests.support.accumulators import IN_CELL_1, cell_state, report_cells
from tests.support.service import Service


def shown(service: Service, accumulator_id: str = "A-1") -> Any:
    return service.get(f"/v1/accumulators/{accumulator_id}")


def report_unknown(service: Service, accumulator_id: str = "A-1") -> None:
    """Let cell 1 of C-1 report an accumulator that nobody has registered."""
    service.add_cabinet().cells[1].accumulator = Accumulator(accumulator_id, 90)
    service.report()
    assert shown(service, accumulator_id)["status"] == "quarantined"


def test_a_new_accumulator_is_registered_with_its_place_and_charge(service: Service) -> None:
    assert outcomes(service, accumulator("a-1", battery_charge=97, contractor_id="T-1")) == [
        "created"
    ]
    found = shown(service)
    assert (found["place"], found["battery_charge"]) == ({"contractor_id": "T-1"}, 97)
    assert found["status"] == "in_service"
    assert ledger(service) == [("registered", "imported")]
    service.check_invariants()


@pytest.mark.parametrize("spelling", ["A-1", "a-1"])
def test_the_same_accumulator_again_is_unchanged(service: Service, spelling: str) -> None:
    outcomes(service, accumulator("A-1", battery_charge=97, contractor_id="T-1"))
    again = accumulator(spelling, battery_charge=97, contractor_id="T-1")
    assert outcomes(service, again) == ["unchanged"]
    assert ledger(service) == [("registered", "imported")]


def test_an_import_moves_an_accumulator_that_only_imports_have_moved(service: Service) -> None:
    service.post("/v1/accumulators", {"accumulator_id": "A-1", "contractor_id": "T-1"})
    assert outcomes(service, accumulator(scooter_id="S-1")) == ["updated"]
    assert outcomes(service, accumulator(contractor_id="T-2", battery_charge=60)) == ["updated"]
    assert shown(service)["place"] == {"contractor_id": "T-2"}
    assert shown(service)["battery_charge"] == 60
    imported = ("corrected", "imported")
    assert ledger(service) == [("registered", None), imported, imported]
    service.check_invariants()


def test_an_import_without_a_place_or_a_charge_changes_neither(service: Service) -> None:
    outcomes(service, accumulator(contractor_id="T-1", battery_charge=60))
    assert outcomes(service, accumulator()) == ["unchanged"]
    assert outcomes(service, accumulator(battery_charge=None)) == ["unchanged"]
    assert shown(service)["place"] == {"contractor_id": "T-1"}


@pytest.mark.parametrize("reason", ["found", "imported"])
def test_what_a_person_has_corrected_is_not_overridden(service: Service, reason: str) -> None:
    outcomes(service, accumulator(contractor_id="T-1"))
    correction = {"place": {"contractor_id": "T-2"}, "reason": reason}
    service.patch("/v1/accumulators/A-1", correction)
    assert outcomes(service, accumulator(contractor_id="T-1", battery_charge=5)) == ["unchanged"]
    assert shown(service)["place"] == {"contractor_id": "T-2"}


def test_what_a_cabinet_has_reported_is_not_overridden(service: Service) -> None:
    service.add_cabinet(charges=[90])
    item = accumulator("C-1.A-1", contractor_id="T-1", battery_charge=5)
    assert outcomes(service, item) == ["unchanged"]
    report_cells(service, cell_state(1, None))
    assert service.place("C-1.A-1") is None
    assert outcomes(service, item) == ["unchanged"]
    assert (shown(service, "C-1.A-1")["battery_charge"], service.place("C-1.A-1")) == (90, None)


def test_a_swapped_accumulator_is_not_moved_back(service: Service) -> None:
    item = accumulator(contractor_id="T-1")
    outcomes(service, item)
    swap = {"scooter_id": "S-1", "contractor_id": "T-1", "installed_accumulator_id": "A-1"}
    service.post("/v1/swaps", swap)
    assert outcomes(service, item) == ["unchanged"]
    assert service.place("A-1") == {"scooter_id": "S-1"}


def test_an_unknown_accumulator_that_a_cabinet_reported_is_put_in_service(
    service: Service,
) -> None:
    report_unknown(service)
    item = accumulator(contractor_id="T-1", battery_charge=5)
    assert outcomes(service, item) == ["updated"]
    found = shown(service)
    assert (found["status"], found["place"], found["battery_charge"]) == (
        "in_service",
        IN_CELL_1,
        90,
    )
    assert outcomes(service, item) == ["unchanged"]
    assert service.book(1)["cells"][0]["accumulator_id"] == "A-1"
    service.check_invariants()


def test_the_log_names_the_accumulators_that_an_import_put_in_service(
    service: Service, capsys: pytest.CaptureFixture[str]
) -> None:
    report_unknown(service)
    import_items(service, accumulator("A-1"), accumulator("A-2"))
    [line] = [line for line in capsys.readouterr().out.splitlines() if "put in service" in line]
    assert '"accumulator_ids": ["A-1"]' in line
    assert '"caller": "operator"' in line


@pytest.mark.parametrize("known_before", [True, False])
def test_an_accumulator_that_a_person_quarantined_stays_quarantined(
    service: Service, *, known_before: bool
) -> None:
    report_unknown(service)
    if known_before:
        service.patch("/v1/accumulators/A-1", {"status": "in_service", "reason": "ours"})
    service.patch("/v1/accumulators/A-1", {"status": "quarantined", "reason": "swollen"})
    assert outcomes(service, accumulator()) == ["unchanged"]
    assert shown(service)["status"] == "quarantined"


def test_a_duplicate_stays_quarantined(service: Service) -> None:
    report_unknown(service)
    report_cells(service, cell_state(2, "A-1"))
    assert "duplicate_accumulator" in service.anomalies()
    assert outcomes(service, accumulator()) == ["unchanged"]
    assert shown(service)["status"] == "quarantined"


@pytest.mark.parametrize("status", ["missing", "quarantined"])
def test_a_status_that_a_person_gave_stays(service: Service, status: str) -> None:
    outcomes(service, accumulator())
    service.patch("/v1/accumulators/A-1", {"status": status, "reason": "checked"})
    assert outcomes(service, accumulator()) == ["unchanged"]
    assert shown(service)["status"] == status


def test_a_retired_accumulator_fails_and_says_what_to_do(service: Service) -> None:
    outcomes(service, accumulator())
    service.delete("/v1/accumulators/A-1")
    [result] = import_items(service, accumulator(contractor_id="T-1"))["results"]
    assert result["code"] == "accumulator_in_use"
    assert "retired" in result["detail"]
    assert shown(service)["status"] == "retired"


def test_an_accumulator_cannot_be_imported_into_two_places(service: Service) -> None:
    [result] = import_items(service, accumulator(contractor_id="T", scooter_id="S"))["results"]
    assert result["code"] == "invalid_request"
