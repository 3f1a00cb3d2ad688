"""The import: a dry run, then for good, and the failures as a file to be mended."""

import csv
from pathlib import Path

from playwright.sync_api import FilePayload, expect

from tests.e2e.console.conftest import OpenConsole
from tests.e2e.console.watched_page import Problems
from tests.support.local_cloud import LocalCloud

FILE = """\
cabinet_id,lat,lon,address,cells_total,accumulator_id,battery_charge
I-001,55.75,37.61,"Москва, ""Арбат"", 1",8,,
I-002,95,37.61,nowhere on earth,8,,
,,,,,I-A-1,55
,,,,,I-A-2,155
"""


def payload(text: str, name: str = "fleet.csv", encoding: str = "utf-8") -> FilePayload:
    return {"name": name, "mimeType": "text/csv", "buffer": text.encode(encoding)}


def test_a_file_is_checked_then_applied_and_its_failures_are_downloaded(
    open_console: OpenConsole, stack: LocalCloud, tmp_path: Path
) -> None:
    page = open_console("import")
    page.locator("input[type=file]").set_input_files(payload(FILE))
    expect(page.get_by_text("Checked 4 of 4; nothing has been changed.")).to_be_visible()
    expect(page.locator(".figure", has_text="would be created")).to_contain_text("2")
    expect(page.locator(".figure", has_text="cannot be imported")).to_contain_text("2")
    assert stack.operator.call("GET", "/v1/cabinets/I-001").status == 404

    page.get_by_role("button", name="Import 2").click()
    expect(page.get_by_text("Imported 4 of 4.")).to_be_visible()
    assert stack.operator.get("/v1/cabinets/I-001")["address"] == 'Москва, "Арбат", 1'
    assert stack.operator.get("/v1/accumulators/I-A-1")["battery_charge"] == 55

    with page.expect_download() as download:
        page.get_by_role("button", name="Download these lines").click()
    download.value.save_as(tmp_path / "failures.csv")
    assert download.value.suggested_filename == "fleet.failures.csv"
    text = (tmp_path / "failures.csv").read_text("utf-8-sig")
    rows = list(csv.DictReader(text.splitlines()))
    assert [row["cabinet_id"] or row["accumulator_id"] for row in rows] == ["I-002", "I-A-2"]
    assert "lat" in rows[0]["error"]
    assert "battery_charge" in rows[1]["error"]

    mended = text.replace(",95,", ",55.7,").replace(",155,", ",100,").replace("\r\n", "\n")
    page.locator("input[type=file]").set_input_files(payload(mended, "mended.csv"))
    page.get_by_role("button", name="Import 2").click()
    expect(page.get_by_text("Imported 2 of 2.")).to_be_visible()
    assert stack.operator.get("/v1/accumulators/I-A-2")["battery_charge"] == 100


def test_a_file_that_cannot_be_read_is_explained(open_console: OpenConsole) -> None:
    page = open_console("import")
    for text, explanation in {
        "": "no lines",
        "cabinet_id;colour\nC-1;red\n": "Unknown column “colour”",
        "lat,lon\n1,2\n": "neither a column cabinet_id",
        'cabinet_id,address\nC-1,"open\n': "A quotation mark in line 2",
        "cabinet_id,lat\nC-1,1,2\n": "Line 2 has 3 fields, but there are 2 columns",
    }.items():
        page.locator("input[type=file]").set_input_files(payload(text))
        expect(page.get_by_role("alert")).to_contain_text(explanation)


def test_a_file_of_excel_in_russian_is_read(open_console: OpenConsole, stack: LocalCloud) -> None:
    page = open_console("import")
    text = "cabinet_id;lat;lon;address;cells_total\r\nI-003;55,75;37,61;Тверская;8\r\n"
    page.locator("input[type=file]").set_input_files(payload(text, encoding="windows-1251"))
    page.get_by_role("button", name="Import 1").click()
    expect(page.get_by_text("Imported 1 of 1.")).to_be_visible()
    assert stack.operator.get("/v1/cabinets/I-003")["address"] == "Тверская"


def test_an_import_that_is_interrupted_can_be_repeated(
    open_console: OpenConsole, stack: LocalCloud, problems: Problems
) -> None:
    problems.allow("net::ERR_FAILED")
    page = open_console("import")
    page.locator("input[type=file]").set_input_files(payload("accumulator_id\nI-A-9\n"))
    apply = page.get_by_role("button", name="Import 1")
    expect(apply).to_be_enabled()
    page.route("**/v1/imports", lambda route: route.abort(), times=1)
    apply.click()
    expect(page.get_by_text("nothing is imported twice")).to_be_visible()
    page.get_by_role("button", name="Try again").click()
    expect(page.get_by_text("Imported 1 of 1.")).to_be_visible()
    assert stack.operator.get("/v1/accumulators/I-A-9")["status"] == "in_service"
