"""A technician's shift through the API, watched on four screens that nobody reloads."""

import statistics
import time
from collections.abc import Iterator
from contextlib import contextmanager

import pytest
from playwright.sync_api import Locator, Page, expect

from tests.e2e.console.conftest import OpenConsole
from tests.e2e.console.dialogs import door
from tests.support.local_cloud import Cabinet
from tests.support.waiting import slowdown

pytestmark = pytest.mark.slow

SECONDS = 3


class Watch:
    """How long changes take to appear, measured from the response of the API."""

    def __init__(self) -> None:
        self.delays: list[float] = []

    @contextmanager
    def change(self, *seen: tuple[Locator, str]) -> Iterator[None]:
        """Make a change in the body; it appears as these texts, in time."""
        yield
        begun = time.monotonic()
        for locator, text in seen:
            expect(locator).to_contain_text(text, timeout=1_000 * SECONDS * slowdown())
            self.delays.append(time.monotonic() - begun)


def figure(page: Page, name: str) -> Locator:
    return page.locator(".figure", has=page.get_by_text(name, exact=True)).locator(".value")


def test_each_change_of_a_shift_is_on_the_screens_within_3_seconds(
    open_console: OpenConsole, cabinet: Cabinet, capsys: pytest.CaptureFixture[str]
) -> None:
    issued = cabinet.book(1)["cells"][0]
    number, charged = issued["cell_number"], issued["accumulator_id"]
    [first] = cabinet.stack.backend.get(f"/v1/bookings?contractor_id={cabinet.technician}")[
        "bookings"
    ]
    flat, scooter = f"F-{cabinet.cabinet_id}", f"S-{cabinet.cabinet_id}"
    overview = open_console("overview")
    street = open_console(f"cabinets/{cabinet.cabinet_id}")
    accumulator = open_console(f"accumulators/{charged}")
    technician = open_console(f"technicians/{cabinet.technician}")
    carried, place = figure(technician, "Accumulators"), accumulator.locator(".lead")
    history = technician.locator(".timeline li:not(.day)").first
    expect(carried).to_have_text("0")
    expect(door(street, number)).to_contain_text("held by")
    with_technicians = figure(overview, "With technicians")
    outside = int(with_technicians.inner_text())
    alarms = overview.locator(".legend li", has_text="alarm").locator("strong")
    alarmed = int(alarms.inner_text())
    watch = Watch()

    with watch.change(
        (door(street, number), "open"),
        (place, f"with technician {cabinet.technician}"),
        (carried, "1"),
        (history, "Issued"),
        (with_technicians, str(outside + 1)),
        (technician.locator(".rows", has_text="Issue"), "completed"),
    ):
        assert cabinet.unlock(first).status == 200
    with watch.change((door(street, number), "closed"), (door(street, number), "empty")):
        cabinet.take(number)
    with watch.change((place, f"in scooter {scooter}"), (history, "Swapped")):
        swap = {"scooter_id": scooter, "contractor_id": cabinet.technician}
        body = {"installed_accumulator_id": charged, "removed_accumulator_id": flat}
        cabinet.stack.backend.post("/v1/swaps", {**swap, **body, "removed_battery_charge": 6})
    with watch.change((technician.locator(".rows", has_text="Return"), "active")):
        returned = cabinet.book(1, kind="return")
    cell = returned["cells"][0]["cell_number"]
    with watch.change((door(street, cell), "open")):
        assert cabinet.unlock(returned).status == 200
    with watch.change((door(street, cell), flat), (carried, "0"), (history, "Returned")):
        cabinet.act("insert", cell=cell, accumulator=flat, charge=9, by=cabinet.technician)
        cabinet.act("close", cell=cell)
    with watch.change((with_technicians, str(outside))):
        pass
    with watch.change((alarms, str(alarmed + 1)), (street.locator("main"), "smoke")):
        cabinet.act("alarm", code="smoke")

    with capsys.disabled():
        print(  # noqa: T201 - figures of the run
            f" {len(watch.delays)} changes on the screens: median"
            f" {statistics.median(watch.delays):.1f} s, largest {max(watch.delays):.1f} s"
        )
