"""The trigger bridge: turns the devices' MQTT messages into invocations of the trigger function."""

import random
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from threading import Event, Lock, Thread
from typing import Any

from bridge.inbox import Delivery
from bridge.response import TriggerResponse
from bridge.settings import Settings
from bridge.standby import SIGN_SECONDS, Standby
from bridge.subscription import Subscription
from shared import log

Invoke = Callable[[dict[str, Any]], Any]
"""Invoke the function with an event and return its response; an exception means that it failed."""


@dataclass
class Counters:
    """Counts since the bridge started."""

    delivered: int = 0  # messages of successful invocations
    invocations: int = 0
    failures: int = 0


class Bridge:
    """Delivers every message to the function at least once, and acknowledges it after that.

    It also announces the commands that the function says were settled, for those who wait.

    One thread connects, and `bridge_lanes` threads take batches: each takes one, invokes the
    function until it succeeds, acknowledges the batch, and takes the next. A device's messages are
    in one lane at a time, so they stay in order, and a slow invocation delays only the devices in
    its batch. Messages that arrive while all lanes are busy form the next batch, so batches grow
    with the load. An idle bridge invokes at once; invocations with less than a full batch begin at
    least `bridge_batch_milliseconds` apart.
    """

    def __init__(self, settings: Settings, invoke: Invoke) -> None:
        self.counters = Counters()
        self._settings = settings
        self._invoke = invoke
        self._stopping = Event()
        self._counting = Lock()
        self._failed = False
        self._subscription: Subscription | None = None
        self._thread = Thread(target=self._run, name="bridge", daemon=True)

    @property
    def is_connected(self) -> bool:
        """Whether the bridge is subscribed now."""
        return self._subscription is not None and self._subscription.is_live

    @property
    def is_alive(self) -> bool:
        """Whether the bridge's threads run: they serve a connection, or one tries to connect."""
        return self._thread.is_alive() and not self._failed

    @property
    def waiting(self) -> int:
        """The number of messages in memory that no invocation has taken yet."""
        return self._subscription.waiting if self._subscription else 0

    def start(self) -> None:
        """Start the thread and return; the broker need not be reachable yet."""
        self._thread.start()

    def stop(self, timeout_seconds: float = 3.5) -> None:
        """Accept no new message, wait for the current invocations, and disconnect.

        After `timeout_seconds` it no longer waits: the messages of those invocations are not
        acknowledged, so the broker delivers them again. Sending the last acknowledgements may take
        another second.
        """
        self._stopping.set()
        if self._subscription:
            self._subscription.wake()
        if self.is_alive:
            self._thread.join(timeout_seconds)
        if self.is_alive:
            log.warning("stopped during an invocation; the broker will deliver its messages again")
            if self._subscription:
                self._subscription.close()

    def _run(self) -> None:
        pauses = self._pauses()
        standby = Standby(self._settings, self._stopping)
        while not self._stopping.is_set():
            if standby.wait() and self._serve_one_connection():
                pauses = self._pauses()
            self._stopping.wait(next(pauses))

    def _serve_one_connection(self) -> bool:
        """Serve until the connection ends; return whether the broker accepted the subscription."""
        try:
            subscription = Subscription(self._settings, self._stopping)
            subscription.open()
        except OSError as error:  # also an unknown host name, a certificate that is not trusted
            broker = f"{self._settings.mqtt_host}:{self._settings.mqtt_port}"
            log.warning("cannot connect to the broker; retrying", broker=broker, reason=error)
            return False
        self._subscription = subscription
        try:
            self._serve(subscription)
        finally:
            subscription.close()
        return subscription.granted

    def _serve(self, subscription: Subscription) -> None:
        names = [f"bridge lane {number}" for number in range(self._settings.bridge_lanes)]
        lanes = [
            Thread(target=self._run_lane, args=(subscription,), name=name, daemon=True)
            for name in names
        ]
        for lane in lanes:
            lane.start()
        while working := [lane for lane in lanes if lane.is_alive()]:
            subscription.give_sign()
            working[0].join(SIGN_SECONDS)

    def _run_lane(self, subscription: Subscription) -> None:
        try:
            while batch := subscription.take():
                response = self._deliver(batch)
                if response is not None:
                    subscription.announce(response.settled)
                    subscription.finish(batch)
                    self._count(delivered=len(batch))
        except BaseException:  # not foreseen: whoever runs the bridge must restart it
            self._failed = True
            raise

    def _deliver(self, batch: list[Delivery]) -> TriggerResponse | None:
        """Invoke until the function succeeds. Return None if the bridge stops before."""
        event = {"messages": [delivery.message for delivery in batch]}
        for pause in self._pauses():
            self._count(invocations=1)
            try:
                response = self._invoke(event)
            except Exception as error:  # noqa: BLE001 - whatever fails, the messages must not be lost
                self._count(failures=1)
                self._log_failure(batch, error, pause)
            else:
                return TriggerResponse.read(response)
            if self._stopping.wait(pause):
                break
        return None

    def _count(self, **added: int) -> None:
        with self._counting:
            for name, number in added.items():
                setattr(self.counters, name, getattr(self.counters, name) + number)

    def _log_failure(self, batch: list[Delivery], error: Exception, pause: float) -> None:
        log.warning(
            "invocation failed; retrying with the same messages",
            reason=f"{type(error).__name__}: {error}",
            messages=len(batch),
            oldest_seconds=round(time.monotonic() - batch[0].received_at, 1),
            retry_in_seconds=round(pause, 2),
        )

    def _pauses(self) -> Iterator[float]:
        """Yield the seconds between retries, without end: exponential, capped, with jitter."""
        pause = self._settings.bridge_retry_first_seconds
        while True:
            yield pause * random.uniform(0.5, 1)  # noqa: S311 - no secret
            pause = min(2 * pause, self._settings.bridge_retry_max_seconds)
