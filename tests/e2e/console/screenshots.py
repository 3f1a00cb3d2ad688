"""Take the pictures of the console for the documentation.

    python -m tests.e2e.console.screenshots DIRECTORY

Each screen on a desktop, on a phone and in the dark: overview.png, overview-phone.png,
overview-dark.png.
"""

import sys
from pathlib import Path
from typing import TypedDict

from playwright.sync_api import Browser, Page, expect

from tests.e2e.console import screens
from tests.e2e.console.conftest import launched
from tests.e2e.console.watched_page import Problems, watched_page
from tests.support.local_cloud import LocalCloud, running


class Form(TypedDict):
    """Options of browser.new_context."""

    viewport: dict[str, int]
    color_scheme: str


_DESKTOP = {"width": 1280, "height": 800}
FORMS: dict[str, Form] = {
    "": {"viewport": _DESKTOP, "color_scheme": "light"},
    "-phone": {"viewport": {"width": 360, "height": 740}, "color_scheme": "light"},
    "-dark": {"viewport": _DESKTOP, "color_scheme": "dark"},
}


def take(browser: Browser, stack: LocalCloud, scenes: screens.Scenes, directory: Path) -> None:
    """Write a picture of each screen in each form."""
    problems = Problems()
    for ending, form in FORMS.items():
        with watched_page(browser, stack.url, problems, locale="en-GB", **form) as page:
            page.goto("/")
            _take_one(page, directory / f"sign-in{ending}.png")
            page.get_by_role("button", name="local-operator").click()
            expect(page.get_by_text("Live", exact=True)).to_be_visible()
            for name, address in scenes.addresses().items():
                page.goto(f"/#/{address}")
                _take_one(page, directory / f"{name}{ending}.png")
    assert problems.found == []


def _take_one(page: Page, file: Path) -> None:
    expect(page.locator("main")).not_to_contain_text("Reading…")
    page.screenshot(path=file, animations="disabled")


def main(directory: Path) -> None:
    """Start a cloud, let it come to life, and take all pictures."""
    directory.mkdir(parents=True, exist_ok=True)
    with launched() as browser, running("--cabinets", "14", settings=screens.SETTINGS) as stack:
        take(browser, stack, screens.play(stack), directory)


if __name__ == "__main__":
    main(Path(sys.argv[1]))
