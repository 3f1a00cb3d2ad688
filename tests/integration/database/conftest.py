"""A database as in a managed cluster."""

from collections.abc import Iterator
from uuid import uuid4

import pytest

from local.postgres import Postgres, url_for
from tests.support.database import cloned, query, without_pooler


@pytest.fixture
def plain_owner(postgres: Postgres) -> Iterator[str]:
    """The URL of an empty database, for a role that owns it and may do nothing else.

    Without the pooler, which knows the usual roles only.
    """
    name = f"plain_{uuid4().hex}"
    query(postgres.url_of("postgres"), f"CREATE ROLE {name} LOGIN")
    with cloned(postgres, "template0") as url:
        query(url, f"ALTER DATABASE {url.rpartition('/')[2]} OWNER TO {name}")
        yield url_for(name, without_pooler(url))
    query(postgres.url_of("postgres"), f"DROP ROLE {name}")
