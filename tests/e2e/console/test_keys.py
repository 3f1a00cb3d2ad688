"""Keys: wrong, revoked, and of a scope that does not allow everything."""

import re

from playwright.sync_api import Page, expect

from tests.e2e.console.conftest import OpenConsole
from tests.e2e.console.watched_page import Problems
from tests.support.local_cloud import Cabinet, LocalCloud

STORED = "() => [Object.keys(sessionStorage), Object.keys(localStorage), document.cookie]"


def test_a_wrong_key_is_refused_and_a_local_key_is_used(page: Page, problems: Problems) -> None:
    problems.allow("status of 40[13]")
    field = page.get_by_label("API key")
    explanations = {"nobodys-key": "does not know this key", "ключ": "This is not a key"}
    for key, explanation in explanations.items():
        field.fill(key)
        page.get_by_role("button", name="Use this key").click()
        expect(page.get_by_role("alert")).to_contain_text(explanation)
    page.get_by_role("button", name="local-backend").click()
    expect(page.get_by_role("heading", name="Overview")).to_be_visible()
    expect(page.locator(".caller")).to_have_text("local-backend")


def test_a_key_stays_in_the_tab_until_sign_out_and_is_in_no_address(
    page: Page, stack: LocalCloud, cabinet: Cabinet
) -> None:
    addresses: list[str] = []
    page.on("request", lambda request: addresses.append(request.url))
    page.goto(f"/#/cabinets/{cabinet.cabinet_id}")
    page.get_by_label("API key").fill("local-operator")
    page.keyboard.press("Enter")
    expect(page.get_by_role("heading", name=cabinet.cabinet_id)).to_be_visible()
    page.reload()
    expect(page.get_by_role("heading", name=cabinet.cabinet_id)).to_be_visible()
    expect(page.get_by_text("Live", exact=True)).to_be_visible()
    assert page.evaluate(STORED) == [["key"], [], ""]
    other = page.context.new_page()
    other.goto("/")
    expect(other.get_by_role("heading", name="Sign in")).to_be_visible()

    page.get_by_role("button", name="Sign out").click()
    expect(page.get_by_role("heading", name="Sign in")).to_be_visible()
    assert page.evaluate(STORED) == [[], [], ""]
    assert len(addresses) > 10
    assert [one for one in [*addresses, page.url] if "local-operator" in one] == []


def test_a_key_that_is_revoked_while_the_page_is_open_ends_the_session(
    page: Page, problems: Problems
) -> None:
    problems.allow("status of 403")
    page.get_by_role("button", name="local-operator").click()
    expect(page.get_by_text("Live", exact=True)).to_be_visible()
    page.route("**/v1/**", lambda route: route.fulfill(status=403, json={"message": "Forbidden"}))
    expect(page.get_by_role("alert")).to_contain_text("it was revoked or replaced")
    assert page.evaluate(STORED)[0] == []
    page.unroute("**/v1/**")
    page.get_by_role("button", name="local-read").click()
    expect(page.get_by_role("heading", name="Overview")).to_be_visible()


def test_a_key_that_may_only_read_is_offered_no_actions(
    open_console: OpenConsole, cabinet: Cabinet
) -> None:
    accumulator_id = cabinet.book()["cells"][0]["accumulator_id"]
    page = open_console(f"cabinets/{cabinet.cabinet_id}", key="local-read")
    expect(page.get_by_text("it cannot change cabinets")).to_be_visible()
    actions = re.compile("Unlock|Lock|able|service|Enrol|Change|Correct|Retire|Cancel|Acknowledge")
    expect(page.get_by_role("checkbox")).to_have_count(0)
    expect(page.get_by_role("button", name=actions)).to_have_count(0)
    page.goto(f"/#/accumulators/{accumulator_id}")
    expect(page.get_by_text("Chain of custody")).to_be_visible()
    expect(page.get_by_role("button", name=actions)).to_have_count(0)
    expect(page.get_by_role("link", name="Import")).to_have_count(0)
    page.goto("/#/import")
    expect(page.get_by_text("the scope operator is needed")).to_be_visible()
    expect(page.locator("input[type=file]")).to_have_count(0)


def test_a_key_that_may_book_can_cancel_bookings_only(
    open_console: OpenConsole, cabinet: Cabinet
) -> None:
    booking = cabinet.book()
    page = open_console(f"bookings/{booking['booking_id']}", key="local-backend")
    expect(page.get_by_role("button", name="Cancel the booking")).to_be_enabled()
    page.goto(f"/#/cabinets/{cabinet.cabinet_id}")
    expect(page.get_by_text("it cannot change cabinets")).to_be_visible()
