"""One thread for the connections of all simulated cabinets.

paho's own loop takes a thread and three file descriptors a client and waits in select(), which
sees no descriptor above 1023: some 300 cabinets would be all that one process can have.
"""

import fcntl
import heapq
import logging
import random
import selectors
import socket
import threading
import time
from collections import deque
from collections.abc import Callable
from contextlib import suppress
from functools import partial
from itertools import count
from typing import Any

from paho.mqtt.client import Client
from paho.mqtt.enums import MQTTErrorCode

RECONNECT_SECONDS = (0.2, 1.0)  # the least, and the most, between two attempts
_UPKEEP_SECONDS = 1.0
_FAREWELL_SECONDS = 1.0
_SELECTABLE = 1024

_log = logging.getLogger(__name__)


class CabinetClient(Client):
    """paho's client, on a descriptor that leaves the low ones to whoever waits in select()."""

    def _create_socket_connection(self) -> socket.socket:
        connection = super()._create_socket_connection()
        try:
            high = fcntl.fcntl(connection.fileno(), fcntl.F_DUPFD_CLOEXEC, _SELECTABLE)
        except OSError:  # this process may not have so many
            return connection
        seconds = connection.gettimeout()
        connection.close()
        moved = socket.socket(fileno=high)
        moved.settimeout(seconds)
        return moved


class Network:
    """Keeps clients connected, and lets them send and receive; their callbacks run on its thread.

    To stop: `leave` with all clients, then `stop`.
    """

    def __init__(self) -> None:
        self._served: set[Client] = set()
        self._connected: set[Client] = set()
        self._asked: deque[Callable[[], None]] = deque()
        self._attempts: list[tuple[float, int, Client]] = []
        self._numbers = count()  # so that attempts of the same moment have an order
        self._stop_at: float | None = None
        self._thread: threading.Thread | None = None
        self._selector: selectors.BaseSelector
        self._bell: tuple[socket.socket, socket.socket]

    def start(self) -> None:
        """Begin to serve."""
        self._stop_at = None
        self._attempts.clear()
        self._selector = selectors.DefaultSelector()
        self._bell = socket.socketpair()
        for end in self._bell:
            end.settimeout(0)
        self._selector.register(self._bell[0], selectors.EVENT_READ)
        self._thread = threading.Thread(target=self._run, name="cabinets-network", daemon=True)
        self._thread.start()

    def stop(self) -> None:
        """End; clients that were told to leave have a second for it."""
        if self._thread is None:
            return
        self._stop_at = time.monotonic() + _FAREWELL_SECONDS
        self._ring()
        self._thread.join()
        self._thread = None
        self._selector.close()
        for end in self._bell:
            end.close()

    def serve(self, client: Client) -> None:
        """Connect a client, whose broker is set by connect_async(), until it leaves."""
        client.on_socket_open = self._opened
        client.on_socket_close = self._closed
        client.on_socket_register_write = _flush_follows
        self._served.add(client)
        self._ask(partial(self._connect, client))

    def leave(self, client: Client) -> None:
        """Begin to disconnect a client; it will not be connected again."""
        self._served.discard(client)
        client.disconnect()
        self.flush(client)

    def flush(self, client: Client) -> None:
        """Let a client send what it was given: to be called after each publish()."""
        self._ask(partial(self._serve, client, selectors.EVENT_WRITE))

    def _ask(self, action: Callable[[], None]) -> None:
        self._asked.append(action)
        self._ring()

    def _ring(self) -> None:
        with suppress(OSError):  # full, so that it rings already
            self._bell[1].send(b"!")

    # On the thread

    def _run(self) -> None:
        upkeep_at = time.monotonic() + _UPKEEP_SECONDS
        while not self._is_over():
            for key, events in self._selector.select(self._pause(upkeep_at)):
                if key.data is None:
                    self._bell[0].recv(65536)
                else:
                    self._serve(key.data, events)
            while self._asked:
                self._asked.popleft()()
            self._try_what_is_due()
            if time.monotonic() >= upkeep_at:
                upkeep_at = time.monotonic() + _UPKEEP_SECONDS
                for client in [*self._connected]:
                    self._serve(client, 0)
        for client in [*self._connected]:
            self._drop(client)

    def _is_over(self) -> bool:
        if self._stop_at is None:
            return False
        return time.monotonic() >= self._stop_at or not self._connected

    def _pause(self, upkeep_at: float) -> float:
        due = min(upkeep_at, self._attempts[0][0] if self._attempts else upkeep_at)
        return max(0, due - time.monotonic())

    def _serve(self, client: Client, events: int) -> None:
        """Do what there is to do for a client: receive, keep alive, send."""
        try:
            if events & selectors.EVENT_READ:
                _receive(client)
            if not events:
                client.loop_misc()
            if client.want_write():
                client.loop_write()
        except Exception:  # noqa: BLE001 - the thread is everyone's and must outlive it
            _log.exception("a simulated cabinet failed at what it was sent")
            self._drop(client)
        if client in self._connected:
            wanted = selectors.EVENT_READ | (selectors.EVENT_WRITE if client.want_write() else 0)
            self._selector.modify(_socket_of(client), wanted, client)

    def _connect(self, client: Client) -> None:
        if client not in self._served or self._stop_at is not None:
            return
        try:
            client.reconnect()
        except OSError:  # the broker is not there, or the simulated network
            self._try_again(client)
        else:
            self._serve(client, selectors.EVENT_WRITE)

    def _try_what_is_due(self) -> None:
        while self._attempts and self._attempts[0][0] <= time.monotonic():
            self._connect(heapq.heappop(self._attempts)[2])

    def _try_again(self, client: Client) -> None:
        at = time.monotonic() + random.uniform(*RECONNECT_SECONDS)  # noqa: S311 - not a secret
        heapq.heappush(self._attempts, (at, next(self._numbers), client))

    def _drop(self, client: Client) -> None:
        """End a connection; paho learns of it at the next read."""
        with suppress(OSError):
            _socket_of(client).shutdown(socket.SHUT_RDWR)

    def _opened(self, client: Client, _userdata: Any, connection: Any) -> None:
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self._selector.register(connection, selectors.EVENT_READ, client)
        self._connected.add(client)

    def _closed(self, client: Client, _userdata: Any, connection: Any) -> None:
        self._selector.unregister(connection)
        self._connected.discard(client)
        if client in self._served:
            self._try_again(client)


def _receive(client: Client) -> None:
    """Take in all that has come: what TLS has decrypted already does not show on the socket."""
    while client.loop_read() == MQTTErrorCode.MQTT_ERR_SUCCESS:
        connection: Any = client.socket()
        if connection is None or not getattr(connection, "pending", int)():
            return


def _socket_of(client: Client) -> Any:
    return client.socket()


def _flush_follows(*_: Any) -> None:
    """With this callback paho leaves sending to the network's thread."""
