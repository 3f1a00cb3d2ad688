"""Several invocations at a time: each device's messages stay in order, no lane stops another."""

import threading
from collections import defaultdict
from typing import Any

import pytest

from local.broker import Broker
from tests.integration.bridge.bridges import (
    DEADLINE_SECONDS,
    Function,
    StartBridge,
    send,
)
from tests.support.waiting import wait_until


class Lanes:
    """A function that checks that no device is in two invocations, and blocks some devices."""

    def __init__(self, *blocked: str) -> None:
        self.received: dict[str, list[str]] = defaultdict(list)
        self.blocked = set(blocked)
        self.may_return = threading.Event()
        self.fails = False
        self.at_once = 0
        self._busy: set[str] = set()
        self._invocations = 0
        self._lock = threading.Lock()
        self.doubled: list[str] = []

    def __call__(self, event: dict[str, Any]) -> None:
        devices = {one["details"]["device_id"] for one in event["messages"]}
        with self._lock:
            self.doubled += self._busy & devices
            self._busy |= devices
            self._invocations += 1
            self.at_once = max(self.at_once, self._invocations)
        try:
            self._apply(event, devices)
        finally:
            with self._lock:
                self._busy -= devices
                self._invocations -= 1

    def _apply(self, event: dict[str, Any], devices: set[str]) -> None:
        if devices & self.blocked:
            if self.fails and not self.may_return.is_set():
                raise RuntimeError("no database")
            assert self.may_return.wait(DEADLINE_SECONDS)
        else:
            threading.Event().wait(0.005)  # so that invocations overlap
        for entry, payload in zip(event["messages"], Function.decoded(event), strict=True):
            self.received[entry["details"]["device_id"]].append(payload)

    def count(self) -> int:
        return sum(map(len, self.received.values()))


def send_all(broker: Broker, devices: list[str], count: int) -> None:
    senders = [
        threading.Thread(
            target=send, args=(broker, *map(str, range(count))), kwargs={"device": device}
        )
        for device in devices
    ]
    broker.add_devices(*devices)
    for sender in senders:
        sender.start()
    for sender in senders:
        sender.join()


def test_with_lanes_each_devices_messages_stay_in_order(
    own_broker: Broker, start_bridge: StartBridge
) -> None:
    lanes = Lanes()
    bridge = start_bridge(lanes, bridge_lanes=4, bridge_batch_size=5, bridge_batch_milliseconds=0)
    wait_until(lambda: bridge.is_connected)
    devices = [f"cab-{n}" for n in range(12)]

    send_all(own_broker, devices, 60)
    wait_until(lambda: bridge.counters.delivered == 12 * 60)

    assert lanes.doubled == []
    assert lanes.received == {device: [*map(str, range(60))] for device in devices}
    assert lanes.at_once > 1


@pytest.mark.parametrize("fails", [False, True])
def test_a_lane_that_hangs_or_fails_does_not_stop_the_others(
    own_broker: Broker, start_bridge: StartBridge, *, fails: bool
) -> None:
    lanes = Lanes("stuck")
    lanes.fails = fails
    bridge = start_bridge(lanes, bridge_lanes=2)
    wait_until(lambda: bridge.is_connected)
    send(own_broker, "1", device="stuck")
    wait_until(lambda: bridge.counters.invocations >= 1 + fails)
    send(own_broker, "2", device="stuck")

    send_all(own_broker, ["cab-1", "cab-2"], 20)
    wait_until(lambda: lanes.count() == 40)
    assert "stuck" not in lanes.received

    lanes.may_return.set()
    wait_until(lambda: bridge.counters.delivered == 42)
    assert lanes.received["stuck"] == ["1", "2"]


def test_one_lane_is_stopped_by_an_invocation_that_hangs(
    own_broker: Broker, start_bridge: StartBridge
) -> None:
    lanes = Lanes("stuck")
    bridge = start_bridge(lanes)
    wait_until(lambda: bridge.is_connected)
    send(own_broker, "1", device="stuck")
    wait_until(lambda: bridge.counters.invocations == 1)

    send(own_broker, "1")
    wait_until(lambda: bridge.waiting == 1)
    assert lanes.count() == 0

    lanes.may_return.set()
    wait_until(lambda: bridge.counters.delivered == 2)


def test_messages_after_a_stuck_one_are_acknowledged_only_with_it(
    own_broker: Broker, start_bridge: StartBridge, function: Function
) -> None:
    lanes = Lanes("stuck")
    first = start_bridge(lanes, bridge_lanes=2)
    wait_until(lambda: first.is_connected)
    send(own_broker, "before")
    wait_until(lambda: first.counters.delivered == 1)
    send(own_broker, "stuck", device="stuck")
    wait_until(lambda: first.counters.invocations == 2)
    send(own_broker, "after")
    wait_until(lambda: first.counters.delivered == 2)
    first.stop(timeout_seconds=0.2)

    bridge = start_bridge(function)

    wait_until(lambda: bridge.counters.delivered == 2)
    assert function.payloads == ["stuck", "after"]
    lanes.may_return.set()


def test_stop_waits_for_all_lanes(
    own_broker: Broker, start_bridge: StartBridge, function: Function
) -> None:
    lanes = Lanes("one", "two")
    first = start_bridge(lanes, bridge_lanes=2, bridge_batch_milliseconds=0)
    wait_until(lambda: first.is_connected)
    send(own_broker, "last of one", device="one")
    wait_until(lambda: lanes.at_once == 1)
    send(own_broker, "last of two", device="two")
    wait_until(lambda: lanes.at_once == 2)

    threading.Timer(0.2, lanes.may_return.set).start()
    first.stop()

    send(own_broker, "new")
    bridge = start_bridge(function)
    wait_until(lambda: bridge.counters.delivered == 1)
    assert function.payloads == ["new"]


def test_a_lane_that_ends_unexpectedly_ends_the_bridge(
    own_broker: Broker, start_bridge: StartBridge, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_: object) -> None:
        raise KeyError("not foreseen")

    raised: list[type[BaseException]] = []
    monkeypatch.setattr(threading, "excepthook", lambda args: raised.append(args.exc_type))
    monkeypatch.setattr("bridge.subscription.Subscription.announce", fail)
    bridge = start_bridge(Function(), bridge_lanes=2)
    wait_until(lambda: bridge.is_connected)
    assert bridge.is_alive

    send(own_broker, "1")

    wait_until(lambda: not bridge.is_alive)
    assert raised == [KeyError]
