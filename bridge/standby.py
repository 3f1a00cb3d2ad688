"""Several bridges with one session: one is active, the others wait for its end.

The active one publishes a sign every second. Its end is announced by itself when it stops, and by
the broker, as its last will, when its connection breaks. The others read both. One that has seen
no sign for long enough connects with the session's client id: the broker then ends the connection
of the active one, if it still has one, and sends what that has not acknowledged again. So at most
one bridge receives at a time, whatever the others believe.
"""

import time
from threading import Event
from typing import Any

from paho.mqtt import client as paho
from paho.mqtt.enums import MQTTErrorCode

from bridge.client import Client
from bridge.settings import Settings
from shared import log

SIGN_SECONDS = 1.0
"""Between two signs."""
ACTIVE = b"active"
ENDED = b"ended"
_SILENCE_SECONDS = 7.0
"""Without a sign for so long, the active bridge counts as dead. A busy broker may delay signs by
seconds: they queue behind acknowledgements."""
_ENDED_SECONDS = 2.5
"""The same once its end was announced, unless another bridge gives a sign meanwhile."""
_STOP_SECONDS = 0.2


def topic(settings: Settings) -> str:
    """Return the topic of the signs."""
    return f"$bridges/{settings.bridge_client_id}/active"


class Standby:
    """Waits, on a connection without a session, until no other bridge is active."""

    def __init__(self, settings: Settings, stopping: Event) -> None:
        self._settings = settings
        self._stopping = stopping
        self._is_listening = False
        self._silent_until = 0.0

    def wait(self) -> bool:
        """Return whether this bridge is to be active now; False: no connection, or it must stop.

        Without BRIDGE_STANDBY, it is at once.
        """
        if not self._settings.bridge_standby:
            return True
        self._is_listening = False
        self._silent_until = time.monotonic() + _SILENCE_SECONDS
        client = Client(self._settings)
        client.on_connect = self._connected
        client.on_subscribe = self._granted
        client.on_message = self._read
        try:
            client.open()
            return self._is_silent(client)
        except OSError as error:
            log.warning("cannot connect to the broker; retrying", reason=error)
        finally:
            client.disconnect()
            client.loop(0)
            client.forget_callbacks()
        return False

    def _is_silent(self, client: Client) -> bool:
        while not self._stopping.is_set():
            left = self._silent_until - time.monotonic()
            # Read first: if this process was paused, signs have arrived meanwhile.
            wait = min(max(left, 0), _STOP_SECONDS)
            if client.loop(wait) != MQTTErrorCode.MQTT_ERR_SUCCESS:
                return False
            if self._silent_until <= time.monotonic():
                if self._is_listening:
                    log.info("no other bridge is active: taking over")
                return self._is_listening
        return False

    def _connected(
        self, client: paho.Client, _userdata: object, _flags: object, reason: Any, _p: object
    ) -> None:
        if reason.is_failure:
            log.error("broker refused the bridge; check its login", reason=str(reason))
        else:
            client.subscribe(topic(self._settings))

    def _granted(
        self, _client: paho.Client, _userdata: object, _id: int, reasons: list[Any], _p: object
    ) -> None:
        if reasons[0].is_failure:
            log.error(
                "broker refused the subscription; check its access list",
                topic=topic(self._settings),
            )
        self._is_listening = True
        self._silent_until = time.monotonic() + _SILENCE_SECONDS
        log.info("standing by; another bridge may be active")

    def _read(self, _client: paho.Client, _userdata: object, message: paho.MQTTMessage) -> None:
        if message.payload == ACTIVE:
            self._silent_until = time.monotonic() + _SILENCE_SECONDS
        else:
            self._silent_until = min(self._silent_until, time.monotonic() + _ENDED_SECONDS)
