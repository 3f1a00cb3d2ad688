"""Unlock requests whose reply a test controls."""

from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any

from local.api import Response
from tests.support.local_cloud import Cabinet
from tests.support.waiting import wait_until


def begin_unlock(threads: ThreadPoolExecutor, cabinet: Cabinet, booking: Any) -> Future[Response]:
    """Begin an unlock whose doors have opened, and whose reply the cabinet holds back."""
    cabinet.answer("held")
    response = threads.submit(cabinet.unlock, booking)
    wait_until(lambda: cabinet.openings() == booking["requested"])
    return response


def retry_unlock(cabinet: Cabinet, booking: Any) -> Response:
    """Retry an unlock, as a caller does after a 504, until it is settled; return the response."""
    responses: list[Response] = []

    def is_settled() -> bool:
        responses.append(cabinet.unlock(booking))
        return responses[-1].status != 504

    wait_until(is_settled)
    return responses[-1]
