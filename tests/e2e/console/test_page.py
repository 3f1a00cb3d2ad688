"""The console's page in a browser: it loads, and its policy holds."""

import pytest
from playwright.sync_api import Page, expect

from tests.e2e.console.conftest import OpenConsole, OpenPage, Violations
from tests.e2e.console.watched_page import Problems
from tests.support.local_cloud import running

_PIXEL = b'<svg xmlns="http://www.w3.org/2000/svg" width="1" height="1"/>'


def test_the_page_shows_its_heading_and_is_accessible(page: Page, violations: Violations) -> None:
    expect(page.get_by_role("heading", level=1)).to_have_text("Sign in")
    expect(page).to_have_title("Sign in · Battery cabinets")
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


def test_each_package_can_be_imported(page: Page) -> None:
    packages = {
        "htm": "default",
        "leaflet": "map",
        "preact": "render",
        "preact/hooks": "useState",
        "uplot": "default",
    }
    script = "([package, name]) => import(package).then((module) => typeof module[name])"
    assert {page.evaluate(script, one) for one in packages.items()} == {"function"}


def test_a_map_and_a_chart_are_drawn_under_the_policy(page: Page) -> None:
    page.evaluate(
        """async () => {
          const [{ map }, uplot] = await Promise.all([import("leaflet"), import("uplot")]);
          const [place, chart] = [document.createElement("div"), document.createElement("div")];
          place.style.cssText = "width: 300px; height: 200px";
          document.body.append(place, chart);
          map(place).setView([55.75, 37.61], 12);
          new uplot.default({ width: 300, height: 200, series: [{}, {}] }, [[1, 2], [3, 4]], chart);
        }"""
    )

    expect(page.locator(".leaflet-control-zoom-in")).to_be_visible()
    expect(page.locator(".uplot canvas")).to_be_visible()


def test_the_fleet_is_read_once_when_the_page_is_opened(open_console: OpenConsole) -> None:
    page = open_console("overview")
    expect(page.get_by_role("region", name="Map of the cabinets").first).to_be_visible()
    requests: list[str] = []  # of the next page: this one has read the fleet
    page.on("request", lambda request: requests.append(request.url))
    page.reload()
    expect(page.get_by_role("region", name="Map of the cabinets").first).to_be_visible()
    with page.expect_response("**/v1/events?after=*"):
        pass
    # An event of another test's cabinet may be followed by a request that names this cabinet.
    whole = [url for url in requests if url.endswith("/v1/overview")]
    assert len(whole) == 1


@pytest.mark.slow
def test_tiles_come_from_the_host_that_is_set(open_page: OpenPage, problems: Problems) -> None:
    tiles_url = "https://tiles.example/{z}/{x}/{y}.png"
    with running("--cabinets", "0", settings={"CONSOLE_TILES_URL": tiles_url}) as stack:
        page = open_page(stack.url)
        page.route(
            "https://tiles.example/**",
            lambda route: route.fulfill(body=_PIXEL, content_type="image/svg+xml"),
        )
        page.goto("/")
        loaded = page.evaluate(
            """() => new Promise((resolve) => {
              const url = document.querySelector('meta[name="tiles-url"]').content;
              const tile = new Image();
              tile.onload = () => resolve([url, tile.width]);
              tile.onerror = () => resolve([url, "blocked"]);
              tile.src = url.replace("{z}", 1).replace("{x}", 0).replace("{y}", 1);
            })"""
        )

    problems.allow("request to another host: https://tiles.example/1/0/1.png")
    assert loaded == [tiles_url, 1]
