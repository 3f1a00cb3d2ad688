"""Migration 0010: which accumulators, quarantined before it, an import may put in service."""

from collections.abc import Iterator

import pytest

from functions.migrate import main
from local.postgres import Postgres
from tests.support.cloud import Context
from tests.support.database import migrated_before, query

CABINET = """
    INSERT INTO cabinets (cabinet_id, device_id, lat, lon, protocol, cells_total)
    VALUES ('C-1', 'C-1', 55, 37, 'native.v1', 2);
    INSERT INTO cells (cabinet_id, cell_number) VALUES ('C-1', 1), ('C-1', 2)"""


@pytest.fixture
def old_url(postgres: Postgres, monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """A database of the release before imports."""
    with migrated_before("0010", postgres, monkeypatch) as url:
        query(url, CABINET)
        yield url


def add(url: str, accumulator_id: str, *causes: str, status: str = "quarantined") -> None:
    """Add an accumulator with movements; the first two have one time, as in one transaction."""
    moved = ", ".join(
        f"('{accumulator_id}', '{cause}', now() + interval '{max(0, n - 1)} s')"
        for n, cause in enumerate(causes)
    )
    new = f"('{accumulator_id}', '{status}')"
    query(url, f"INSERT INTO accumulators (accumulator_id, status) VALUES {new}")  # noqa: S608 - ours
    query(url, f"INSERT INTO movements (accumulator_id, cause, at) VALUES {moved}")  # noqa: S608 - ours


def unknown(url: str) -> list[str]:
    main.handler({}, Context())
    found = query(url, "SELECT accumulator_id FROM accumulators WHERE is_unknown ORDER BY 1")
    return [id_ for (id_,) in found]


def test_one_that_a_cabinet_registered_and_only_reports_have_moved_is_unknown(
    old_url: str,
) -> None:
    add(old_url, "REPORTED", "registered", "reported", "reported")
    add(old_url, "RETURNED", "registered", "returned")
    assert unknown(old_url) == ["REPORTED", "RETURNED"]


def test_one_that_a_person_has_registered_or_moved_or_put_in_service_is_known(
    old_url: str,
) -> None:
    add(old_url, "ALONE", "registered")
    add(old_url, "IN-SERVICE", "registered", "reported", status="in_service")
    add(old_url, "CORRECTED", "registered", "reported", "corrected")
    add(old_url, "ISSUED", "registered", "reported", "issued")
    add(old_url, "POSTED", "registered")
    query(old_url, "INSERT INTO movements (accumulator_id, cause) VALUES ('POSTED', 'reported')")
    assert unknown(old_url) == []


def test_a_duplicate_is_known(old_url: str) -> None:
    add(old_url, "TWICE", "registered", "reported")
    query(
        old_url,
        """INSERT INTO anomalies (event_id, reason, detail, payload)
           VALUES ('1', 'duplicate_accumulator', 'TWICE in cell 2 of C-1 and in cell 1', '')""",
    )
    assert unknown(old_url) == []
