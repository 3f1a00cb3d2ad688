"""The bridge delivers every message to the function, whatever fails in between."""

from local.broker import Broker
from tests.integration.bridge.bridges import (
    DEADLINE_SECONDS,
    Function,
    RecordedLogs,
    StartBridge,
    send,
)
from tests.support.proxy import Proxy
from tests.support.waiting import wait_until


def create_session(start_bridge: StartBridge) -> None:
    """Connect a bridge once, so that the broker queues messages for the next one."""
    bridge = start_bridge(Function())
    wait_until(lambda: bridge.is_connected)
    bridge.stop()


LOGIN_REFUSED = "broker refused the bridge; check its login"


def test_a_message_is_delivered_to_the_function_once(
    own_broker: Broker, start_bridge: StartBridge, function: Function
) -> None:
    bridge = start_bridge(function)
    wait_until(lambda: bridge.is_connected)

    send(own_broker, "hello")
    wait_until(lambda: bridge.counters.delivered == 1)

    details = function.events[0]["messages"][0]["details"]
    assert (details["device_id"], details["registry_id"]) == ("cab-1", "local")
    assert function.batches == [["hello"]]


def test_only_unacknowledged_messages_are_redelivered_to_the_next_bridge(
    own_broker: Broker, start_bridge: StartBridge, function: Function
) -> None:
    first = start_bridge(function)
    wait_until(lambda: first.is_connected)
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


def test_a_failed_invocation_is_retried_with_the_same_event_until_it_succeeds(
    own_broker: Broker, start_bridge: StartBridge, function: Function
) -> None:
    function.failures.extend([RuntimeError("no database"), TimeoutError(), OSError("reset")])
    bridge = start_bridge(function)
    wait_until(lambda: bridge.is_connected)

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
    wait_until(lambda: bridge.is_connected)

    with RecordedLogs() as records:
        send(own_broker, "1")
        wait_until(lambda: bridge.counters.delivered == 1)

    retries = [fields for message, fields in records.kept if "invocation failed" in message]
    reasons = ["RuntimeError: no database", "RuntimeError: still none"]
    assert [fields["reason"] for fields in retries] == reasons
    assert all(0 <= fields["oldest_seconds"] < DEADLINE_SECONDS for fields in retries)


def test_a_bridge_can_start_before_the_broker(
    own_broker: Broker, start_bridge: StartBridge, function: Function
) -> None:
    create_session(start_bridge)
    own_broker.stop()
    bridge = start_bridge(function)
    assert bridge.is_alive
    assert not bridge.is_connected

    own_broker.start()
    wait_until(lambda: bridge.is_connected)
    send(own_broker, "hello")

    function.wait_for(lambda: function.payloads == ["hello"])


def test_a_refused_login_is_logged_and_retried(
    start_bridge: StartBridge, function: Function
) -> None:
    with RecordedLogs() as records:
        bridge = start_bridge(function, mqtt_password="wrong")
        wait_until(lambda: [m for m, _ in records.kept].count(LOGIN_REFUSED) == 2)

    assert bridge.is_alive
    assert not bridge.is_connected


def test_no_message_is_lost_when_the_broker_is_killed_and_restarted(
    own_broker: Broker, start_bridge: StartBridge, function: Function
) -> None:
    function.may_return.clear()
    bridge = start_bridge(function)
    wait_until(lambda: bridge.is_connected)
    before = [f"before {n}" for n in range(20)]
    send(own_broker, *before)
    wait_until(lambda: len(function.payloads) + bridge.waiting == len(before))
    own_broker.kill()
    wait_until(lambda: not bridge.is_connected)
    own_broker.start()

    function.may_return.set()
    wait_until(lambda: bridge.is_connected)
    after = [f"after {n}" for n in range(20)]
    send(own_broker, *after)

    function.wait_for(lambda: set(function.payloads) >= {*before, *after})


def test_messages_in_flight_when_the_connection_is_lost_are_redelivered_and_acknowledged(
    own_broker: Broker, start_bridge: StartBridge, function: Function
) -> None:
    with Proxy(own_broker.host, own_broker.port_of("bridge")) as proxy:
        function.may_return.clear()
        bridge = start_bridge(function, port=proxy.port)
        wait_until(lambda: bridge.is_connected)
        send(own_broker, "1", "2")
        function.wait_for(lambda: function.payloads[:1] == ["1"])
        proxy.cut_connections()
        wait_until(lambda: not bridge.is_connected)
        function.may_return.set()

        function.wait_for(lambda: function.payloads[1:][-2:] == ["1", "2"])  # both once more
        wait_until(lambda: bridge.counters.delivered == len(function.payloads))
        bridge.stop()

    second = Function()
    start_bridge(second)
    send(own_broker, "3")
    second.wait_for(lambda: "3" in second.payloads)
    assert second.payloads == ["3"]
