"""A directory for servers."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.database import fast_directory


@pytest.fixture
def directory() -> Iterator[Path]:
    """An empty directory, in memory if there is enough."""
    with fast_directory() as path:
        yield path
