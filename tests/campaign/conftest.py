"""The client of the HTTP campaigns."""

from collections.abc import Iterator

import pytest

from local.console_page import ConsolePage
from local.docs_page import DocsPage
from local.gateway import Gateway, Page
from tests.campaign.raw_client import RawClient
from tests.support.service import ROUTES, Service


@pytest.fixture
def client(service: Service) -> Iterator[RawClient]:
    """A client of a gateway, which must still work at the end of the test."""
    pages: list[Page] = [ConsolePage(), DocsPage(ROUTES.document)]
    gateway = Gateway(ROUTES, service.pool, port=0, pages=pages)
    gateway.start()
    client = RawClient(gateway)
    yield client
    assert client.get(b"/v1/accumulators").status == 200
    service.check_invariants()
    gateway.stop()
