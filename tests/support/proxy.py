"""A TCP proxy whose connections a test can cut."""

import socket
import threading
from contextlib import suppress
from typing import Self


class Proxy:
    """Forwards bytes between clients of `port` and the server."""

    def __init__(self, host: str, port: int) -> None:
        self._server = (host, port)
        self._listener = socket.create_server((host, 0))
        self.port: int = self._listener.getsockname()[1]
        self._open: list[socket.socket] = []
        self._threads = [threading.Thread(target=self._accept)]

    def __enter__(self) -> Self:
        self._threads[0].start()
        return self

    def __exit__(self, *_: object) -> None:
        self._listener.shutdown(socket.SHUT_RDWR)
        self.cut_connections()
        for thread in self._threads:
            thread.join()
        for end in (self._listener, *self._open):
            end.close()

    def cut_connections(self) -> None:
        """Cut every open connection; new ones work."""
        for end in self._open:
            try:
                end.shutdown(socket.SHUT_RDWR)
            except OSError:
                continue  # it has ended already

    def _connect(self) -> socket.socket:
        """Connect to the server for a new client."""
        return socket.create_connection(self._server)

    def _accept(self) -> None:
        while True:
            try:
                client, _ = self._listener.accept()
            except OSError:
                return
            try:
                server = self._connect()
            except OSError:
                client.close()
                continue
            self._open += [client, server]
            for ends in ((client, server), (server, client)):
                self._threads.append(threading.Thread(target=self._pass, args=ends))
                self._threads[-1].start()

    def _pass(self, source: socket.socket, sink: socket.socket) -> None:
        with suppress(OSError):
            while data := source.recv(65536):
                sink.sendall(data)
        with suppress(OSError):  # also after a reset: the other end must notice
            sink.shutdown(socket.SHUT_RDWR)
