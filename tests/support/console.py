"""The console's third-party files in tests: fetched once, or the tests are skipped."""

from pathlib import Path

import pytest

from console import fetch
from console.fetch import CONSOLE


def skip_without_files(console: Path = CONSOLE) -> None:
    """Fetch a folder's third-party files; skip if the registry cannot be reached."""
    try:
        fetch.fetch(console, attempts=1)
    except fetch.FetchFailed as error:
        pytest.skip(f"without third-party files: {error}")
