"""Enforces the rate limits of the OpenAPI document, each for one operation and all callers."""

import threading
import time

from local.gateway.operations import Operation


class Limiter:
    """Admits as many requests of an operation as its limit allows, in bursts of one second's."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._left: dict[tuple[str, str], tuple[float, float]] = {}
        """By method and resource: how many requests are left, and when that was."""

    def admit(self, operation: Operation) -> bool:
        """Count a request; False if it exceeds the limit."""
        most = operation.most_per_second
        if most is None:
            return True
        key, burst = (operation.method, operation.resource), max(1.0, most)
        with self._lock:
            now = time.monotonic()
            left, at = self._left.get(key, (burst, now))
            left = min(burst, left + (now - at) * most)
            admitted = left >= 1
            self._left[key] = (left - admitted, now)
        return admitted
