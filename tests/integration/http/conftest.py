"""One service for all tests of a file that send requests which are refused."""

from collections.abc import Iterator

import pytest

from local.postgres import Postgres
from tests.support.database import cloned
from tests.support.service import Service, running


@pytest.fixture(scope="module")
def service(postgres: Postgres, template: str) -> Iterator[Service]:
    """The service with cabinet C-1, one for a whole file: a refused request changes nothing."""
    with (
        cloned(postgres, template) as url,
        pytest.MonkeyPatch.context() as patch,
        running(url, patch) as service,
    ):
        service.add_cabinet(charges=[98])
        yield service
