"""An action that waits for a lock which the test holds."""

from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from typing import Any

from shared import db
from tests.support.service import Service
from tests.support.waiting import wait_until


@contextmanager
def blocked(service: Service, action: Callable[[], Any]) -> Iterator[Callable[[], Future[Any]]]:
    """Yield a function that starts `action` in another thread and returns when it waits for a lock.

    The action has ended when the context is left.
    """
    with ThreadPoolExecutor(1) as other:
        started: list[Future[Any]] = []

        def start() -> Future[Any]:
            started.append(other.submit(action))
            wait_until(lambda: service.sql("SELECT pid FROM pg_locks WHERE NOT granted LIMIT 1"))
            return started[0]

        yield start
        started[0].result()
    db.close()
