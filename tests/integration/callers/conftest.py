"""Fixtures of the tests of who did what: two backends and two operators."""

from collections.abc import Iterator
from hashlib import sha256

import pytest

from tests.support.service import Service, api_keys, running

DESK = "desk"
"""A second operator."""
ODD = "Van.2_night-shift"
"""The name of a second backend's key."""
ODD_KEY = "key-of-odd"


@pytest.fixture
def service(database_url: str, monkeypatch: pytest.MonkeyPatch) -> Iterator[Service]:
    """The service with a charged accumulator in each of the first three cells of C-1."""
    more = {DESK: ("operator", DESK), ODD: ("backend", ODD_KEY)}
    entries = [
        f"{name}:{scope}:{sha256(key.encode()).hexdigest()}" for name, (scope, key) in more.items()
    ]
    keys = ",".join([api_keys(), *entries])
    settings = {"API_KEYS": keys, "WEBHOOKS_ALLOW_PRIVATE": "true"}
    with running(database_url, monkeypatch, **settings) as service:
        service.add_cabinet(charges=[98, 95, 90])
        yield service
