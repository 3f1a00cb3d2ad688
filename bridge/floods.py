"""Decides which messages of a device that floods are dropped, and logs it."""

import math
import time
from collections import Counter

from bridge.inbox import Delivery, Inbox
from shared import log

_CATCH_UP_SECONDS = 5.0
_UNKEPT_BYTES = 64 * 1024 * 1024
"""With so much in the inbox, QoS 0 messages are dropped: the broker does not hold them back."""
_REPORT_SECONDS = 60.0


class Floods:
    """The floods over one connection. Not thread-safe."""

    def __init__(self, buffer_messages: int) -> None:
        self._half = buffer_messages // 2
        self._granted_at = self._caught_up_at = math.inf
        self._dropped: Counter[str] = Counter()
        self._report_at = 0.0

    def begin(self) -> None:
        """Note that the broker sends messages from now on."""
        self._granted_at = min(self._granted_at, time.monotonic())

    def refuse(self, delivery: Delivery, inbox: Inbox, unacknowledged: int) -> bool:
        """Return whether this message is dropped, and count it then.

        Dropped is what exceeds `Inbox.is_flooded_by`, and at QoS 0 what the inbox cannot hold. A
        message that waited in the broker while the bridge was away never counts as a flood.
        """
        if self._caught_up_at == math.inf:
            # Otherwise the broker's window would be full of what waited there.
            seconds = delivery.received_at - self._granted_at
            if seconds > _CATCH_UP_SECONDS and unacknowledged < self._half // 2:
                self._caught_up_at = delivery.received_at
        is_full = len(inbox) >= self._half or inbox.bytes >= _UNKEPT_BYTES
        is_flood = inbox.is_flooded_by(delivery.device_id, since=self._caught_up_at)
        refused = is_flood or (delivery.qos == 0 and is_full)
        if refused:
            self._dropped[delivery.device_id] += 1
            self._report()
        return refused

    def _report(self) -> None:
        """Log the devices whose messages were dropped, at most once a minute."""
        if time.monotonic() < self._report_at:
            return
        self._report_at = time.monotonic() + _REPORT_SECONDS
        for device_id, count in self._dropped.items():
            log.warning(
                "a device sends too much; messages dropped",
                device_id=device_id,
                messages=count,
                hint="revoke its login: python -m tools logins revoke",
            )
        self._dropped.clear()
