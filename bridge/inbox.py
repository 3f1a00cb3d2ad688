"""The received messages that no invocation has taken yet, in a queue for each device."""

import time
from collections import OrderedDict, deque
from collections.abc import Iterator
from itertools import islice
from typing import Any, NamedTuple

from bridge import event

_BATCH_BYTES = 2 * 1024 * 1024  # as base64 in JSON still below the 3.5 MB limit of an invocation
_DEVICE_BATCH = 25
"""One device's share of a batch. It keeps invocations short when only one device sends much."""
_FLOOD_MESSAGES = 2000
_FLOOD_SECONDS = 60.0
"""A flood: so many messages of one device within this time, all of them waiting."""


class Delivery(NamedTuple):
    """A received message: its MQTT packet, and its entry in the trigger event."""

    packet_id: int
    qos: int
    size: int
    received_at: float
    message: dict[str, Any]

    @property
    def device_id(self) -> str:
        """The device that sent it."""
        return str(self.message["details"]["device_id"])


class Inbox:
    """Queues of messages, one for each device; devices take turns. Not thread-safe.

    A device's messages are in one batch at a time: after `take`, it has no turn until `finish`.
    """

    def __init__(self) -> None:
        self._queues: OrderedDict[str, deque[Delivery]] = OrderedDict()
        self._taken: dict[str, deque[Delivery]] = {}
        """The queues of the devices in unfinished batches."""
        self._size = 0
        self.bytes = 0
        """The size of the payloads."""

    def __len__(self) -> int:
        return self._size

    def put(self, delivery: Delivery) -> None:
        """Add a message to its device's queue."""
        queue = self._taken.get(delivery.device_id)
        if queue is None:
            queue = self._queues.setdefault(delivery.device_id, deque())
        queue.append(delivery)
        self._size += 1
        self.bytes += delivery.size

    def is_flooded_by(self, device_id: str, *, since: float) -> bool:
        """Whether a device has sent far more than invocations can keep up with, after `since`.

        While invocations fail, messages of a normal device arrive too slowly to count as a flood.
        """
        queue = self._taken.get(device_id) or self._queues.get(device_id)
        if queue is None or len(queue) < _FLOOD_MESSAGES:
            return False
        return queue[-_FLOOD_MESSAGES].received_at > max(since, time.monotonic() - _FLOOD_SECONDS)

    @property
    def can_be_taken(self) -> bool:
        """Whether there is a message of a device that is in no unfinished batch."""
        return bool(self._queues)

    def would_fill(self, limit: int) -> bool:
        """Whether a batch of `limit` messages could be taken now."""
        if len(self) < limit:
            return False
        return sum(min(len(queue), _DEVICE_BATCH) for queue in self._queues.values()) >= limit

    def take(self, limit: int) -> list[Delivery]:
        """Remove and return at most `limit` messages: each device's in order, devices in turn."""
        batch = list(self._remove_in_turn(limit))
        for delivery in batch:
            if delivery.device_id not in self._taken:
                self._taken[delivery.device_id] = self._queues.pop(delivery.device_id, deque())
        return batch

    def finish(self, batch: list[Delivery]) -> None:
        """Let the devices of a batch take their next turn."""
        for delivery in batch:
            if queue := self._taken.pop(delivery.device_id, None):
                self._queues[delivery.device_id] = queue

    def _remove_in_turn(self, limit: int) -> Iterator[Delivery]:
        count = size = 0
        for _ in range(_DEVICE_BATCH):
            for device_id in list(islice(self._queues, limit - count)):
                size += min(self._queues[device_id][0].size, event.PAYLOAD_BYTES)
                if size > _BATCH_BYTES:
                    return
                count += 1
                yield self._remove(device_id)

    def _remove(self, device_id: str) -> Delivery:
        queue = self._queues[device_id]
        delivery = queue.popleft()
        self._size -= 1
        self.bytes -= delivery.size
        if queue:
            self._queues.move_to_end(device_id)
        else:
            del self._queues[device_id]
        return delivery
