"""A bridge that stands by decides by the signs that have arrived, not by the clock alone."""

import threading
import time
from typing import Any, cast

import pytest
from paho.mqtt.enums import MQTTErrorCode

from bridge.client import Client
from bridge.settings import Settings
from bridge.standby import ACTIVE, ENDED, Standby

SILENCE, END = 7.0, 2.5


class Connection:
    """A connection on which these payloads have arrived; then the bridge is told to stop."""

    def __init__(self, *payloads: bytes) -> None:
        self.stopping = threading.Event()
        self.standby = Standby(Settings(bridge_standby=True), self.stopping)
        self._payloads = [*payloads]

    def loop(self, _timeout: float) -> MQTTErrorCode:
        if self._payloads:
            self.read(self._payloads.pop(0))
        else:
            self.stopping.set()
        return MQTTErrorCode.MQTT_ERR_SUCCESS

    def read(self, payload: bytes) -> None:
        message: Any = type("Message", (), {"payload": payload})
        self.standby._read(cast("Client", self), None, message)

    def decides_to_take_over(self, *, silent_for: float, is_listening: bool = True) -> bool:
        self.standby._is_listening = is_listening
        self.standby._silent_until = time.monotonic() + SILENCE - silent_for
        return self.standby._is_silent(cast("Client", self))


def test_without_a_sign_for_long_enough_it_takes_over() -> None:
    assert Connection().decides_to_take_over(silent_for=SILENCE + 1)
    assert not Connection().decides_to_take_over(silent_for=SILENCE - 1)


def test_a_sign_that_arrived_while_the_process_was_paused_counts() -> None:
    assert not Connection(ACTIVE).decides_to_take_over(silent_for=60)


def test_it_does_not_take_over_before_it_listens() -> None:
    assert not Connection().decides_to_take_over(silent_for=60, is_listening=False)


def test_an_announced_end_shortens_the_wait_and_the_next_sign_restores_it(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    now = time.monotonic()
    monkeypatch.setattr(time, "monotonic", lambda: now)
    connection = Connection()
    connection.standby._silent_until = now + SILENCE
    connection.read(ENDED)
    assert connection.standby._silent_until == now + END
    connection.read(ACTIVE)
    assert connection.standby._silent_until == now + SILENCE
