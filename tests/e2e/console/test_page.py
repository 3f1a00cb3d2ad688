"""The console's page in a browser: it loads, and its policy holds."""

from playwright.sync_api import Page, expect

from tests.e2e.console.conftest import Violations
from tests.e2e.console.watched_page import Problems


def test_the_page_shows_its_heading_and_is_accessible(page: Page, violations: Violations) -> None:
    expect(page.get_by_role("heading", level=1)).to_have_text("scooter-accumulator")
    expect(page).to_have_title("scooter-accumulator")
    assert violations(page) == []


def test_the_policy_stops_inline_scripts_and_other_hosts(page: Page, problems: Problems) -> None:
    page.evaluate(
        """() => {
          const script = document.createElement("script");
          script.textContent = "window.injected = true";
          const image = new Image();
          image.src = "https://elsewhere.example/pixel.png";
          document.body.append(script, image);
        }"""
    )
    with page.expect_console_message(lambda message: "CSP violation: img-src" in message.text):
        page.evaluate("() => { new Image().src = 'https://elsewhere.example/another.png'; }")

    assert page.evaluate("() => window.injected") is None
    assert any("CSP violation: script-src-elem inline" in one for one in problems.found)
    assert any("https://elsewhere.example/pixel.png" in one for one in problems.found)
    problems.allow("CSP violation|Content Security Policy|elsewhere")
