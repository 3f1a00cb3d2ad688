"""The actions of accumulators, bookings and anomalies, and the table's CSV."""

import csv
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Page, expect

from tests.e2e.console.conftest import OpenConsole
from tests.e2e.console.dialogs import perform
from tests.support.local_cloud import Cabinet
from tests.support.waiting import wait_until

pytestmark = pytest.mark.slow

REASON = "found by the support"


def new_accumulator(cabinet: Cabinet) -> str:
    """Register an accumulator of the cabinet's technician."""
    accumulator_id = f"N-{cabinet.cabinet_id}"
    body = {"accumulator_id": accumulator_id, "contractor_id": cabinet.technician}
    cabinet.stack.operator.post("/v1/accumulators", body)
    return accumulator_id


def read(cabinet: Cabinet, accumulator_id: str) -> Any:
    return cabinet.stack.operator.get(f"/v1/accumulators/{accumulator_id}")


def lead(page: Page, text: str) -> None:
    expect(page.locator(".lead")).to_contain_text(text)


def test_an_accumulator_is_corrected_to_every_kind_of_place(
    open_console: OpenConsole, cabinet: Cabinet
) -> None:
    accumulator_id = new_accumulator(cabinet)
    free = next(n for n in range(1, 13) if cabinet.cell(n)["content"] == "empty")
    page = open_console(f"accumulators/{accumulator_id}")
    scooter, where = f"S-{cabinet.cabinet_id}", {"reason": REASON}

    perform(page, "Correct", kind="scooter_id", id=scooter, charge="42", **where)
    lead(page, f"in scooter {scooter}")
    found = read(cabinet, accumulator_id)
    assert (found["place"], found["battery_charge"]) == ({"scooter_id": scooter}, 42)

    cell = {"id": cabinet.cabinet_id, "cell_number": str(free)}
    perform(page, "Correct", kind="cabinet_id", **cell, **where)
    lead(page, f"in cabinet {cabinet.cabinet_id}, cell {free}")
    place = {"cabinet_id": cabinet.cabinet_id, "cell_number": free}
    assert read(cabinet, accumulator_id)["place"] == place

    perform(page, "Correct", kind="nowhere", **where)
    lead(page, "Unknown place")
    assert read(cabinet, accumulator_id)["place"] is None

    perform(page, "Correct", kind="contractor_id", id=cabinet.technician, **where)
    lead(page, f"with technician {cabinet.technician}")
    assert cabinet.bag() == [accumulator_id]
    expect(page.get_by_text(f"“{REASON}”")).to_have_count(4)


def test_an_accumulator_is_quarantined_released_and_retired(
    open_console: OpenConsole, cabinet: Cabinet
) -> None:
    accumulator_id = new_accumulator(cabinet)
    page = open_console(f"accumulators/{accumulator_id}")
    for action, status, shown in (
        ("Quarantine", "quarantined", "in quarantine"),
        ("Release", "in_service", "in service"),
    ):
        perform(page, action, reason=REASON)
        lead(page, shown)
        assert read(cabinet, accumulator_id)["status"] == status

    perform(page, "Correct", kind="nowhere", reason=REASON)
    perform(page, "Retire")
    lead(page, "retired")
    assert read(cabinet, accumulator_id)["status"] == "retired"
    for action in ("Correct", "Quarantine", "Release", "Retire"):
        expect(page.get_by_role("button", name=action, exact=True)).to_be_disabled()


def test_a_booking_is_cancelled(open_console: OpenConsole, cabinet: Cabinet) -> None:
    booking = cabinet.book(2)
    page = open_console(f"bookings/{booking['booking_id']}")
    expect(page.locator(".rows .badge", has_text="held")).to_have_count(2)
    perform(page, "Cancel the booking")
    lead(page, "cancelled")
    assert cabinet.booking(booking)["status"] == "cancelled"
    expect(page.get_by_role("button", name="Cancel the booking")).to_be_disabled()


def test_an_anomaly_is_acknowledged_with_a_note(
    open_console: OpenConsole, cabinet: Cabinet
) -> None:
    cabinet.act("pry", cell=1)
    wait_until(cabinet.anomalies)
    page = open_console("attention")
    page.get_by_role("button", name="Anomaly").click()
    item = page.get_by_role("listitem").filter(has_text=cabinet.cabinet_id)
    item.get_by_role("button", name="Acknowledge").click()
    page.get_by_label("Note").fill("the door was mended")
    page.get_by_role("dialog").get_by_role("button", name="Acknowledge").click()
    expect(item).to_have_count(0)
    path = f"/v1/anomalies?cabinet_id={cabinet.cabinet_id}"
    [anomaly] = cabinet.stack.operator.get(path)["anomalies"]
    assert anomaly["acknowledged"]["note"] == "the door was mended"
    assert anomaly["acknowledged"]["by"] == "local-operator"


def test_the_table_is_downloaded_as_it_is_shown(
    open_console: OpenConsole, cabinet: Cabinet, tmp_path: Path
) -> None:
    page = open_console("cabinets")
    page.get_by_label("Filter").fill(cabinet.cabinet_id.lower())
    expect(page.get_by_text("1 of ")).to_be_visible()
    with page.expect_download() as download:
        page.get_by_role("button", name="Download CSV").click()
    download.value.save_as(tmp_path / "cabinets.csv")
    assert download.value.suggested_filename == "cabinets.csv"
    with (tmp_path / "cabinets.csv").open(encoding="utf-8-sig", newline="") as file:
        [row] = csv.DictReader(file)
    assert row["cabinet_id"] == cabinet.cabinet_id
    assert row["ready"] == str(
        cabinet.stack.operator.get(f"/v1/cabinets/{cabinet.cabinet_id}")["accumulators"][
            "available"
        ]
    )
