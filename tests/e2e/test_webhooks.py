"""Webhooks of the local cloud, whose timer delivers."""

from collections.abc import Iterator
from typing import Any

import pytest

from tests.support.local_cloud import Cabinet, LocalCloud
from tests.support.receiver import Receiver
from tests.support.waiting import wait_until


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    with Receiver() as receiver:
        yield receiver


def test_a_receiver_hears_of_an_unlock_without_asking(
    stack: LocalCloud, cabinet: Cabinet, receiver: Receiver
) -> None:
    body: dict[str, Any] = {"url": receiver.url, "cabinet_ids": [cabinet.cabinet_id]}
    made = stack.operator.post("/v1/webhooks", body)
    path = f"/v1/webhooks/{made['webhook_id']}"
    try:
        booking = cabinet.book()
        assert cabinet.unlock(booking).status == 200
        wait_until(lambda: "booking.completed" in types(receiver, made["secret"]))
        assert types(receiver, made["secret"])[0] == "booking.created"
    finally:
        stack.operator.expect({204}, "DELETE", path)


def types(receiver: Receiver, secret: str) -> list[str]:
    return [request.verified(secret)["type"] for request in receiver.received]
