"""The trigger bridge: turns the devices' MQTT messages into invocations of the trigger function."""

import random
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from threading import Event, Thread
from typing import Any

from bridge.settings import Settings
from bridge.subscription import Delivery, Subscription
from shared import log

Invoke = Callable[[dict[str, Any]], None]
"""Hands an event to the function; raises whatever it likes if that did not succeed."""


@dataclass
class Counters:
    """What the bridge has done since its start."""

    delivered: int = 0  # messages that the function has taken
    invocations: int = 0
    failures: int = 0


class Bridge:
    """Hands every message to the function at least once, and acknowledges it only after that.

    One thread connects, takes a batch, invokes until it succeeds, acknowledges, takes the next.
    So messages stay in order, and gather while an invocation is under way: batches grow with the
    load by themselves. An idle bridge invokes at once; two invocations that are not full are
    `bridge_batch_milliseconds` apart, which is also the longest that a message waits for others.
    """

    def __init__(self, settings: Settings, invoke: Invoke) -> None:
        self.counters = Counters()
        self._settings = settings
        self._invoke = invoke
        self._stopping = Event()
        self._subscription: Subscription | None = None
        self._thread = Thread(target=self._run, name="bridge", daemon=True)

    @property
    def connected(self) -> bool:
        """Whether the broker sends us messages now."""
        return self._subscription is not None and self._subscription.live

    @property
    def alive(self) -> bool:
        """Whether the bridge does its work, be it only trying to connect."""
        return self._thread.is_alive()

    @property
    def waiting(self) -> int:
        """How many messages wait in memory for the invocation under way to end."""
        return self._subscription.waiting if self._subscription else 0

    def start(self) -> None:
        """Begin; returns at once, the broker may come later."""
        self._thread.start()

    def stop(self, timeout_seconds: float = 3.5) -> None:
        """Take no new message, let the batch in flight finish, disconnect.

        An invocation that outlasts `timeout_seconds` is left alone: its messages are not
        acknowledged, so they come again. Another second may pass until the broker has the last
        acknowledgements.
        """
        self._stopping.set()
        if self._subscription:
            self._subscription.wake()
        if self.alive:
            self._thread.join(timeout_seconds)
        if self.alive:
            log.warning("stopped before the invocation under way: its messages will come again")
            if self._subscription:
                self._subscription.close()

    def _run(self) -> None:
        pauses = self._pauses()
        while not self._stopping.is_set():
            if self._serve_one_connection():
                pauses = self._pauses()
            self._stopping.wait(next(pauses))

    def _serve_one_connection(self) -> bool:
        """Return when the connection is over, and whether the broker had accepted it."""
        try:
            subscription = Subscription(self._settings, self._stopping)
            subscription.open()
        except OSError as error:  # also an unknown host name, a certificate that is not trusted
            broker = f"{self._settings.mqtt_host}:{self._settings.mqtt_port}"
            log.warning("no connection to the broker: trying again", broker=broker, reason=error)
            return False
        self._subscription = subscription
        try:
            self._serve(subscription)
        finally:
            subscription.close()
        return subscription.granted

    def _serve(self, subscription: Subscription) -> None:
        not_before = 0.0
        while batch := subscription.take(not_before=not_before):
            not_before = time.monotonic() + self._settings.bridge_batch_milliseconds / 1000
            if self._deliver(batch):
                subscription.acknowledge(batch)
                self.counters.delivered += len(batch)

    def _deliver(self, batch: list[Delivery]) -> bool:
        """Invoke until the function succeeds, or until the bridge is to stop: then False."""
        event = {"messages": [delivery.message for delivery in batch]}
        for pause in self._pauses():
            self.counters.invocations += 1
            try:
                self._invoke(event)
            except Exception as error:  # noqa: BLE001 - whatever it is, the messages must not be lost
                self.counters.failures += 1
                self._log_failure(batch, error, pause)
            else:
                return True
            if self._stopping.wait(pause):
                break
        return False

    def _log_failure(self, batch: list[Delivery], error: Exception, pause: float) -> None:
        log.warning(
            "the function failed: the same messages are handed to it again",
            reason=f"{type(error).__name__}: {error}",
            messages=len(batch),
            oldest_seconds=round(time.monotonic() - batch[0].received_at, 1),
            again_in_seconds=round(pause, 2),
        )

    def _pauses(self) -> Iterator[float]:
        """Exponential back-off with jitter, capped, for ever."""
        pause = self._settings.bridge_retry_first_seconds
        while True:
            yield pause * random.uniform(0.5, 1)  # noqa: S311 - no secret
            pause = min(2 * pause, self._settings.bridge_retry_max_seconds)
