"""The service fails, the network fails, clocks are wrong, things disappear."""

import re
import time
from collections.abc import Callable
from datetime import UTC, datetime, timedelta

import pytest
from playwright.sync_api import Page, Route, expect

from tests.e2e.console.conftest import OpenConsole, OpenPage
from tests.e2e.console.dialogs import door
from tests.e2e.console.watched_page import Problems
from tests.support.local_cloud import Cabinet, LocalCloud

pytestmark = pytest.mark.slow

_SHORT_TIMEOUTS = """
const timeout = AbortSignal.timeout;
AbortSignal.timeout = (ms) => timeout.call(AbortSignal, ms / 20);
"""
_TIME = re.compile(r"Not connected since \d\d:\d\d:\d\d")


def disable(cabinet: Cabinet, cell: int) -> None:
    path = f"/v1/cabinets/{cabinet.cabinet_id}/cells/{cell}"
    body = {"health": "disabled", "reason": "нет связи"}
    assert cabinet.stack.operator.call("PATCH", path, body).status == 200


def cut(route: Route) -> None:
    route.abort()


def hang(route: Route) -> None:
    """Never answer."""


def answer_html(route: Route) -> None:
    route.fulfill(status=502, content_type="text/html", body="<h1>Bad Gateway</h1>")


def refuse(route: Route) -> None:
    problem = {"code": "database_unavailable", "title": "x", "status": 503, "request_id": "r-1"}
    route.fulfill(status=503, content_type="application/problem+json", json=problem)


@pytest.mark.parametrize(
    ("fail", "explanation"),
    [
        (cut, "The service cannot be reached."),
        (hang, "The service did not answer in time."),
        (answer_html, "such as a proxy (status 502)"),
        (refuse, "The service cannot reach its database"),
    ],
)
def test_the_page_says_since_when_it_is_not_connected_and_catches_up_by_itself(
    open_console: OpenConsole,
    cabinet: Cabinet,
    problems: Problems,
    fail: Callable[[Route], None],
    explanation: str,
) -> None:
    problems.allow("status of 50[23]|net::ERR_")
    page = open_console(f"cabinets/{cabinet.cabinet_id}")
    page.evaluate(_SHORT_TIMEOUTS)
    page.route("**/v1/**", fail)
    expect(page.locator(".connection")).to_have_text(_TIME)
    notice = page.get_by_role("alert").first
    expect(notice).to_contain_text("Nothing on this page is current")
    expect(notice).to_contain_text(explanation)
    disable(cabinet, 5)

    page.unroute("**/v1/**")
    expect(page.get_by_text("Live", exact=True)).to_be_visible(timeout=10_000)
    expect(door(page, 5)).to_contain_text("нет связи")
    expect(page.get_by_role("alert")).to_have_count(0)


def test_a_page_that_is_opened_while_the_service_is_down_fills_itself(
    open_page: OpenPage, stack: LocalCloud, cabinet: Cabinet, problems: Problems
) -> None:
    problems.allow("net::ERR_")
    page = open_page(stack.url, locale="en-GB")
    page.goto("/")
    page.evaluate("sessionStorage.setItem('key', 'local-operator')")
    page.route("**/v1/**", cut)
    page.goto(f"/#/cabinets/{cabinet.cabinet_id}")
    page.reload()
    expect(page.locator(".connection")).to_have_text("Not connected")
    expect(page.get_by_role("button", name="Try again")).to_be_visible()
    page.unroute("**/v1/**")
    expect(door(page, 1)).to_be_visible(timeout=10_000)


def test_everything_is_read_again_when_the_cursor_has_expired(
    open_console: OpenConsole, cabinet: Cabinet, problems: Problems
) -> None:
    problems.allow("status of 410")

    def expire(route: Route) -> None:
        disable(cabinet, 6)
        problem = {"code": "cursor_expired", "title": "expired", "status": 410}
        route.fulfill(status=410, content_type="application/problem+json", json=problem)

    page = open_console(f"cabinets/{cabinet.cabinet_id}")
    expect(door(page, 6)).to_be_visible()
    page.route("**/v1/events*", expire, times=1)
    expect(door(page, 6)).to_contain_text("нет связи")
    expect(page.get_by_text("Live", exact=True)).to_be_visible()


def test_a_cabinet_that_is_removed_while_it_is_shown_says_so(
    open_console: OpenConsole, stack: LocalCloud, problems: Problems
) -> None:
    problems.allow("status of 404")
    body = {"cabinet_id": "X-GONE", "coords": {"lat": 55.7, "lon": 37.6}, "cells_total": 4}
    stack.operator.post("/v1/cabinets", body)
    page = open_console("cabinets/X-GONE")
    expect(door(page, 4)).to_contain_text("never reported")
    assert stack.operator.call("DELETE", "/v1/cabinets/X-GONE").status == 204
    expect(page.get_by_role("alert")).to_contain_text("There is no cabinet X-GONE.")
    expect(page.get_by_role("button", name="Unlock")).to_have_count(0)


@pytest.mark.parametrize(("hours", "word"), [(1, "fast"), (-1, "slow")])
def test_a_viewers_wrong_clock_is_named_and_does_not_change_ago(
    open_page: OpenPage, stack: LocalCloud, cabinet: Cabinet, hours: int, word: str
) -> None:
    cabinet.catch_up()
    page = open_page(stack.url, locale="en-GB")
    page.clock.set_system_time(datetime.now(UTC) + timedelta(hours=hours))
    page.goto("/")
    page.get_by_role("button", name="local-operator").click()
    page.goto(f"/#/cabinets/{cabinet.cabinet_id}")
    expect(page.get_by_text(f"This device's clock is 60 min {word}")).to_be_visible()
    seen = page.locator(".figure", has_text="Last seen").locator("time")
    expect(seen).to_have_text(re.compile(r"^\d+ s ago$"))


def test_a_silent_cabinet_is_not_shown_as_fresh(
    open_console: OpenConsole, cabinet: Cabinet
) -> None:
    for table in ("cells", "cabinets"):
        cabinet.stack.sql(
            f"UPDATE {table} SET reported_at = now() - interval '20.5 minutes'"  # noqa: S608 - constants
            " WHERE cabinet_id = %(id)s",
            id=cabinet.cabinet_id,
        )
    page: Page = open_console(f"cabinets/{cabinet.cabinet_id}")
    expect(door(page, 1)).to_contain_text("reported 20 min ago")


def test_after_too_many_requests_the_page_says_so_waits_and_reads_again(
    open_console: OpenConsole, cabinet: Cabinet, problems: Problems
) -> None:
    problems.allow("status of 429")
    refused: list[float] = []

    def limit(route: Route) -> None:
        refused.append(time.monotonic())
        problem = {"code": "rate_limited", "title": "x", "status": 429, "retry_after_s": 2}
        headers = {"Retry-After": "2", "Content-Type": "application/problem+json"}
        route.fulfill(status=429, json=problem, headers=headers)

    page = open_console()
    page.route("**/v1/cabinets/*", limit, times=1)
    page.goto(f"/#/cabinets/{cabinet.cabinet_id}")
    expect(page.get_by_role("alert")).to_contain_text("Too many requests")
    expect(door(page, 1)).to_be_visible(timeout=10_000)
    expect(page.get_by_role("alert")).to_have_count(0)
    [at] = refused
    assert time.monotonic() - at >= 2
