"""One thread for the connections of all simulated cabinets.

paho's own loop needs a thread and three file descriptors per client, and waits in select(), which
supports no descriptor above 1023: one process could have only some 300 cabinets.
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

RECONNECT_SECONDS = (0.2, 1.0)  # the shortest and the longest delay of an attempt
_KEEPALIVE_CHECK_SECONDS = 1.0
_SECONDS_TO_DISCONNECT = 1.0
_SELECT_DESCRIPTORS = 1024

_log = logging.getLogger(__name__)


class CabinetClient(Client):
    """paho's client, with a high file descriptor: low ones are left to users of select()."""

    def _create_socket_connection(self) -> socket.socket:
        connection = super()._create_socket_connection()
        try:
            high = fcntl.fcntl(connection.fileno(), fcntl.F_DUPFD_CLOEXEC, _SELECT_DESCRIPTORS)
        except OSError:  # the limit of this process is lower
            return connection
        seconds = connection.gettimeout()
        connection.close()
        moved = socket.socket(fileno=high)
        moved.settimeout(seconds)
        return moved


class Network:
    """Connects clients, and sends and receives for them; calls their callbacks on its thread.

    `remove` all clients before `stop`.
    """

    def __init__(self) -> None:
        self._clients: set[Client] = set()
        self._connected: set[Client] = set()
        self._tasks: deque[Callable[[], None]] = deque()
        self._reconnects: list[tuple[float, int, Client]] = []
        self._numbers = count()  # orders attempts of the same time
        self._stop_at: float | None = None
        self._thread: threading.Thread | None = None
        self._selector: selectors.BaseSelector
        self._wakeup: tuple[socket.socket, socket.socket]

    def start(self) -> None:
        """Start the thread."""
        self._stop_at = None
        self._reconnects.clear()
        self._selector = selectors.DefaultSelector()
        self._wakeup = socket.socketpair()
        for end in self._wakeup:
            end.settimeout(0)
        self._selector.register(self._wakeup[0], selectors.EVENT_READ)
        self._thread = threading.Thread(target=self._run, name="cabinets-network", daemon=True)
        self._thread.start()

    def stop(self) -> None:
        """Stop the thread; removed clients have a second to disconnect."""
        if self._thread is None:
            return
        self._stop_at = time.monotonic() + _SECONDS_TO_DISCONNECT
        self._wake()
        self._thread.join()
        self._thread = None
        self._selector.close()
        for end in self._wakeup:
            end.close()

    def add(self, client: Client) -> None:
        """Keep a client connected to the broker of its connect_async(), until `remove`."""
        client.on_socket_open = self._on_socket_open
        client.on_socket_close = self._on_socket_close
        client.on_socket_register_write = _leave_writing_to_network
        self._clients.add(client)
        self._run_on_thread(partial(self._connect, client))

    def remove(self, client: Client) -> None:
        """Start to disconnect a client for good."""
        self._clients.discard(client)
        client.disconnect()
        self.flush(client)

    def flush(self, client: Client) -> None:
        """Send the queued messages of a client; to be called after each publish()."""
        self._run_on_thread(partial(self._serve, client, selectors.EVENT_WRITE))

    def _run_on_thread(self, task: Callable[[], None]) -> None:
        self._tasks.append(task)
        self._wake()

    def _wake(self) -> None:
        with suppress(OSError):  # full: the thread wakes anyway
            self._wakeup[1].send(b"!")

    # --- On the thread ------------------------------------------------------------------------

    def _run(self) -> None:
        check_at = time.monotonic() + _KEEPALIVE_CHECK_SECONDS
        while not self._has_stopped():
            for key, events in self._selector.select(self._pause(check_at)):
                if key.data is None:
                    self._wakeup[0].recv(65536)
                else:
                    self._serve(key.data, events)
            while self._tasks:
                self._tasks.popleft()()
            self._connect_due_clients()
            if time.monotonic() >= check_at:
                check_at = time.monotonic() + _KEEPALIVE_CHECK_SECONDS
                for client in [*self._connected]:
                    self._serve(client, 0)
        for client in [*self._connected]:
            self._drop(client)

    def _has_stopped(self) -> bool:
        if self._stop_at is None:
            return False
        return time.monotonic() >= self._stop_at or not self._connected

    def _pause(self, check_at: float) -> float:
        due = min(check_at, self._reconnects[0][0] if self._reconnects else check_at)
        return max(0, due - time.monotonic())

    def _serve(self, client: Client, events: int) -> None:
        """Receive and send for a client; without `events`, check its keepalive."""
        try:
            if events & selectors.EVENT_READ:
                _receive(client)
            if not events:
                client.loop_misc()
            if client.want_write():
                client.loop_write()
        except Exception:  # noqa: BLE001 - all cabinets share this thread: it must go on
            _log.exception("a simulated cabinet failed at a message")
            self._drop(client)
        if client in self._connected:
            writes = selectors.EVENT_WRITE if client.want_write() else 0
            self._selector.modify(_socket_of(client), selectors.EVENT_READ | writes, client)

    def _connect(self, client: Client) -> None:
        if client not in self._clients or self._stop_at is not None:
            return
        try:
            client.reconnect()
        except OSError:  # no broker, or no simulated network
            self._schedule_reconnect(client)
        else:
            self._serve(client, selectors.EVENT_WRITE)

    def _connect_due_clients(self) -> None:
        while self._reconnects and self._reconnects[0][0] <= time.monotonic():
            self._connect(heapq.heappop(self._reconnects)[2])

    def _schedule_reconnect(self, client: Client) -> None:
        at = time.monotonic() + random.uniform(*RECONNECT_SECONDS)  # noqa: S311 - not a secret
        heapq.heappush(self._reconnects, (at, next(self._numbers), client))

    def _drop(self, client: Client) -> None:
        """Close a connection; paho detects that at its next read."""
        with suppress(OSError):
            _socket_of(client).shutdown(socket.SHUT_RDWR)

    def _on_socket_open(self, client: Client, _userdata: Any, connection: Any) -> None:
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self._selector.register(connection, selectors.EVENT_READ, client)
        self._connected.add(client)

    def _on_socket_close(self, client: Client, _userdata: Any, connection: Any) -> None:
        self._selector.unregister(connection)
        self._connected.discard(client)
        if client in self._clients:
            self._schedule_reconnect(client)


def _receive(client: Client) -> None:
    """Receive everything: the selector does not see data that TLS has already decrypted."""
    while client.loop_read() == MQTTErrorCode.MQTT_ERR_SUCCESS:
        connection: Any = client.socket()
        if connection is None or not getattr(connection, "pending", int)():
            return


def _socket_of(client: Client) -> Any:
    return client.socket()


def _leave_writing_to_network(*_: Any) -> None:
    """Do nothing: if this callback is set, paho's publish() does not write to the socket."""
