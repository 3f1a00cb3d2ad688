"""Pages of a browser that report what no page of the console may do."""

import re
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any
from urllib.parse import urlsplit

from playwright.sync_api import Browser, BrowserContext, ConsoleMessage, Error, Page, Request

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
    context = browser.new_context(base_url=url, service_workers="block", **options)
    try:
        context.add_init_script(_REPORT_VIOLATIONS)
        _watch(context, urlsplit(url).netloc, problems)
        yield context.new_page()
    finally:
        context.close()


def _watch(context: BrowserContext, host: str, problems: Problems) -> None:
    def console(message: ConsoleMessage) -> None:
        if message.type == "error":
            problems.add(f"console: {message.text} ({message.location['url']})")

    def request(sent: Request) -> None:
        address = urlsplit(sent.url)
        if address.scheme not in _WITHOUT_HOST and address.netloc != host:
            problems.add(f"request to another host: {sent.url}")

    def page(opened: Page) -> None:
        opened.on("pageerror", exception)

    def exception(error: Error) -> None:
        problems.add(f"exception: {error}")

    context.on("console", console)
    context.on("request", request)
    context.on("page", page)
