"""The bridge brings every message to the function, whatever fails in between."""

from local.broker import Broker
from tests.integration.bridge.bridges import (
    DEADLINE_SECONDS,
    Function,
    Records,
    StartBridge,
    send,
)
from tests.integration.cable import Cable
from tests.waiting import wait_until


def make_session(start_bridge: StartBridge) -> None:
    """Let the broker know the bridge, so that it keeps messages for it."""
    bridge = start_bridge(Function())
    wait_until(lambda: bridge.connected)
    bridge.stop()


LOGIN_REFUSED = "the broker refuses the bridge: check its login"


def test_a_message_reaches_the_function_once(
    own_broker: Broker, start_bridge: StartBridge, function: Function
) -> None:
    bridge = start_bridge(function)
    wait_until(lambda: bridge.connected)

    send(own_broker, "hello")
    wait_until(lambda: bridge.counters.delivered == 1)

    details = function.events[0]["messages"][0]["details"]
    assert (details["device_id"], details["registry_id"]) == ("cab-1", "local")
    assert function.batches == [["hello"]]


def test_what_was_acknowledged_does_not_come_again_and_what_was_not_does(
    own_broker: Broker, start_bridge: StartBridge, function: Function
) -> None:
    first = start_bridge(function)
    wait_until(lambda: first.connected)
    send(own_broker, "done")
    wait_until(lambda: first.counters.delivered == 1)
    function.may_return.clear()
    send(own_broker, "in flight", "waiting")
    function.wait_for(lambda: "in flight" in function.payloads)
    first.stop(timeout_seconds=0.2)

    second = Function()
    bridge = start_bridge(second)

    wait_until(lambda: bridge.counters.delivered == 2)
    assert second.payloads == ["in flight", "waiting"]


def test_a_function_that_fails_gets_the_same_event_until_it_succeeds(
    own_broker: Broker, start_bridge: StartBridge, function: Function
) -> None:
    function.failures.extend([RuntimeError("no database"), TimeoutError(), OSError("reset")])
    bridge = start_bridge(function)
    wait_until(lambda: bridge.connected)

    send(own_broker, "1")
    function.wait_for(lambda: function.payloads[:1] == ["1"])
    send(own_broker, "2", "3")
    wait_until(lambda: bridge.counters.delivered == 3)

    first = function.events[0]
    assert function.events[:4] == [first] * 4
    assert function.payloads == ["1", "1", "1", "1", "2", "3"]
    assert bridge.counters.failures == 3


def test_each_retry_is_logged_with_the_age_of_the_oldest_message(
    own_broker: Broker, start_bridge: StartBridge, function: Function
) -> None:
    function.failures.extend([RuntimeError("no database"), RuntimeError("still none")])
    bridge = start_bridge(function)
    wait_until(lambda: bridge.connected)

    with Records() as records:
        send(own_broker, "1")
        wait_until(lambda: bridge.counters.delivered == 1)

    retries = [fields for message, fields in records.kept if "function failed" in message]
    reasons = ["RuntimeError: no database", "RuntimeError: still none"]
    assert [fields["reason"] for fields in retries] == reasons
    assert all(0 <= fields["oldest_seconds"] < DEADLINE_SECONDS for fields in retries)


def test_a_bridge_may_be_started_before_the_broker(
    own_broker: Broker, start_bridge: StartBridge, function: Function
) -> None:
    make_session(start_bridge)
    own_broker.stop()
    bridge = start_bridge(function)
    assert bridge.alive
    assert not bridge.connected

    own_broker.start()
    wait_until(lambda: bridge.connected)
    send(own_broker, "hello")

    function.wait_for(lambda: function.payloads == ["hello"])


def test_a_refused_login_is_an_error_in_the_log_and_is_tried_again(
    start_bridge: StartBridge, function: Function
) -> None:
    with Records() as records:
        bridge = start_bridge(function, mqtt_password="wrong")
        wait_until(lambda: [m for m, _ in records.kept].count(LOGIN_REFUSED) == 2)

    assert bridge.alive
    assert not bridge.connected


def test_nothing_is_lost_when_the_broker_is_killed_and_comes_back(
    own_broker: Broker, start_bridge: StartBridge, function: Function
) -> None:
    function.may_return.clear()
    bridge = start_bridge(function)
    wait_until(lambda: bridge.connected)
    before = [f"before {n}" for n in range(20)]
    send(own_broker, *before)
    wait_until(lambda: len(function.payloads) + bridge.waiting == len(before))
    own_broker.kill()
    wait_until(lambda: not bridge.connected)
    own_broker.start()

    function.may_return.set()
    wait_until(lambda: bridge.connected)
    after = [f"after {n}" for n in range(20)]
    send(own_broker, *after)

    function.wait_for(lambda: set(function.payloads) >= {*before, *after})


def test_a_message_whose_connection_was_lost_comes_again_and_is_then_acknowledged(
    own_broker: Broker, start_bridge: StartBridge, function: Function
) -> None:
    with Cable(own_broker.host, own_broker.port) as cable:
        function.may_return.clear()
        bridge = start_bridge(function, port=cable.port)
        wait_until(lambda: bridge.connected)
        send(own_broker, "1", "2")
        function.wait_for(lambda: function.payloads[:1] == ["1"])
        cable.cut()
        wait_until(lambda: not bridge.connected)
        function.may_return.set()

        function.wait_for(lambda: function.payloads[1:][-2:] == ["1", "2"])  # both once more
        wait_until(lambda: bridge.counters.delivered == len(function.payloads))
        bridge.stop()

    second = Function()
    start_bridge(second)
    send(own_broker, "3")
    second.wait_for(lambda: "3" in second.payloads)
    assert second.payloads == ["3"]
