"""Every screen with axe, by keyboard only, and on a narrow phone."""

from collections.abc import Iterator

import pytest
from playwright.sync_api import Locator, Page, expect

from tests.e2e.console import screens
from tests.e2e.console.conftest import OpenConsole, Violations
from tests.e2e.console.dialogs import door, open_dialog
from tests.support.local_cloud import Cabinet

pytestmark = pytest.mark.slow

MOST_TABS = 120
WIDTHS = {"phone": (360, 740), "wall": (1920, 1080)}


def walk(page: Page, scenes: screens.Scenes) -> Iterator[str]:
    """Show each screen in turn, and return its name when it is complete."""
    for name, address in scenes.addresses().items():
        page.goto(f"/#/{address}")
        expect(page.locator("main")).not_to_contain_text("Reading…")
        yield name


@pytest.mark.parametrize(
    ("width", "colours"),
    [
        ("phone", "dark"),
        ("phone", "light"),
        ("wall", "dark"),
        ("wall", "light"),
    ],
)
def test_no_screen_has_a_violation_or_is_wider_than_the_window(
    open_console: OpenConsole,
    scenes: screens.Scenes,
    violations: Violations,
    width: str,
    colours: str,
) -> None:
    wide, high = WIDTHS[width]
    viewport = {"width": wide, "height": high}
    page = open_console(color_scheme=colours, viewport=viewport)
    for name in walk(page, scenes):
        found = violations(page)
        assert found == [], name
        assert page.evaluate("document.documentElement.scrollWidth") <= wide, name
    page.goto(f"/#/cabinets/{scenes.cabinet}")
    dialog = open_dialog(page, "Change the number of cells")
    assert violations(page) == []
    expect(dialog).to_be_in_viewport(ratio=1)
    page.keyboard.press("Escape")
    page.get_by_role("button", name="Sign out").click()
    expect(page.get_by_role("heading", name="Sign in")).to_be_visible()
    assert violations(page) == []


def tab_to(page: Page, target: Locator) -> None:
    """Press Tab until an element has the focus; fail if it cannot be reached."""
    for _ in range(MOST_TABS):
        if target.count() and target.evaluate("element => element === document.activeElement"):
            return
        page.keyboard.press("Tab")
    raise AssertionError(f"{target} cannot be reached with Tab")


def test_a_cell_is_unlocked_with_the_keyboard_only(page: Page, cabinet: Cabinet) -> None:
    keyboard = page.keyboard
    tab_to(page, page.get_by_label("API key"))
    keyboard.type("local-operator")
    keyboard.press("Enter")
    expect(page.get_by_role("heading", name="Overview")).to_be_focused()

    tab_to(page, page.get_by_role("searchbox").first)
    keyboard.type(cabinet.cabinet_id)
    keyboard.press("Enter")
    expect(page.get_by_role("heading", name=cabinet.cabinet_id)).to_be_focused()
    expect(door(page, 2)).to_be_visible()

    tab_to(page, page.get_by_label("Select cell 2", exact=True))
    keyboard.press("Space")
    unlock = page.get_by_role("button", name="Unlock", exact=True)
    tab_to(page, unlock)
    keyboard.press("Enter")
    dialog = page.get_by_role("dialog")
    expect(dialog.get_by_label("Reason")).to_be_focused()
    keyboard.press("Escape")
    expect(dialog).to_have_count(0)
    expect(unlock).to_be_focused()

    keyboard.press("Enter")
    keyboard.type("by keyboard")
    keyboard.press("Enter")
    expect(page.get_by_text("Unlock: succeeded. 2: opened")).to_be_visible()
    expect(dialog).to_have_count(0)
    expect(page.get_by_role("heading", name=cabinet.cabinet_id)).to_be_focused()


def test_the_content_can_be_reached_without_passing_the_head(
    open_console: OpenConsole,
) -> None:
    page = open_console("cabinets")
    page.get_by_role("link", name="Skip to the content").focus()
    page.keyboard.press("Enter")
    expect(page.locator("main")).to_be_focused()
    page.keyboard.press("Tab")
    expect(page.get_by_label("Filter")).to_be_focused()
