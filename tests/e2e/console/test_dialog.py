"""A dialog sends its request once, says what happened, and can be repeated."""

from collections.abc import Callable

import pytest
from playwright.sync_api import Page, Request, Route, expect

from tests.e2e.console.conftest import OpenConsole
from tests.e2e.console.dialogs import confirm, door, open_dialog, select_cells
from tests.e2e.console.watched_page import Problems
from tests.support.local_cloud import Cabinet

pytestmark = pytest.mark.slow


def changes(page: Page) -> list[Request]:
    """Return a list to which each request that is not a GET is added."""
    sent: list[Request] = []
    page.on("request", lambda request: sent.append(request) if request.method != "GET" else None)
    return sent


def keys(requests: list[Request]) -> list[str]:
    return [request.headers["idempotency-key"] for request in requests]


def first_only(action: Callable[[Route], None]) -> Callable[[Route], None]:
    """Return a handler that does this to the first request that is no GET, and lets others pass."""
    handled: list[Route] = []

    def handle(route: Route) -> None:
        if route.request.method == "GET" or handled:
            route.continue_()
        else:
            handled.append(route)
            action(route)

    return handle


def test_a_double_click_sends_one_request(open_console: OpenConsole, cabinet: Cabinet) -> None:
    page = open_console(f"cabinets/{cabinet.cabinet_id}")
    sent = changes(page)
    select_cells(page, 1)
    dialog = open_dialog(page, "Unlock", reason="a double click")
    dialog.locator("button[type=submit]").dblclick()
    expect(page.get_by_role("dialog")).to_have_count(0)
    assert len(sent) == 1
    assert cabinet.openings() == 1


def test_a_refusal_is_shown_and_the_dialog_can_be_repeated(
    open_console: OpenConsole, cabinet: Cabinet, problems: Problems
) -> None:
    problems.allow("status of 409")
    page = open_console(f"cabinets/{cabinet.cabinet_id}")
    dialog = open_dialog(page, "Change the number of cells", cells_total="1")
    confirm(dialog)
    expect(dialog.get_by_role("alert")).to_contain_text("cell")
    expect(dialog.locator("code")).to_be_visible()
    dialog.locator("[name=cells_total]").fill("13")
    confirm(dialog)
    expect(door(page, 13)).to_be_visible()
    expect(page.get_by_role("dialog")).to_have_count(0)


def test_a_command_that_the_cabinet_refused_can_be_repeated(
    open_console: OpenConsole, cabinet: Cabinet, problems: Problems
) -> None:
    problems.allow("status of 502")
    page = open_console(f"cabinets/{cabinet.cabinet_id}")
    sent = changes(page)
    cabinet.act("firmware", switch="refuses", value="busy")
    select_cells(page, 1)
    dialog = open_dialog(page, "Unlock", reason="a busy cabinet")
    confirm(dialog)
    expect(dialog.get_by_role("alert")).to_contain_text("busy")
    cabinet.act("firmware", switch="refuses", value=None)
    confirm(dialog)
    expect(page.get_by_role("dialog")).to_have_count(0)
    assert [request.method for request in sent] == ["POST", "POST"]
    assert cabinet.openings() == 1


def test_a_command_whose_answer_was_lost_is_sent_again_with_the_same_key(
    open_console: OpenConsole, cabinet: Cabinet, problems: Problems
) -> None:
    problems.allow("net::ERR_FAILED")

    def lose_answer(route: Route) -> None:
        route.fetch()
        route.abort()

    page = open_console(f"cabinets/{cabinet.cabinet_id}")
    sent = changes(page)
    page.route("**/commands", first_only(lose_answer))
    select_cells(page, 1)
    dialog = open_dialog(page, "Unlock", reason="the network fails")
    confirm(dialog)
    expect(dialog.get_by_role("alert")).to_contain_text("cannot be reached")
    confirm(dialog)
    expect(page.get_by_text("Unlock: succeeded. 1: opened")).to_be_visible()
    assert len(sent) == 2
    assert len(set(keys(sent))) == 1
    assert cabinet.openings() == 1


def test_an_unlock_without_an_answer_leads_to_the_command(
    open_console: OpenConsole, cabinet: Cabinet, problems: Problems
) -> None:
    problems.allow("status of 504")
    page = open_console(f"cabinets/{cabinet.cabinet_id}")
    cabinet.answer("held")
    select_cells(page, 1)
    dialog = open_dialog(page, "Unlock", reason="nobody answers")
    confirm(dialog)
    expect(dialog.get_by_role("button", name="Waiting for the answer…")).to_be_disabled()
    expect(dialog.get_by_role("button", name="Close")).to_be_disabled()
    expect(page.get_by_text("has not answered in time")).to_be_visible(timeout=10_000)
    page.locator("section", has_text="Commands").get_by_role("link", name="Unlock").first.click()
    expect(page.locator(".lead")).to_contain_text("no answer")
    expect(page.get_by_text("its next report will tell")).to_be_visible()
    cabinet.answer("release")
    expect(page.locator(".lead")).to_contain_text("succeeded")
    expect(page.get_by_text("after the deadline")).to_be_visible()
