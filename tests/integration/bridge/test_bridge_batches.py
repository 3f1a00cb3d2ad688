"""Which messages the bridge delivers in one batch, and in which order."""

import json
import threading
from typing import Any

from local.broker import Broker
from tests.integration.bridge.bridges import Function, StartBridge, send
from tests.support.waiting import wait_until


def test_messages_are_delivered_in_batches_and_in_order_per_device(
    own_broker: Broker, start_bridge: StartBridge, function: Function
) -> None:
    function.may_return.clear()
    bridge = start_bridge(function)
    wait_until(lambda: bridge.is_connected)
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


def test_a_single_message_is_delivered_immediately(
    own_broker: Broker, start_bridge: StartBridge, function: Function
) -> None:
    bridge = start_bridge(function, bridge_batch_milliseconds=60_000)
    wait_until(lambda: bridge.is_connected)

    send(own_broker, "hello")

    function.wait_for(lambda: function.payloads == ["hello"])


def test_messages_within_the_batch_interval_are_delivered_together(
    own_broker: Broker, start_bridge: StartBridge, function: Function
) -> None:
    bridge = start_bridge(function, bridge_batch_milliseconds=1000)
    wait_until(lambda: bridge.is_connected)

    send(own_broker, "1")
    function.wait_for(lambda: function.payloads == ["1"])
    send(own_broker, "2", "3")
    send(own_broker, "4")

    function.wait_for(lambda: len(function.payloads) == 4)
    assert function.batches == [["1"], ["2", "3", "4"]]


def test_a_batch_never_exceeds_the_request_size_limit_of_a_function(
    own_broker: Broker, start_bridge: StartBridge, function: Function
) -> None:
    function.may_return.clear()
    bridge = start_bridge(function)
    wait_until(lambda: bridge.is_connected)
    send(own_broker, *[bytes([65 + n]) * 250_000 for n in range(20)])
    function.may_return.set()

    wait_until(lambda: bridge.counters.delivered == 20)
    assert max(len(json.dumps(event)) for event in function.events) < 3_500_000
    assert len(function.events) < 10


def test_messages_beyond_the_buffer_are_delivered_later_in_order(
    own_broker: Broker, start_bridge: StartBridge, function: Function
) -> None:
    def invoke(event: dict[str, Any]) -> None:
        function(event)
        if len(function.events) == 2:  # the buffer has room again
            send(own_broker, "last")

    function.may_return.clear()
    bridge = start_bridge(invoke, bridge_buffer_messages=5, bridge_batch_size=3)
    wait_until(lambda: bridge.is_connected)
    sent = [f"{n:02}" for n in range(30)]
    send(own_broker, *sent)
    wait_until(lambda: not bridge.is_connected)
    function.may_return.set()

    function.wait_for(lambda: "last" in function.payloads)
    assert function.payloads == [*sent, "last"]
