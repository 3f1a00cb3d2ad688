"""Texts and addresses that try to become markup, scripts or requests."""

from urllib.parse import quote

from playwright.sync_api import Dialog, Page, Request, expect

from tests.e2e.console.conftest import OpenConsole
from tests.e2e.console.watched_page import Problems
from tests.support.local_cloud import LocalCloud

IMAGE = "<img src=x onerror=alert(1)>"
HOSTILE = f"\"'>{IMAGE}${{alert(1)}}</script>&lt;"

ADDRESSES = {
    "cabinets/%E0%A4%A": "%E0%A4%A",
    f"cabinets/{quote(IMAGE)}": IMAGE,
    f"accumulators/{quote(IMAGE.upper())}": IMAGE.upper(),
    f"bookings/{quote(IMAGE)}": IMAGE,
    f"commands/{quote('../../v1/me')}": "../../v1/me",
    f"technicians/{quote(IMAGE)}": IMAGE,
    f"scooters/{quote(IMAGE)}": IMAGE,
    f"search?q={quote(IMAGE)}": IMAGE,
    f"cabinets?q={quote(IMAGE)}&near={quote(IMAGE)}&state={quote(IMAGE)}": "Cabinets",
    "cabinets/..": "..",
    "__proto__": "There is no such page.",
    "constructor/x": "There is no such page.",
    quote(IMAGE): "There is no such page.",
}
"""What stands in the heading, by the address after #/."""


def watch(page: Page) -> list[str]:
    """Return a list to which dialogs and requests that are not the console's own are added."""
    seen: list[str] = []

    def dismiss(dialog: Dialog) -> None:
        seen.append(dialog.message)
        dialog.dismiss()

    def note(request: Request) -> None:
        if request.resource_type in ("image", "script"):
            seen.append(request.url)

    page.on("dialog", dismiss)
    page.on("request", note)
    return seen


def test_texts_of_the_api_are_shown_as_text(open_console: OpenConsole, stack: LocalCloud) -> None:
    place = {"coords": {"lat": 55.7, "lon": 37.6}, "address": HOSTILE, "cells_total": 2}
    stack.operator.post("/v1/cabinets", {"cabinet_id": "X-HOSTILE", **place})
    stack.operator.post("/v1/accumulators", {"accumulator_id": "X-A", "contractor_id": "X-T"})
    accumulator = {"place": {"scooter_id": "X-S"}, "status": "quarantined", "reason": HOSTILE}
    changes = {
        "/v1/cabinets/X-HOSTILE": {"status": "inactive", "status_reason": HOSTILE},
        "/v1/cabinets/X-HOSTILE/cells/1": {"health": "disabled", "reason": HOSTILE},
        "/v1/accumulators/X-A": accumulator,
    }
    for path, body in changes.items():
        assert stack.operator.call("PATCH", path, body).status == 200
    page = open_console("overview")
    seen = watch(page)
    for screen, count in {
        "cabinets/X-HOSTILE": 3,
        "accumulators/X-A": 1,
        "attention": 1,
        "scooters/X-S": 1,
    }.items():
        page.goto(f"/#/{screen}")
        expect(page.get_by_text(HOSTILE)).to_have_count(count)
        expect(page.locator("main img")).to_have_count(0)
    assert seen == []


def test_an_address_is_shown_as_text_and_explained(
    open_console: OpenConsole, problems: Problems
) -> None:
    problems.allow("status of 40[04]")
    page = open_console("import")
    seen = watch(page)
    for address, shown in ADDRESSES.items():
        page.goto(f"/#/{address}")
        expect(page.get_by_role("heading", level=1)).to_contain_text(shown)
        expect(page.locator("main")).not_to_contain_text("Reading…")
        expect(page.locator("main")).not_to_contain_text("undefined")
        expect(page.locator("main img")).to_have_count(0)
    assert seen == []
