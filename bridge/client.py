"""The MQTT client of one connection: it does not reconnect, and reports when it has finished."""

import socket
from collections.abc import Callable
from threading import Event

from paho.mqtt import client as paho
from paho.mqtt.enums import CallbackAPIVersion, MQTTErrorCode

from bridge.settings import Settings

_KEEPALIVE_SECONDS = 10
"""A broker that has fallen silent is noticed after at most twice this."""
_CONNECT_SECONDS = 3.0


class Client(paho.Client):
    """A client with the bridge's login: with a session, unless `client_id` is empty."""

    def __init__(self, settings: Settings, client_id: str = "") -> None:
        super().__init__(
            CallbackAPIVersion.VERSION2,
            client_id,
            clean_session=not client_id,
            manual_ack=True,
            reconnect_on_failure=False,
        )
        self.finished = Event()
        self.on_finished: Callable[[MQTTErrorCode], None] | None = None
        self.connect_timeout = _CONNECT_SECONDS
        self.on_socket_open = _send_at_once
        self._address = (settings.mqtt_host, settings.mqtt_port)
        if settings.mqtt_username:
            self.username_pw_set(settings.mqtt_username, settings.mqtt_password)
        if settings.mqtt_tls:
            self.tls_set(ca_certs=str(settings.mqtt_ca_file) if settings.mqtt_ca_file else None)

    def open(self) -> None:
        """Connect. Raises OSError if the broker cannot be reached."""
        self.connect(*self._address, keepalive=_KEEPALIVE_SECONDS)

    def loop_forever(
        self,
        timeout: float = 1.0,
        retry_first_connection: bool = False,  # noqa: FBT001, FBT002 - paho's signature
    ) -> MQTTErrorCode:
        """Run paho's network loop; when it returns or raises, the connection has ended."""
        result = MQTTErrorCode.MQTT_ERR_UNKNOWN
        try:
            result = super().loop_forever(timeout, retry_first_connection)
        finally:
            self.finished.set()
            if self.on_finished:
                self.on_finished(result)
        return result

    def forget_callbacks(self) -> None:
        """Break the reference cycles, so that sockets are closed without garbage collection."""
        self.on_connect = self.on_subscribe = self.on_message = self.on_finished = None


def _send_at_once(_client: paho.Client, _userdata: object, sock: object) -> None:
    # Nagle's algorithm would delay the many small acknowledgements.
    if isinstance(sock, socket.socket):
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
