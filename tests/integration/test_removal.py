"""A cabinet that is removed while others speak of it, or it speaks itself."""

from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from typing import Any

from shared import db
from shared.services import cabinets
from tests.service import Service
from tests.waiting import wait_until


@contextmanager
def removal(service: Service, meanwhile: Callable[[], Any]) -> Iterator[Callable[[], Any]]:
    """Remove C-1 while `meanwhile` waits for its lock; afterwards, what came of that."""
    with ThreadPoolExecutor(1) as other:
        with db.transaction() as tx:
            cabinets.remove(tx, "C-1")
            waiting = other.submit(meanwhile)
            wait_until(lambda: service.sql("SELECT pid FROM pg_locks WHERE NOT granted LIMIT 1"))
        yield waiting.result
    db.close()


def test_a_booking_whose_cabinet_is_removed_at_the_unlock_is_not_there(service: Service) -> None:
    service.add_cabinet()
    booking = service.book(kind="return")
    service.delete(f"/v1/bookings/{booking['booking_id']}")
    with removal(service, lambda: service.unlock(booking)) as result:
        answer = result()
    assert (answer.status, answer.body["code"]) == (404, "booking_not_found")


def test_what_a_cabinet_says_while_it_is_removed_is_kept(service: Service) -> None:
    hardware = service.add_cabinet()
    said = ("C-1", hardware.state_report())
    with removal(service, lambda: service.deliver(said)) as result:
        assert result() == {"messages": 1, "anomalies": 1}
    assert service.anomalies() == ["unknown_device"]


def test_what_cannot_be_read_of_a_cabinet_that_is_removed_is_kept(service: Service) -> None:
    service.add_cabinet()
    with removal(service, lambda: service.deliver(("C-1", b"{"))) as result:
        assert result() == {"messages": 1, "anomalies": 1}
    assert service.anomalies() == ["malformed"]
