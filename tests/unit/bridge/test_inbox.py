"""The bridge's inbox: devices take turns, and a flood is told from a backlog."""

import time
from itertools import count

import pytest

from bridge.floods import Floods
from bridge.inbox import Delivery, Inbox

FLOOD = 2000
_packets = count(1)


def delivery(device_id: str, *, qos: int = 1, age: float = 0, size: int = 10) -> Delivery:
    message = {"details": {"device_id": device_id}}
    return Delivery(next(_packets), qos, size, time.monotonic() - age, message)


def inbox(*deliveries: Delivery) -> Inbox:
    found = Inbox()
    for one in deliveries:
        found.put(one)
    return found


def devices(batch: list[Delivery]) -> list[str]:
    return [one.device_id for one in batch]


def test_each_devices_messages_stay_in_order() -> None:
    sent = [delivery(device_id) for _ in range(30) for device_id in ("a", "b")]
    found = inbox(*sent)
    taken = []
    for limit in (7, 100, 100):
        batch = found.take(limit)
        found.finish(batch)
        taken += batch
    assert len(taken) == 60
    for device_id in ("a", "b"):
        assert [one for one in taken if one.device_id == device_id] == [
            one for one in sent if one.device_id == device_id
        ]


def test_a_neighbour_is_in_the_next_batch_however_much_another_device_has_sent() -> None:
    found = inbox(*(delivery("flood") for _ in range(5000)), delivery("neighbour"))
    assert "neighbour" in devices(found.take(100))


def test_one_device_cannot_fill_a_batch() -> None:
    found = inbox(*(delivery("flood") for _ in range(100)))
    assert not found.would_fill(100)
    assert len(found.take(100)) == 25
    assert len(found) == 75


def test_devices_that_did_not_fit_are_first_in_the_next_batch() -> None:
    found = inbox(*(delivery(str(n)) for n in range(6) for _ in range(2)))
    assert found.would_fill(4)
    first = found.take(4)
    assert devices(first) == ["0", "1", "2", "3"]
    found.finish(first)
    assert devices(found.take(4)) == ["4", "5", "0", "1"]


def test_a_device_is_in_one_batch_at_a_time() -> None:
    found = inbox(*(delivery(device) for device in ("a", "a", "b", "b", "c")))
    first = found.take(2)
    found.put(delivery("a"))
    second = found.take(100)
    assert (devices(first), devices(second)) == (["a", "b"], ["c"])
    assert len(found) == 3
    assert not found.can_be_taken
    assert not found.would_fill(1)
    found.finish(first)
    assert devices(found.take(100)) == ["a", "b", "a"]


def test_a_device_whose_messages_are_being_delivered_can_flood(floods: Floods) -> None:
    found = inbox(delivery("flood"))
    found.take(1)
    for _ in range(FLOOD):
        found.put(delivery("flood"))
    assert floods.refuse(delivery("flood"), found, FLOOD)


def test_a_batch_fits_into_an_invocation() -> None:
    found = inbox(*(delivery(str(n), size=256 * 1024) for n in range(20)))
    assert len(found.take(100)) == 8
    assert (len(found), found.bytes) == (12, 12 * 256 * 1024)


# --- Floods -------------------------------------------------------------------


@pytest.fixture
def floods(monkeypatch: pytest.MonkeyPatch) -> Floods:
    """Floods of a connection that has caught up."""
    monkeypatch.setattr("bridge.floods._CATCH_UP_SECONDS", 0)
    found = Floods(20_000)
    found.begin()
    assert not found.refuse(delivery("any"), Inbox(), 0)
    return found


def test_a_flood_is_dropped_and_its_neighbour_is_not(floods: Floods) -> None:
    found = inbox(*(delivery("flood") for _ in range(FLOOD)))
    assert floods.refuse(delivery("flood"), found, FLOOD)
    assert not floods.refuse(delivery("neighbour"), found, FLOOD)


def test_what_waited_in_the_broker_is_not_a_flood() -> None:
    floods = Floods(20_000)
    floods.begin()
    found = inbox(*(delivery("returns") for _ in range(FLOOD)))
    assert not floods.refuse(delivery("returns"), found, FLOOD)


def test_what_arrived_before_the_bridge_had_caught_up_is_not_a_flood(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("bridge.floods._CATCH_UP_SECONDS", 0)
    floods = Floods(20_000)
    floods.begin()
    found = inbox(*(delivery("returns") for _ in range(FLOOD)))
    for _ in range(3):
        assert not floods.refuse(delivery("returns"), found, FLOOD)


def test_a_full_window_means_that_the_bridge_has_not_caught_up(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("bridge.floods._CATCH_UP_SECONDS", 0)
    floods = Floods(20_000)
    floods.begin()
    assert not floods.refuse(delivery("any"), Inbox(), 10_000)
    found = inbox(*(delivery("returns") for _ in range(FLOOD)))
    assert not floods.refuse(delivery("returns"), found, 10_000)


def test_a_normal_device_is_not_a_flood_however_long_invocations_fail(floods: Floods) -> None:
    a_day_of_one_a_second = [delivery("normal", age=FLOOD - n) for n in range(FLOOD)]
    assert not floods.refuse(delivery("normal"), inbox(*a_day_of_one_a_second), FLOOD)


def test_messages_at_qos_0_cannot_end_the_connection(floods: Floods) -> None:
    found = inbox(*(delivery(str(n % 100), qos=0) for n in range(10_000)))
    assert floods.refuse(delivery("late", qos=0), found, 0)
    assert not floods.refuse(delivery("late", qos=1), found, 0)
