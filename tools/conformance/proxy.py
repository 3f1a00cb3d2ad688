"""A TCP proxy in front of the broker: records what the cabinet does, and can cut its connection.

It forwards all bytes unchanged, also those that it cannot read.
"""

import os
import socket
import threading
from contextlib import suppress
from functools import partial
from itertools import count
from typing import Literal, Self

from tools import ToolError
from tools.conformance import packets
from tools.conformance.packets import Packet, Splitter
from tools.conformance.transcript import (
    Closed,
    Connect,
    Delivery,
    LoginAnswer,
    Message,
    Subscribe,
    Transcript,
    Unreadable,
)

End = Literal["cabinet", "broker"]


class Proxy:
    """Listens for the cabinet at `host` and `port`; 0: any free port."""

    def __init__(
        self, broker: tuple[str, int], transcript: Transcript, *, host: str, port: int = 0
    ) -> None:
        self._broker = broker
        self._transcript = transcript
        try:
            self._listener = socket.create_server((host, port))
        except OSError as error:
            reason = os.strerror(error.errno or 0)
            raise ToolError(
                f"cannot listen at {host}:{port}: {reason}; stop what listens there, or name"
                " others with --host and --port"
            ) from None
        self.host = host
        self.port: int = self._listener.getsockname()[1]
        self._numbers = count(1)
        self._open: set[_Connection] = set()
        self._is_blocked = False
        self._cut_after: bytes | None = None
        self._lock = threading.Lock()
        self._acceptor = threading.Thread(target=self._accept, name="kit-proxy", daemon=True)

    def __enter__(self) -> Self:
        self._acceptor.start()
        return self

    def __exit__(self, *_: object) -> None:
        with suppress(OSError):
            self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        self._acceptor.join()
        for connection in self._connections():
            connection.close()
            connection.join()

    def block(self) -> None:
        """Cut all connections, and refuse new ones until `unblock`."""
        self._is_blocked = True
        for connection in self._connections():
            connection.cut()

    def unblock(self) -> None:
        """Accept connections again."""
        self._is_blocked = False

    def block_after(self, text: str) -> None:
        """Block as soon as a message that contains this text was sent to the cabinet."""
        self._cut_after = text.encode()

    @property
    def is_blocked(self) -> bool:
        """Whether connections are refused."""
        return self._is_blocked

    def delivered(self, payload: bytes) -> None:
        """Block, if it was agreed for this message."""
        if self._cut_after is not None and self._cut_after in payload:
            self._cut_after = None
            self.block()

    def ended(self, connection: "_Connection") -> None:
        """Forget a connection."""
        with self._lock:
            self._open.discard(connection)

    def _connections(self) -> list["_Connection"]:
        with self._lock:
            return [*self._open]

    def _accept(self) -> None:
        while True:
            try:
                cabinet, _ = self._listener.accept()
            except OSError:
                return
            if self._is_blocked:
                cabinet.close()
                continue
            try:
                broker = socket.create_connection(self._broker, timeout=5)
                broker.settimeout(None)
            except OSError:
                cabinet.close()
                continue
            connection = _Connection(next(self._numbers), cabinet, broker, self, self._transcript)
            with self._lock:
                self._open.add(connection)
            connection.start()


class _Connection:
    def __init__(
        self,
        number: int,
        cabinet: socket.socket,
        broker: socket.socket,
        proxy: Proxy,
        transcript: Transcript,
    ) -> None:
        self._number = number
        self._ends: dict[End, socket.socket] = {"cabinet": cabinet, "broker": broker}
        self._proxy = proxy
        self._transcript = transcript
        self._level = 4
        self._said_goodbye = self._was_cut = False
        self._ending = threading.Lock()
        self._has_ended = False
        self._threads = [
            threading.Thread(target=self._forward, args=ends, daemon=True)
            for ends in (("cabinet", "broker"), ("broker", "cabinet"))
        ]
        for end in self._ends.values():
            end.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)

    def start(self) -> None:
        for thread in self._threads:
            thread.start()

    def cut(self) -> None:
        self._was_cut = True
        self.close()

    def close(self) -> None:
        for end in self._ends.values():
            with suppress(OSError):
                end.shutdown(socket.SHUT_RDWR)

    def join(self) -> None:
        for thread in self._threads:
            if thread is not threading.current_thread():
                thread.join(5)

    def _forward(self, source: End, sink: End) -> None:
        splitter: Splitter | None = Splitter()
        try:
            while data := self._ends[source].recv(65536):
                found: list[tuple[Packet, bytes]] = []
                if splitter is not None:
                    try:
                        found = splitter.feed(data)
                    except packets.BadPacket as error:
                        splitter = None
                        self._transcript.add(Unreadable(self._number, str(error)))
                for packet, _ in found:
                    self._record(source, packet)
                self._ends[sink].sendall(data)
                for packet, _ in found:
                    if source == "broker" and packet.kind == packets.PUBLISH:
                        self._proxy.delivered(packet.body)
        except OSError:
            pass
        self._end(source)

    def _end(self, by: End) -> None:
        self.close()
        with self._ending:
            if self._has_ended:
                for end in self._ends.values():
                    end.close()
                return
            self._has_ended = True
        closed_by: Literal["kit", "cabinet", "broker"] = "kit" if self._was_cut else by
        self._transcript.add(Closed(self._number, closed_by, self._said_goodbye))
        self._proxy.ended(self)

    def _record(self, source: End, packet: Packet) -> None:
        read = self._read_cabinet if source == "cabinet" else self._read_broker
        try:
            read(packet)
        except packets.READ_ERRORS as error:
            self._transcript.add(Unreadable(self._number, str(error)))

    def _read_cabinet(self, packet: Packet) -> None:
        add = self._transcript.add
        if packet.kind == packets.CONNECT:
            connect = packets.read_connect(packet.body)
            self._level = connect.level
            add(Connect(connection=self._number, **connect._asdict()))
        elif packet.kind == packets.SUBSCRIBE:
            filters = packets.read_subscribe(packet.body, self._level)
            add(Subscribe(self._number, tuple(filters)))
        elif packet.kind == packets.PUBLISH:
            publish = packets.read_publish(packet, self._level)
            add(Message(connection=self._number, **publish._asdict()))
        elif packet.kind == packets.DISCONNECT:
            self._said_goodbye = True

    def _read_broker(self, packet: Packet) -> None:
        if packet.kind == packets.CONNACK:
            self._transcript.add(LoginAnswer(self._number, packets.read_connack(packet.body)))
        elif packet.kind == packets.PUBLISH:
            publish = packets.read_publish(packet, self._level)
            fact = partial(Delivery, self._number, publish.topic, publish.payload)
            self._transcript.add(fact(publish.qos))
