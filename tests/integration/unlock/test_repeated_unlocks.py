"""An unlock request that arrives while the command of an earlier one is in flight."""

from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor

import pytest

from tests.integration.unlock.lost_messages import get_command
from tests.integration.unlock.waiting_callers import SECONDS
from tests.support.service import Message, Response, Service
from tests.support.waiting import wait_until


@pytest.fixture
def threads() -> Iterator[ThreadPoolExecutor]:
    with ThreadPoolExecutor(2) as threads:
        yield threads


def test_an_unlock_requested_again_waits_for_the_published_command_and_gets_its_result(
    patient_service: Service, threads: ThreadPoolExecutor
) -> None:
    service = patient_service
    service.add_cabinet(charges=[95])
    booking = service.book()
    sent: list[Message] = []
    send, service.queue.arrive = service.queue.arrive, lambda _id, message: sent.append(message)
    first = threads.submit(service.unlock, booking)
    wait_until(lambda: service.queue.waiting == 1, seconds=SECONDS)

    service.queue.arrive = send  # a request for the cabinet's state would be answered
    second = threads.submit(service.unlock, booking)
    wait_until(lambda: second.done() or service.queue.waiting == 2, seconds=SECONDS)
    send("C-1", sent[0])

    responses = [first.result(SECONDS), second.result(SECONDS)]
    assert [response.status for response in responses] == [200, 200]
    assert responses[0].body == responses[1].body
    assert [message["kind"] for _, message in service.queue.published] == ["unlock"]
    service.check_invariants()


def test_an_unlock_requested_again_waits_for_a_command_that_is_being_published(
    patient_service: Service, threads: ThreadPoolExecutor
) -> None:
    service = patient_service
    service.add_cabinet(charges=[95])
    booking = service.book()
    send = service.queue.arrive

    others: list[Future[Response]] = []

    def arrive_once_the_second_waits(device_id: str | None, sent: Message) -> None:
        service.queue.arrive = send
        assert get_command(service, sent["command_id"])["status"] == "pending"
        others.append(threads.submit(service.unlock, booking))
        wait_until(lambda: others[0].done() or service.queue.waiting == 1, seconds=SECONDS)
        send(device_id, sent)

    service.queue.arrive = arrive_once_the_second_waits
    first = service.unlock(booking)

    second = others[0].result(SECONDS)
    assert (first.status, second.status) == (200, 200)
    assert first.body == second.body
    assert [message["kind"] for _, message in service.queue.published] == ["unlock"]
    service.check_invariants()
