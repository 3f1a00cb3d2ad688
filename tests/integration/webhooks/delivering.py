"""What the tests of deliveries do: make events, deliver, look."""

from typing import Any

from shared import config, db
from shared.services.deliveries import Deliverer, Summary
from shared.webhooks.sender import HttpSender
from tests.support.receiver import Receiver
from tests.support.service import Service


def subscribe(service: Service, receiver: Receiver, **more: Any) -> Any:
    """Make a webhook to the receiver."""
    return service.post("/v1/webhooks", {"url": receiver.url, **more})


def deliverer(*, timeout: float = 10, idle_seconds: float = 0.3) -> Deliverer:
    """Return a deliverer that stops once all is delivered."""
    return Deliverer(
        config.settings(),
        lambda: HttpSender(allow_private=True, timeout=timeout),
        idle_seconds=idle_seconds,
    )


def deliver(*, timeout: float = 10, seconds: float = 20) -> Summary:
    """Deliver what there is."""
    try:
        return deliverer(timeout=timeout).run(seconds)
    finally:
        db.close()


def make_events(service: Service, *names: str) -> None:
    """Register accumulators: each makes an event `accumulator.moved` and an `…changed`."""
    for name in names:
        service.post("/v1/accumulators", {"accumulator_id": name})


def state(service: Service) -> Any:
    """Return the only webhook as the API shows it."""
    [webhook] = service.call("GET", "/v1/webhooks", key="operator").body["webhooks"]
    return webhook


def subjects(receiver: Receiver, secret: str, kind: str = "accumulator.changed") -> list[str]:
    """Return the subjects of the events of one type that arrived, each verified."""
    events = [request.verified(secret) for request in receiver.received]
    return [event["subject"] for event in events if event["type"] == kind]
