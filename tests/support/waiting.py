"""Wait for a condition instead of sleeping."""

import os
import time
from collections.abc import Callable


def wait_until(condition: Callable[[], object], *, seconds: float = 60) -> None:
    """Return as soon as `condition` holds. Raises TimeoutError."""
    deadline = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > deadline:
            raise TimeoutError(f"the condition did not hold within {seconds} s")
        time.sleep(0.01)


def slowdown() -> float:
    """Return by which factor other processes slow this machine down: its load for each core."""
    return max(1, os.getloadavg()[0] / (os.cpu_count() or 1))
