"""A browser for the console's tests: the system's Chromium, driven by Playwright.

A test takes `page` (the console of the shared local cloud, opened at /), or signs in with
`open_console`, or opens pages of any cloud, in any size, with `open_page`. It fails if a page
causes a problem (watched_page.py).
"""

from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from functools import partial
from pathlib import Path

import pytest
from playwright.sync_api import Browser, BrowserContext, Page, expect, sync_playwright

from tests.e2e.console import screens
from tests.e2e.console.watched_page import Problems, opened, watched, watched_page
from tests.support.console import skip_without_files
from tests.support.local_cloud import LocalCloud, running
from tests.support.programs import find_chromium, skip_without

OpenPage = Callable[..., Page]
"""Called with a LocalCloud's URL, and options of browser.new_context."""
OpenConsole = Callable[..., Page]
"""Called with the part of the address after #/, a key, and options of browser.new_context."""
Violations = Callable[[Page], list[str]]

WITHOUT_CONSOLE = "/v1/health"
"""A page of the same origin: it has the console's storage, and loads nothing."""
_AXE = Path(__file__).parent / "axe"
_RULES = ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa"]
_ARGUMENTS = [
    "--no-sandbox",  # CI runs as root
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-default-apps",
    "--disable-domain-reliability",
    "--disable-sync",
    "--no-default-browser-check",
    "--no-first-run",
    "--no-pings",
    "--host-resolver-rules=MAP * ~NOTFOUND, EXCLUDE 127.0.0.1",
]


@pytest.fixture(scope="package")
def browser() -> Iterator[Browser]:
    """A headless Chromium."""
    skip_without("chromium")
    skip_without_files()
    with launched() as browser:
        yield browser


@contextmanager
def launched() -> Iterator[Browser]:
    """Start a headless Chromium, and close it afterwards."""
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=find_chromium(), args=_ARGUMENTS)
        yield browser
        browser.close()


@pytest.fixture
def problems() -> Iterator[Problems]:
    """What went wrong in the test's pages; a test may allow what it causes."""
    problems = Problems()
    yield problems
    assert problems.found == []


@pytest.fixture
def open_page(browser: Browser, problems: Problems) -> Iterator[OpenPage]:
    """Opens pages, each in a context of its own: without the keys and the storage of others."""
    with ExitStack() as pages:

        def open_page(url: str, **options: object) -> Page:
            return pages.enter_context(watched_page(browser, url, problems, **options))

        yield open_page


@pytest.fixture(scope="package")
def stack() -> Iterator[LocalCloud]:
    """The local cloud of the console's tests; each test uses cabinets of its own."""
    options = ("--cabinets", "60", "--poll-seconds", "3600")
    with running(*options, settings=screens.SETTINGS) as stack:
        yield stack


@pytest.fixture(scope="package")
def scenes(stack: LocalCloud) -> screens.Scenes:
    """What the screens show of a fleet that looks alive."""
    return screens.play(stack)


@pytest.fixture(scope="package")
def shared_context(browser: Browser, stack: LocalCloud) -> Iterator[BrowserContext]:
    """A context with a page, for one test after another: a new one takes longer than most tests."""
    with opened(browser, stack.url, locale="en-GB") as context:
        context.new_page()
        yield context


@pytest.fixture
def shared_page(
    shared_context: BrowserContext, stack: LocalCloud, problems: Problems
) -> Iterator[Callable[[], Page]]:
    """Returns a page of the shared context; it is left as a new one would be."""
    free = [*shared_context.pages]
    with watched(shared_context, stack.url, problems):
        yield lambda: free.pop() if free else shared_context.new_page()
    page, *more = shared_context.pages
    for one in more:
        one.close()
    page.unroute_all(behavior="ignoreErrors")
    page.goto(WITHOUT_CONSOLE)
    page.evaluate("sessionStorage.clear(); localStorage.clear()")
    shared_context.clear_cookies()


@pytest.fixture
def open_console(
    open_page: OpenPage, shared_page: Callable[[], Page], stack: LocalCloud, problems: Problems
) -> OpenConsole:
    """Opens a screen of the console, signed in, and waits until it follows the events."""
    problems.allow("/favicon.ico")  # of WITHOUT_CONSOLE; the console names its icon

    def open_console(screen: str = "", key: str = "local-operator", **options: object) -> Page:
        page = open_page(stack.url, locale="en-GB", **options) if options else shared_page()
        page.goto(WITHOUT_CONSOLE)
        page.evaluate("key => sessionStorage.setItem('key', key)", key)
        page.goto(f"/#/{screen}")
        expect(page.get_by_text("Live", exact=True)).to_be_visible()
        return page

    return open_console


@pytest.fixture
def page(shared_page: Callable[[], Page]) -> Page:
    """The console of the shared local cloud, opened at /, and not signed in."""
    page = shared_page()
    page.goto("/")
    return page


@pytest.fixture(scope="package")
def violations() -> Violations:
    """Returns a page's violations of WCAG 2.1 AA as axe sees them, each with its elements."""
    skip_without_files(_AXE)
    return partial(_violations, (_AXE / "vendor" / "axe-core" / "axe.min.js").read_text())


def _violations(axe: str, page: Page) -> list[str]:
    page.evaluate(axe)
    options = {"runOnly": {"type": "tag", "values": _RULES}}
    report = page.evaluate("options => axe.run(document, options)", options)
    return [
        f"{violation['id']}: {violation['help']}: {node['target']}"
        for violation in report["violations"]
        for node in violation["nodes"]
    ]
