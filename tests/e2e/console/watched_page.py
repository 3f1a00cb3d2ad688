"""Pages of a browser that report what no page of the console may do."""

import re
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any
from urllib.parse import urlsplit

from playwright.sync_api import Browser, BrowserContext, ConsoleMessage, Page, Request, WebError

_WITHOUT_HOST = {"data", "blob"}
_REPORT_VIOLATIONS = """
document.addEventListener("securitypolicyviolation", (event) =>
  console.error(`CSP violation: ${event.effectiveDirective} ${event.blockedURI}`));
"""


class Problems:
    """Console errors, uncaught exceptions, CSP violations, and requests to other hosts.

    Chromium reports each response of 400 and more as a console error, and each connection that
    fails: a test that causes those allows them.
    """

    def __init__(self) -> None:
        self._found: list[str] = []
        self._allowed: list[str] = []

    def add(self, problem: str) -> None:
        """Record a problem."""
        self._found.append(problem)

    def allow(self, pattern: str) -> None:
        """Ignore the problems, earlier or later, in which this regular expression is found."""
        self._allowed.append(pattern)

    @property
    def found(self) -> list[str]:
        """The problems that are not allowed."""
        return [
            problem
            for problem in self._found
            if not any(re.search(pattern, problem) for pattern in self._allowed)
        ]


@contextmanager
def watched_page(browser: Browser, url: str, problems: Problems, **options: Any) -> Iterator[Page]:
    """A page in a context of its own, with `url` as the base of its addresses.

    `options`: of browser.new_context, such as `viewport`, `color_scheme` or `locale`.
    """
    with opened(browser, url, **options) as context, watched(context, url, problems):
        yield context.new_page()


@contextmanager
def opened(browser: Browser, url: str, **options: Any) -> Iterator[BrowserContext]:
    """A context whose pages report what their policy stops."""
    context = browser.new_context(base_url=url, service_workers="block", **options)
    try:
        context.add_init_script(_REPORT_VIOLATIONS)
        yield context
    finally:
        context.close()


@contextmanager
def watched(context: BrowserContext, url: str, problems: Problems) -> Iterator[None]:
    """Record the problems of a context's pages."""
    host = urlsplit(url).netloc

    def console(message: ConsoleMessage) -> None:
        if message.type == "error":
            problems.add(f"console: {message.text} ({message.location['url']})")

    def request(sent: Request) -> None:
        address = urlsplit(sent.url)
        if address.scheme not in _WITHOUT_HOST and address.netloc != host:
            problems.add(f"request to another host: {sent.url}")

    def exception(error: WebError) -> None:
        problems.add(f"exception: {error.error}")

    context.on("console", console)
    context.on("request", request)
    context.on("weberror", exception)
    try:
        yield
    finally:
        context.remove_listener("console", console)
        context.remove_listener("request", request)
        context.remove_listener("weberror", exception)
