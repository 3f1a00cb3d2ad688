"""Deliveries: at least once, in order for each webhook, none waiting for another."""

import time
from threading import Event, Thread
from typing import Any

import pytest

from local.timer import timer_event
from shared import config, db
from shared.errors import DatabaseUnavailable
from shared.services import deliveries
from shared.services.deliveries import WAIT_SECONDS, Deliverer, Summary
from shared.webhooks.outcome import Outcome
from tests.integration.webhooks.delivering import (
    deliver,
    deliverer,
    make_events,
    state,
    subjects,
    subscribe,
)
from tests.support import receiver as answers
from tests.support.receiver import Receiver, status
from tests.support.service import Service
from tests.support.waiting import slowdown, wait_until

NAMES = [f"A-{number:02}" for number in range(30)]
DAY = 24 * 3600


def test_events_are_cloud_events_that_the_published_library_verifies(
    service: Service, receiver: Receiver
) -> None:
    service.connect("C-1")
    made = subscribe(service, receiver, types=["cabinet.changed"])
    service.patch("/v1/cabinets/C-1", {"address": "Tverskaya 1"})
    assert deliver() == Summary(delivered=1, failed=0)
    [request] = receiver.received
    assert request.headers["content-type"].startswith("application/cloudevents+json")
    event = request.verified(made["secret"])
    assert event["specversion"] == "1.0"
    assert (event["type"], event["subject"]) == ("cabinet.changed", "C-1")
    assert (event["cabinetid"], event["causedby"]) == ("C-1", "operator")
    assert event["source"] == "urn:scooter-accumulator:events"
    assert event["data"]["address"] == "Tverskaya 1"
    page = service.get("/v1/events?after=" + first_cursor(service))
    assert (event["id"], event["time"], event["data"]) == next(
        (e["event_id"], e["at"], e["resource"]) for e in reversed(page["events"])
    )


def first_cursor(service: Service) -> str:
    """Return the cursor of the feed's beginning."""
    from shared import cursor  # noqa: PLC0415 - of this test only

    [row] = service.sql("SELECT feed_id FROM feed")
    return cursor.encode(0, row["feed_id"])


def test_events_come_in_order(service: Service, receiver: Receiver) -> None:
    made = subscribe(service, receiver)
    make_events(service, *NAMES)
    assert deliver().delivered == 2 * len(NAMES)
    assert subjects(receiver, made["secret"]) == NAMES
    assert len(set(receiver.ids)) == len(receiver.ids)
    assert state(service)["oldest_undelivered_at"] is None


def test_events_from_before_the_webhook_are_not_sent(service: Service, receiver: Receiver) -> None:
    make_events(service, "A-1")
    made = subscribe(service, receiver)
    make_events(service, "A-2")
    deliver()
    assert subjects(receiver, made["secret"]) == ["A-2"]


def test_only_wanted_types_and_cabinets_are_sent(service: Service, receiver: Receiver) -> None:
    for name in ("C-1", "C-2"):
        service.connect(name)
    made = subscribe(service, receiver, types=["cabinet.changed"], cabinet_ids=["C-2"])
    for name in ("C-1", "C-2"):
        service.patch(f"/v1/cabinets/{name}", {"address": "Tverskaya 1"})
        service.patch(f"/v1/cabinets/{name}/cells/1", {"health": "disabled", "reason": "bent"})
    deliver()
    assert subjects(receiver, made["secret"], "cabinet.changed") == ["C-2"]
    assert len(receiver.received) == 1
    assert state(service)["oldest_undelivered_at"] is None


def test_a_webhook_passes_over_many_events_that_it_does_not_want_in_one_invocation(
    service: Service, receiver: Receiver, monkeypatch: pytest.MonkeyPatch
) -> None:
    made = subscribe(service, receiver, types=["cabinet.changed"])
    make_events(service, *NAMES[:8])
    service.connect("C-1")
    monkeypatch.setattr("shared.repo.events.MOST_AT_ONCE", 4)  # of 17, at each look
    deliverer(idle_seconds=1.5 * WAIT_SECONDS).run(20)
    db.close()
    assert subjects(receiver, made["secret"], "cabinet.changed") == ["C-1"]


@pytest.mark.parametrize("code", [301, 400, 404, 429, 500])
def test_a_failed_event_is_sent_again_before_those_after_it(
    service: Service, receiver: Receiver, code: int
) -> None:
    made = subscribe(service, receiver, types=["accumulator.changed"])
    make_events(service, "A-1", "A-2")
    receiver.answer = status(code)
    assert deliver() == Summary(delivered=0, failed=1)
    shown = state(service)
    assert (shown["last_status_code"], shown["consecutive_failures"]) == (code, 1)
    assert shown["next_attempt_at"] > shown["last_attempt_at"]
    assert shown["oldest_undelivered_at"] is not None
    receiver.answer = status(200)
    service.advance_time(10)
    deliver()
    assert subjects(receiver, made["secret"]) == ["A-1", "A-1", "A-2"]
    assert receiver.ids[0] == receiver.ids[1]
    assert state(service)["consecutive_failures"] == 0


def test_a_receiver_that_hangs_delays_no_other(service: Service, receiver: Receiver) -> None:
    with Receiver(answers.hang) as hanging, Receiver(answers.endless_body) as endless:
        subscribe(service, hanging)
        subscribe(service, endless)
        made = subscribe(service, receiver)
        make_events(service, *NAMES)
        ended = Event()

        def deliver_and_tell() -> None:
            deliver(timeout=4)
            ended.set()

        thread = Thread(target=deliver_and_tell)
        thread.start()
        wait_until(lambda: len(receiver.received) == 2 * len(NAMES))
        assert not ended.is_set()
        assert len(hanging.received) == 1
        thread.join()
    assert subjects(receiver, made["secret"]) == NAMES


def test_an_event_that_cannot_be_shown_stops_no_other_webhook(
    service: Service, receiver: Receiver
) -> None:
    with Receiver() as unlucky:
        subscribe(service, unlucky, types=["accumulator.moved"])
        made = subscribe(service, receiver, types=["accumulator.changed"])
        make_events(service, "A-1")
        service.call("GET", "/v1/events", key="read")
        service.sql("UPDATE events SET resource = '{}' WHERE type = 'accumulator.moved'")
        assert deliver() == Summary(delivered=1, failed=0)
        assert unlucky.received == []
    assert subjects(receiver, made["secret"]) == ["A-1"]


def test_an_attempt_that_breaks_is_a_failure_and_followed_by_a_pause(service: Service) -> None:
    class Broken:
        def send(self, *_: Any) -> Outcome:
            raise OverflowError("a mistake in this release")

        def close(self) -> None:
            pass

    with Receiver() as receiver:
        subscribe(service, receiver)
        make_events(service, "A-1")
        done = Deliverer(config.settings(), Broken, idle_seconds=0.3).run(5)
    db.close()
    assert done == Summary(delivered=0, failed=1)
    assert (state(service)["last_error"], state(service)["consecutive_failures"]) == ("internal", 1)


# --- Giving up --------------------------------------------------------------------------------


def test_after_three_days_the_webhook_is_paused_with_an_anomaly(
    service: Service, receiver: Receiver
) -> None:
    made = subscribe(service, receiver)
    make_events(service, "A-1")
    receiver.answer = status(500)
    attempts = 0
    for _ in range(12):
        attempts += deliver_due()
        service.advance_time(6 * 3600)
    assert (attempts, state(service)["status"]) == (12, "active")
    deliver_due()
    shown = state(service)
    assert (shown["status"], shown["next_attempt_at"]) == ("paused", None)
    assert shown["status_reason"] == "no attempt succeeded for three days; last: status 500"
    [anomaly] = service.sql("SELECT reason, detail FROM anomalies")
    assert anomaly["reason"] == "webhook_paused"
    assert anomaly["detail"].startswith(made["webhook_id"])
    assert deliver_due() == 0
    receiver.answer = status(200)
    service.patch(f"/v1/webhooks/{made['webhook_id']}", {"status": "active"})
    deliver()
    assert len(set(receiver.ids[:14])) == 1
    assert subjects(receiver, made["secret"], "accumulator.moved") == ["A-1"]
    assert len(subjects(receiver, made["secret"], "anomaly.raised")) == 1


def deliver_due() -> int:
    """Make the attempts that are due now; return how many failed."""
    try:
        return deliverer(idle_seconds=0.01).run(5).failed
    finally:
        db.close()


def test_410_gone_pauses_at_once(service: Service, receiver: Receiver) -> None:
    subscribe(service, receiver)
    make_events(service, "A-1")
    receiver.answer = status(410)
    deliver()
    shown = state(service)
    assert (shown["status"], shown["status_reason"]) == ("paused", "the receiver answered 410 Gone")
    assert service.anomalies() == ["webhook_paused"]


def test_the_receiver_chooses_a_longer_pause(service: Service, receiver: Receiver) -> None:
    subscribe(service, receiver)
    make_events(service, "A-1")
    receiver.answer = status(503, retry_after="600")
    deliver()
    service.advance_time(590)
    assert deliver().failed == 0
    service.advance_time(15)
    assert deliver().failed == 1


def test_an_operator_pauses_and_resumes_where_it_stood(
    service: Service, receiver: Receiver
) -> None:
    made = subscribe(service, receiver)
    path = f"/v1/webhooks/{made['webhook_id']}"
    assert service.patch(path, {"status": "paused"})["status_reason"] == "paused by an operator"
    make_events(service, "A-1")
    assert deliver().delivered == 0
    service.patch(path, {"status": "active"})
    deliver()
    assert subjects(receiver, made["secret"]) == ["A-1"]


def test_events_that_are_not_kept_any_more_are_announced_as_a_gap(
    service: Service, receiver: Receiver
) -> None:
    made = subscribe(service, receiver, types=["accumulator.changed"])
    path = f"/v1/webhooks/{made['webhook_id']}"
    service.patch(path, {"status": "paused"})
    make_events(service, "A-1", "A-2")
    service.call("GET", "/v1/events", key="read")
    service.sql("DELETE FROM events WHERE position <= 2")
    service.patch(path, {"status": "active"})
    deliver()
    first, second = (request.verified(made["secret"]) for request in receiver.received)
    assert (first["type"], first["data"]) == ("webhook.gap", {"missed_at_most": 2})
    assert (second["type"], second["subject"]) == ("accumulator.changed", "A-2")


# --- Several at once, and crashes -------------------------------------------------------------


def test_two_deliverers_send_each_event_once_and_in_order(
    service: Service, receiver: Receiver
) -> None:
    receivers = [Receiver() for _ in range(4)]
    made = []
    for other in receivers:
        other.__enter__()
        made.append(subscribe(service, other))
    make_events(service, *NAMES)
    threads = [Thread(target=deliver) for _ in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    for other, webhook in zip(receivers, made, strict=True):
        other.__exit__()
        assert subjects(other, webhook["secret"]) == NAMES
        assert len(other.received) == 2 * len(NAMES)


def test_an_event_whose_success_was_not_recorded_comes_again_with_the_same_id(
    service: Service, receiver: Receiver, monkeypatch: pytest.MonkeyPatch
) -> None:
    made = subscribe(service, receiver, types=["accumulator.changed"])
    make_events(service, "A-1")

    def die(*_: Any) -> None:
        raise DatabaseUnavailable

    with monkeypatch.context() as patch:
        patch.setattr(deliveries.Deliverer, "_record", die)
        with pytest.raises(DatabaseUnavailable):
            deliver()
    assert deliver().delivered == 0  # the dead one's lease
    service.advance_time(31)
    assert deliver().delivered == 1
    assert subjects(receiver, made["secret"]) == ["A-1", "A-1"]
    assert receiver.ids[0] == receiver.ids[1]


def test_a_webhook_that_is_paused_during_a_batch_is_stopped(
    service: Service, receiver: Receiver
) -> None:
    made = subscribe(service, receiver)
    make_events(service, *NAMES)

    def pause(request: Any, it: Receiver) -> None:
        if len(it.received) == 1:
            service.patch(f"/v1/webhooks/{made['webhook_id']}", {"status": "paused"})
        answers.slowly(0.1, status(200))(request, it)

    receiver.answer = pause
    deliver()
    assert len(receiver.received) < len(NAMES)
    assert state(service)["status"] == "paused"


def test_a_webhook_that_is_resumed_during_an_attempt_is_not_delivered_to_by_two_threads(
    service: Service,
) -> None:
    with Receiver(answers.hang) as receiver:
        made = subscribe(service, receiver)
        make_events(service, *NAMES[:3])
        thread = Thread(target=deliver, kwargs={"timeout": 2})
        thread.start()
        wait_until(lambda: receiver.received)
        receiver.answer = status(200)
        service.patch(f"/v1/webhooks/{made['webhook_id']}", {"status": "active"})
        thread.join()
        assert list(dict.fromkeys(subjects(receiver, made["secret"]))) == NAMES[:3]
    assert (state(service)["last_error"], state(service)["consecutive_failures"]) == (None, 0)


def test_an_invocation_ends_in_time_although_more_is_to_be_delivered(
    service: Service, receiver: Receiver
) -> None:
    subscribe(service, receiver)
    make_events(service, *NAMES)
    receiver.answer = answers.slowly(0.1, status(200))
    began = time.monotonic()
    deliver(seconds=1)
    assert time.monotonic() - began < 5 * slowdown()
    assert 0 < len(receiver.received) < 2 * len(NAMES)
    receiver.answer = status(200)
    deliver()
    assert len(set(receiver.ids)) == len(receiver.ids) == 2 * len(NAMES)


# --- The timer --------------------------------------------------------------------------------


def test_the_timer_delivers(
    service: Service, receiver: Receiver, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(deliveries, "IDLE_SECONDS", 0.1)
    subscribe(service, receiver)
    make_events(service, "A-1")
    done = service.pool.invoke("events", timer_event(), timeout=30)
    assert done == {"delivered": 2, "failed": 0}


def test_without_webhooks_the_timer_runs_one_query(service: Service) -> None:
    make_events(service, "A-1")
    began = time.monotonic()
    assert service.pool.invoke("events", timer_event(), timeout=30) == {"delivered": 0, "failed": 0}
    assert time.monotonic() - began < 5 * slowdown()
    [row] = service.sql("SELECT count(*) AS n FROM event_outbox")
    assert row["n"] > 0
