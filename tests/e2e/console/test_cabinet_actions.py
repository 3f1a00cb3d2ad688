"""Every action of a cabinet, through its dialog; its effect is read from the API."""

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from playwright.sync_api import Page, expect

from tests.e2e.console.conftest import OpenConsole
from tests.e2e.console.dialogs import door, perform, select_cells
from tests.support.local_cloud import Cabinet
from tests.support.waiting import wait_until

REASON = "asked on the phone"


@pytest.fixture
def shown(open_console: OpenConsole, cabinet: Cabinet) -> Page:
    """The cabinet's screen."""
    return open_console(f"cabinets/{cabinet.cabinet_id}")


def occupied_cell(cabinet: Cabinet) -> Any:
    cells = cabinet.stack.operator.get(f"/v1/cabinets/{cabinet.cabinet_id}")["cells"]
    return next(cell for cell in cells if cell["content"] == "occupied")


def details(cabinet: Cabinet) -> Any:
    return cabinet.stack.operator.get(f"/v1/cabinets/{cabinet.cabinet_id}")


def last_command(cabinet: Cabinet) -> Any:
    path = f"/v1/commands?cabinet_id={cabinet.cabinet_id}&limit=1"
    return cabinet.stack.operator.get(path)["commands"][0]


def test_cells_are_unlocked_for_a_technician(shown: Page, cabinet: Cabinet) -> None:
    cell = occupied_cell(cabinet)
    number = cell["cell_number"]
    select_cells(shown, number)
    perform(shown, "Unlock", reason=REASON, contractor_id=cabinet.technician)

    expect(shown.get_by_text(f"Unlock: succeeded. {number}: opened")).to_be_visible()
    expect(door(shown, number)).to_contain_text("open")
    command = last_command(cabinet)
    assert (command["kind"], command["status"]) == ("unlock", "succeeded")
    assert command["payload"]["cells"] == [number]
    cabinet.take(number)
    wait_until(lambda: cabinet.bag() == [cell["accumulator_id"]])


def test_cells_are_unlocked_without_a_technician_and_locked(shown: Page, cabinet: Cabinet) -> None:
    number = occupied_cell(cabinet)["cell_number"]
    select_cells(shown, number)
    perform(shown, "Unlock", reason=REASON)
    assert last_command(cabinet)["status"] == "succeeded"
    assert cabinet.openings() == 1
    cabinet.act("close", cell=number)
    expect(door(shown, number)).to_contain_text("closed")

    select_cells(shown, number)
    perform(shown, "Lock", reason=REASON)
    command = last_command(cabinet)
    assert (command["kind"], command["status"]) == ("lock", "succeeded")
    expect(shown.get_by_text(f"Lock: succeeded. {number}: locked")).to_be_visible()


def test_a_report_is_asked_for(shown: Page, cabinet: Cabinet) -> None:
    before = details(cabinet)["reported_at"]
    perform(shown, "Ask for a report", reason=REASON)
    assert last_command(cabinet)["kind"] == "report_state"
    assert details(cabinet)["reported_at"] > before


def test_cells_are_disabled_and_enabled(shown: Page, cabinet: Cabinet) -> None:
    select_cells(shown, 3, 4)
    perform(shown, "Disable", reason=REASON)
    expect(door(shown, 4)).to_contain_text(f"disabled {REASON}")
    assert [cabinet.cell(number)["health"] for number in (3, 4)] == ["disabled", "disabled"]
    assert cabinet.cell(3)["health_reason"] == REASON

    select_cells(shown, 3, 4)
    perform(shown, "Enable", reason=REASON)
    expect(door(shown, 4)).not_to_contain_text("disabled")
    assert [cabinet.cell(number)["health"] for number in (3, 4)] == ["ok", "ok"]


def test_a_cabinet_is_taken_out_of_service_and_put_back(shown: Page, cabinet: Cabinet) -> None:
    perform(shown, "Take out of service", reason=REASON)
    expect(shown.get_by_text(f"“{REASON}”")).to_be_visible()
    found = details(cabinet)
    assert (found["status"], found["status_reason"]) == ("inactive", REASON)
    perform(shown, "Put back in service", reason="mended")
    expect(shown.locator(".badge", has_text="online")).to_be_visible()
    assert details(cabinet)["status"] == "active"


def test_a_cabinet_enrols_accumulators_for_some_hours(shown: Page, cabinet: Cabinet) -> None:
    perform(shown, "Enrol accumulators", hours="2")
    expect(shown.get_by_text("are taken into service without being registered")).to_be_visible()
    until = datetime.fromisoformat(details(cabinet)["enrol_until"])
    assert abs(until - datetime.now(UTC) - timedelta(hours=2)) < timedelta(minutes=1)
    perform(shown, "Enrol accumulators", hours="0")
    expect(shown.get_by_text("without being registered")).to_have_count(0)
    assert details(cabinet)["enrol_until"] is None


def test_the_number_of_cells_is_changed(shown: Page, cabinet: Cabinet) -> None:
    perform(shown, "Change the number of cells", cells_total="14")
    expect(door(shown, 14)).to_be_visible()
    assert details(cabinet)["cells_total"] == 14
    perform(shown, "Change the number of cells", cells_total="12")
    expect(door(shown, 14)).to_have_count(0)


def test_a_cabinet_is_suspected_its_claims_undone_and_cleared(
    shown: Page, cabinet: Cabinet
) -> None:
    perform(shown, "Suspect", reason=REASON)
    suspicion = shown.get_by_role("region", name="Suspect")
    expect(suspicion).to_contain_text(f"“{REASON}”")
    assert details(cabinet)["suspect_since"] is not None
    suspicion.get_by_text("What it has reported").click()
    expect(suspicion.get_by_text("reported").first).to_be_visible()
    perform(shown, "Undo claims", hours="1", reason=REASON)
    expect(shown.get_by_text("Returned to their places: 0. Left as they are: 0.")).to_be_visible()
    perform(shown, "Clear", reason="looked at")
    expect(suspicion).to_have_count(0)
    assert details(cabinet)["suspect_since"] is None
