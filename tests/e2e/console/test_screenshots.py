"""The program that takes the documentation's pictures."""

from pathlib import Path

import pytest
from playwright.sync_api import Browser

from tests.e2e.console import screens, screenshots
from tests.support.local_cloud import LocalCloud


@pytest.mark.slow
def test_each_screen_is_taken_in_each_form(
    browser: Browser, stack: LocalCloud, scenes: screens.Scenes, tmp_path: Path
) -> None:
    screenshots.take(browser, stack, scenes, tmp_path)
    names = [*scenes.addresses(), "sign-in"]
    forms = screenshots.FORMS
    assert {file.name for file in tmp_path.iterdir()} == {
        f"{name}{form}.png" for name in names for form in forms
    }
    assert min(file.stat().st_size for file in tmp_path.iterdir()) > 5_000
