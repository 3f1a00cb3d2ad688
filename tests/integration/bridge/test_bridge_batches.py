"""Which messages the bridge hands over together, and in which order."""

import json
import threading
from typing import Any

from local.broker import Broker
from tests.integration.bridge.bridges import Function, StartBridge, send
from tests.waiting import wait_until


def test_messages_of_many_devices_come_in_batches_and_in_each_devices_order(
    own_broker: Broker, start_bridge: StartBridge, function: Function
) -> None:
    function.may_return.clear()
    bridge = start_bridge(function)
    wait_until(lambda: bridge.connected)
    devices = [f"cab-{n}" for n in range(10)]
    for device in devices:
        own_broker.add_device(device)
    senders = [
        threading.Thread(
            target=send,
            args=(own_broker, *(f"{device} {n:02}" for n in range(50))),
            kwargs={"device": device},
        )
        for device in devices
    ]
    for sender in senders:
        sender.start()
    for sender in senders:
        sender.join()
    function.may_return.set()
    wait_until(lambda: bridge.counters.delivered == 500)

    for device in devices:
        mine = [p for p in function.payloads if p.startswith(f"{device} ")]
        assert mine == [f"{device} {n:02}" for n in range(50)]
    assert max(map(len, function.batches)) == 100
    assert len(function.events) < 20


def test_a_lone_message_goes_at_once(
    own_broker: Broker, start_bridge: StartBridge, function: Function
) -> None:
    bridge = start_bridge(function, bridge_batch_milliseconds=60_000)
    wait_until(lambda: bridge.connected)

    send(own_broker, "hello")

    function.wait_for(lambda: function.payloads == ["hello"])


def test_messages_that_follow_closely_wait_for_each_other(
    own_broker: Broker, start_bridge: StartBridge, function: Function
) -> None:
    bridge = start_bridge(function, bridge_batch_milliseconds=1000)
    wait_until(lambda: bridge.connected)

    send(own_broker, "1")
    function.wait_for(lambda: function.payloads == ["1"])
    send(own_broker, "2", "3")
    send(own_broker, "4")

    function.wait_for(lambda: len(function.payloads) == 4)
    assert function.batches == [["1"], ["2", "3", "4"]]


def test_a_batch_is_no_larger_than_a_function_can_take(
    own_broker: Broker, start_bridge: StartBridge, function: Function
) -> None:
    function.may_return.clear()
    bridge = start_bridge(function)
    wait_until(lambda: bridge.connected)
    send(own_broker, *[bytes([65 + n]) * 250_000 for n in range(20)])
    function.may_return.set()

    wait_until(lambda: bridge.counters.delivered == 20)
    assert max(len(json.dumps(event)) for event in function.events) < 3_500_000
    assert len(function.events) < 10


def test_more_messages_than_the_buffer_holds_are_fetched_later_and_in_order(
    own_broker: Broker, start_bridge: StartBridge, function: Function
) -> None:
    def invoke(event: dict[str, Any]) -> None:
        function(event)
        if len(function.events) == 2:  # there is room in the buffer again
            send(own_broker, "last")

    function.may_return.clear()
    bridge = start_bridge(invoke, bridge_buffer_messages=5, bridge_batch_size=3)
    wait_until(lambda: bridge.connected)
    sent = [f"{n:02}" for n in range(30)]
    send(own_broker, *sent)
    wait_until(lambda: not bridge.connected)
    function.may_return.set()

    function.wait_for(lambda: "last" in function.payloads)
    assert function.payloads == [*sent, "last"]
