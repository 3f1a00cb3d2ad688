"""Deliver the feed to webhooks: at least once, in order for each, none waiting for another.

One thread talks to the database; each webhook that is due has a thread that sends its events, one
after another. Whoever delivers to a webhook holds a lease on it, by the database's clock: nothing
waits on the network inside a transaction, and two invocations never deliver to the same one.
"""

import random
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from queue import Empty, SimpleQueue
from threading import Event, Thread
from typing import Any
from uuid import UUID, uuid4, uuid5

from shared import db, log
from shared.config import Settings
from shared.db import Row, Tx
from shared.repo import anomalies, events, webhooks
from shared.services import feed
from shared.services.webhooks import notice, secrets_of
from shared.webhooks import cloud_events, retries, signing
from shared.webhooks.outcome import TIMEOUT_SECONDS, Outcome, Sender
from shared.webhooks.retries import GiveUp

BATCH = 50
"""Events that are loaded at once for a webhook."""
IDLE_SECONDS = 15
"""How long an invocation waits for more once everything is delivered."""
WAIT_SECONDS = 0.5
"""Between two looks at the feed."""


@dataclass(frozen=True)
class Message:
    """An event as it is sent to one webhook."""

    position: int
    """Of the event; that of a notice is just before the event that it precedes."""
    message_id: str
    body: bytes


@dataclass(frozen=True)
class Attempt:
    """An attempt that has ended; without an outcome: the webhook's thread has ended."""

    webhook_id: UUID
    position: int = 0
    outcome: Outcome | None = None


@dataclass(frozen=True)
class Summary:
    """What an invocation did."""

    delivered: int
    failed: int


class Deliverer:
    """Delivers during one invocation."""

    def __init__(
        self,
        settings: Settings,
        new_sender: Callable[[], Sender],
        *,
        idle_seconds: float | None = None,
    ) -> None:
        """`new_sender`: called once for each webhook. `idle_seconds`: IDLE_SECONDS unless given."""
        self._settings = settings
        self._new_sender = new_sender
        self._idle_seconds = IDLE_SECONDS if idle_seconds is None else idle_seconds
        self._lease = uuid4()
        self._attempts: SimpleQueue[Attempt] = SimpleQueue()
        self._running: dict[UUID, _Delivery] = {}
        self._senders: dict[UUID, Sender] = {}
        self._delivered = self._failed = 0

    def run(self, seconds: float) -> Summary:
        """Deliver until nothing has come for a while, or for `seconds` at most.

        Attempts that run then are waited for: TIMEOUT_SECONDS at most. Without webhooks it returns
        after one query. Raises DatabaseUnavailable.
        """
        with db.statements() as tx:
            if not webhooks.any_active(tx):
                return Summary(0, 0)
        end = time.monotonic() + seconds
        try:
            self._deliver_until(end)
        finally:
            self._stop()
        return Summary(self._delivered, self._failed)

    def _deliver_until(self, end: float) -> None:
        idle_end = time.monotonic() + self._idle_seconds
        next_look = 0.0
        while time.monotonic() < min(end, idle_end) or (self._running and time.monotonic() < end):
            if time.monotonic() >= next_look:
                if self._start_due():
                    idle_end = time.monotonic() + self._idle_seconds
                next_look = time.monotonic() + WAIT_SECONDS
            attempts = list(self._next_attempts(WAIT_SECONDS))
            if attempts:
                self._record(attempts)
                idle_end = time.monotonic() + self._idle_seconds
            if any(attempt.outcome is None for attempt in attempts):
                next_look = 0.0

    def _start_due(self) -> bool:
        """Start what is due; return whether a webhook passes over more than one look covers."""
        has_more = False
        with db.statements() as tx:
            events.sequence(tx)
            # One that was resumed during an attempt waits for the attempt's end.
            busy = self._running.keys()
            for row in webhooks.claim(
                tx, self._lease, busy=busy, overlap_hours=signing.OVERLAP_HOURS
            ):
                try:
                    has_more |= self._start_or_skip(tx, row)
                except (ValueError, LookupError, TypeError):
                    # An event that this release cannot show stops no other webhook.
                    log.error("events cannot be delivered", webhook_id=row["webhook_id"])
        return has_more

    def _start_or_skip(self, tx: Tx, row: Row) -> bool:
        messages, end = _load(tx, row)
        if messages:
            self._start(row, messages)
            return False
        webhooks.skip(tx, self._lease, row["webhook_id"], end)
        webhooks.release(tx, self._lease, [row["webhook_id"]])
        return bool(end - row["position"] >= events.MOST_AT_ONCE)

    def _start(self, row: Row, messages: list[Message]) -> None:
        webhook_id = row["webhook_id"]
        if webhook_id not in self._senders:
            self._senders[webhook_id] = self._new_sender()
        secrets = secrets_of(row, self._settings, is_rotating=row["is_rotating"])
        delivery = _Delivery(row, messages, secrets, self._senders[webhook_id], self._attempts)
        self._running[webhook_id] = delivery
        delivery.start()

    def _next_attempts(self, seconds: float) -> Iterator[Attempt]:
        """Return the attempts that have ended, waiting for the first."""
        try:
            yield self._attempts.get(timeout=seconds)
            while True:
                yield self._attempts.get_nowait()
        except Empty:
            return

    def _record(self, attempts: list[Attempt]) -> None:
        """Write down what was delivered and what failed; end leases."""
        last = {a.webhook_id: a for a in attempts if a.outcome and a.outcome.is_delivered}
        rows = [_row(attempt, position=attempt.position) for attempt in last.values()]
        with db.transaction() as tx:
            valid = webhooks.advance(tx, self._lease, rows)
            for webhook_id in set(last) - valid:
                self._running[webhook_id].stop()  # paused, changed or deleted meanwhile
            for attempt in attempts:
                self._count(tx, attempt)
            ended = [attempt.webhook_id for attempt in attempts if attempt.outcome is None]
            webhooks.release(tx, self._lease, ended)
        for webhook_id in ended:
            self._running.pop(webhook_id, None)

    def _count(self, tx: Tx, attempt: Attempt) -> None:
        delivery = self._running.get(attempt.webhook_id)
        if attempt.outcome is None or delivery is None:
            return
        if attempt.outcome.is_delivered:
            self._delivered += 1
            delivery.failures, delivery.failing_seconds = 0, 0.0
        else:
            self._failed += 1
            self._fail(tx, delivery, attempt, attempt.outcome)

    def _fail(self, tx: Tx, delivery: "_Delivery", attempt: Attempt, outcome: Outcome) -> None:
        decision = retries.after(
            outcome,
            failures=delivery.failures,
            failing_seconds=delivery.failing_seconds,
            chance=random.random(),  # noqa: S311 - no secret
        )
        pause = 0.0 if isinstance(decision, GiveUp) else decision.seconds
        has_lease = webhooks.fail(tx, self._lease, _row(attempt, pause_seconds=pause))
        fields = {"webhook_id": attempt.webhook_id, "outcome": str(outcome)}
        log.warning("webhook failed", **fields, pause_seconds=round(pause))
        if isinstance(decision, GiveUp) and has_lease:
            _pause(tx, attempt.webhook_id, decision)

    def _stop(self) -> None:
        """End all threads, record what they did, and release the leases."""
        for delivery in self._running.values():
            delivery.stop()
        deadline = time.monotonic() + TIMEOUT_SECONDS + 1
        for delivery in self._running.values():
            delivery.thread.join(max(0.0, deadline - time.monotonic()))
        for sender in self._senders.values():
            sender.close()
        if attempts := list(self._next_attempts(0.001)):
            self._record(attempts)


class _Delivery:
    """A thread that sends events to one webhook, up to the first failure."""

    def __init__(
        self,
        row: Row,
        messages: list[Message],
        secrets: list[bytes],
        sender: Sender,
        attempts: SimpleQueue[Attempt],
    ) -> None:
        self._webhook_id: UUID = row["webhook_id"]
        self._url: str = row["url"]
        self._messages = messages
        self._secrets = secrets
        self._sender = sender
        self._attempts = attempts
        self._stopping = Event()
        self.failures: int = row["failures"]
        self.failing_seconds: float = row["failing_seconds"]
        self.thread = Thread(target=self._run, name=f"webhook {self._webhook_id}", daemon=True)

    def start(self) -> None:
        """Start sending."""
        self.thread.start()

    def stop(self) -> None:
        """Send nothing after the present event."""
        self._stopping.set()

    def _run(self) -> None:
        try:
            for message in self._messages:
                if self._stopping.is_set():
                    break
                outcome = self._send(message)
                self._attempts.put(Attempt(self._webhook_id, message.position, outcome))
                if not outcome.is_delivered:
                    break
        finally:
            self._attempts.put(Attempt(self._webhook_id))

    def _send(self, message: Message) -> Outcome:
        headers = signing.headers(self._secrets, message.message_id, int(time.time()), message.body)
        headers["Content-Type"] = cloud_events.CONTENT_TYPE
        try:
            return self._sender.send(self._url, message.body, headers)
        except Exception:  # noqa: BLE001 - else it is made again at once, and for ever
            log.error("attempt failed", webhook_id=self._webhook_id)
            return Outcome(None, "internal")


def _load(tx: Tx, row: Row) -> tuple[list[Message], int]:
    """Return the next events for a webhook, and the position up to which there are no others."""
    messages = []
    position = row["position"]
    oldest = events.oldest(tx)
    if oldest is not None and oldest > position + 1:
        messages.append(_gap(row["webhook_id"], position, oldest))
        position = oldest - 1
    conditions = {
        "types": row["types"],
        "cabinet_ids": row["cabinet_ids"],
        "requested_by": None,
    }
    *found, end = events.after(tx, position, limit=BATCH, conditions=conditions)
    messages += [_message(row["webhook_id"], event["position"], _shown(event)) for event in found]
    return messages, end["position"]


def _shown(row: Row) -> dict[str, Any]:
    """Return an event as JSON of the API has it."""
    shown: dict[str, Any] = feed.event_of(row).model_dump(mode="json")
    return shown


def _gap(webhook_id: UUID, position: int, oldest: int) -> Message:
    """Tell the receiver that events before the oldest one kept are lost for it."""
    missed = oldest - 1 - position
    log.error("events were removed before they were delivered", webhook_id=webhook_id, n=missed)
    event_id = uuid5(webhook_id, f"events before {oldest}")
    event = notice("webhook.gap", webhook_id, event_id, {"missed_at_most": missed})
    return _message(webhook_id, oldest - 1, event)


def _message(webhook_id: UUID, position: int, event: dict[str, Any]) -> Message:
    message_id = signing.message_id(webhook_id, UUID(event["event_id"]))
    return Message(position, message_id, cloud_events.body(event))


def _row(attempt: Attempt, **more: float) -> Row:
    outcome = attempt.outcome or Outcome(None)
    told = {"status_code": outcome.status_code, "error": outcome.error}
    return {"webhook_id": attempt.webhook_id, **told, **more}


def _pause(tx: Tx, webhook_id: UUID, decision: GiveUp) -> None:
    """Pause a webhook, and keep an anomaly that says so."""
    webhooks.move(tx, webhook_id, decision.event, decision.reason)
    anomaly = {
        "reason": "webhook_paused",
        "detail": f"{webhook_id}: {decision.reason}",
        "device_id": "",
        "cabinet_id": None,
        "event_id": str(uuid4()),
        "payload": "",
    }
    anomalies.add(tx, [anomaly])
    log.error("webhook paused", webhook_id=webhook_id, reason=decision.reason)
