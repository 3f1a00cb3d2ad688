"""Waiting for a condition, instead of sleeping and hoping."""

import time
from collections.abc import Callable


def wait_until(condition: Callable[[], object], *, seconds: float = 10) -> None:
    """Return as soon as `condition` holds. Raises TimeoutError."""
    deadline = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > deadline:
            raise TimeoutError(f"not so within {seconds} s")
        time.sleep(0.01)
