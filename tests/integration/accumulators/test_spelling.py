"""One accumulator has one id, in upper case, whatever its label or its electronics say."""

from collections.abc import Iterator
from typing import Any

import pytest

from functions.migrate import main
from local.cabinet.hardware import Accumulator
from local.postgres import Postgres
from shared import db
from shared.repo import stats
from tests.integration.accumulators.swap_requests import swap
from tests.support.accumulators import IN_CELL_1
from tests.support.cloud import Context
from tests.support.database import migrated_before, query
from tests.support.service import Service


def test_every_way_in_and_out_has_the_same_spelling(service: Service) -> None:
    hardware = service.add_cabinet()
    registered = service.post("/v1/accumulators", {"accumulator_id": "f3-ab"})
    assert registered["accumulator_id"] == "F3-AB"
    hardware.cells[1].accumulator = Accumulator("f3-Ab", 90)
    service.report()
    assert service.place("F3-ab") == IN_CELL_1
    assert service.cell(1)["accumulator_id"] == "F3-AB"
    response = service.call("POST", "/v1/accumulators", {"accumulator_id": "F3-AB"}, key="operator")
    assert response.status == 409
    assert service.anomalies() == []
    service.check_invariants()


def test_a_swap_names_an_accumulator_in_any_case(service: Service) -> None:
    service.post("/v1/accumulators", {"accumulator_id": "A-1", "contractor_id": "T-1"})
    body = {"installed_accumulator_id": "a-1", "removed_accumulator_id": None}
    response = swap(service, **body, reconcile=True)
    assert (response.status, response.body["installed"]["accumulator_id"]) == (200, "A-1")


TWO_HALVES = """
    INSERT INTO cabinets (cabinet_id, device_id, lat, lon, protocol, cells_total)
    VALUES ('C-1', 'C-1', 55, 37, 'native.v1', 2);
    INSERT INTO cells (cabinet_id, cell_number, content, reported_id)
    VALUES ('C-1', 1, 'occupied', 'f3-ab'), ('C-1', 2, 'empty', NULL);
    INSERT INTO accumulators (accumulator_id, contractor_id, status, battery_charge)
    VALUES ('F3-AB', 'T-1', 'in_service', 20), ('lonely', NULL, 'in_service', NULL),
           ('UPPER', NULL, 'in_service', NULL);
    INSERT INTO movements (accumulator_id, cause, to_contractor_id)
    VALUES ('F3-AB', 'registered', NULL), ('lonely', 'registered', NULL),
           ('UPPER', 'registered', NULL);
    INSERT INTO movements (accumulator_id, cause, to_contractor_id)
    VALUES ('F3-AB', 'corrected', 'T-1');
    INSERT INTO accumulators (accumulator_id, cabinet_id, cell_number, status, battery_charge)
    VALUES ('f3-ab', 'C-1', 1, 'quarantined', 90);
    INSERT INTO movements (accumulator_id, cause) VALUES ('f3-ab', 'registered');
    INSERT INTO movements (accumulator_id, cause, to_cabinet_id, to_cell_number)
    VALUES ('f3-ab', 'reported', 'C-1', 1);
    INSERT INTO bookings (booking_id, cabinet_id, contractor_id, kind, requested, min_charge,
                          expires_at)
    VALUES ('00000000-0000-0000-0000-000000000001', 'C-1', 'T-2', 'issue', 1, 80,
            now() + interval '1 hour');
    INSERT INTO booking_cells (booking_id, cabinet_id, cell_number, accumulator_id)
    VALUES ('00000000-0000-0000-0000-000000000001', 'C-1', 1, 'f3-ab')"""


@pytest.fixture
def old_url(postgres: Postgres, monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """A database of the release before ids had one spelling."""
    with migrated_before("0008", postgres, monkeypatch) as url:
        yield url


def test_the_halves_of_one_accumulator_are_merged_by_the_newest_evidence(old_url: str) -> None:
    query(old_url, TWO_HALVES)
    main.handler({}, Context())
    found: Any = query(
        old_url,
        """SELECT accumulator_id, cabinet_id, cell_number, contractor_id, status, battery_charge
             FROM accumulators ORDER BY 1""",
    )
    assert found == [
        ("F3-AB", "C-1", 1, None, "quarantined", 90),
        ("LONELY", None, None, None, "in_service", None),
        ("UPPER", None, None, None, "in_service", None),
    ]
    ledger = query(
        old_url,
        "SELECT cause, reason FROM movements WHERE accumulator_id = 'F3-AB' ORDER BY movement_id",
    )
    assert [cause for cause, _ in ledger] == [
        "registered",
        "corrected",
        "registered",
        "reported",
        "registered",
    ]
    assert ledger[-1][1] == "merged: f3-ab, F3-AB"
    assert query(old_url, "SELECT reported_id FROM cells WHERE cell_number = 1") == [("F3-AB",)]
    holds = query(old_url, "SELECT accumulator_id, state FROM booking_cells")
    assert holds == [("F3-AB", "held")]
    with db.statements() as tx:
        assert stats.violations(tx) == []
    db.close()
