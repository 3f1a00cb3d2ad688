"""A device for the test of floods.

Run `python -m tests.support.flood KIND HOST PORT CA LOGIN PASSWORD SECONDS`.
KIND: `neighbour` publishes the time every 50 ms. `flood-0` and `flood-1` publish tiny messages at
that QoS as fast as the broker reads them, `large` messages of 256 KB; `reconnect` does so over one
connection after another. Each ends after SECONDS, and prints how many messages it has sent.
"""

import socket
import ssl
import sys
import time
from contextlib import suppress

from tests.support.mqtt import _packet, _string

_PERIOD_SECONDS = 0.05
_CONNECT_SECONDS = 5
_ENOUGH = 2000
"""Messages for one connection, after which `reconnect` opens the next."""


def main() -> None:
    """Be the device that the arguments describe."""
    kind, host, port, ca, login, password, seconds = sys.argv[1:]
    end = time.monotonic() + float(seconds)
    context = ssl.create_default_context(cafile=ca)
    topic, sent = f"$devices/{login}/events", 0
    while time.monotonic() < end:
        with suppress(OSError):
            plain = socket.create_connection((host, int(port)), timeout=_CONNECT_SECONDS)
            with context.wrap_socket(plain, server_hostname=host) as connection:
                names = b"".join(map(_string, (login, login, password)))
                connection.sendall(_packet(0x10, b"\x00\x04MQTT\x04\xc2\x00\x00" + names))
                connection.recv(4)
                if kind == "neighbour":
                    sent += publish_times(connection, topic, end)
                else:
                    sent += flood(connection, kind, topic, end)
    print(sent)  # noqa: T201 - a program


def publish_times(connection: socket.socket, topic: str, end: float) -> int:
    """Publish the time at QoS 1, in a steady rhythm."""
    sent = 0
    while time.monotonic() < end:
        sent += 1
        body = _string(topic) + sent.to_bytes(2, "big") + str(time.time()).encode()
        connection.sendall(_packet(0x32, body))
        time.sleep(_PERIOD_SECONDS)
    return sent


def flood(connection: socket.socket, kind: str, topic: str, end: float) -> int:
    """Send messages without reading an acknowledgement, until the time or the connection ends."""
    if kind == "large":
        body = _string(topic) + b"\x00\x01" + b"x" * 262_000
        size = len(body)
        length = bytes([size % 128 | 0x80, size // 128 % 128 | 0x80, size // 128**2])
        piece, count = b"\x32" + length + body, 1
    else:
        qos = 0 if kind == "flood-0" else 1
        packet = _packet(0x30 | qos << 1, _string(topic) + (b"\x00\x01" if qos else b""))
        count = 500
        piece = packet * count
    connection.settimeout(0.2)
    sent, rest = 0, b""
    while time.monotonic() < end:
        rest = rest or piece
        with suppress(TimeoutError):
            rest = rest[connection.send(rest) :]
        with suppress(TimeoutError, BlockingIOError, ssl.SSLWantReadError):
            connection.settimeout(0)
            while connection.recv(65536):
                pass
        connection.settimeout(0.2)
        if not rest:
            sent += count
            if kind == "reconnect" and sent >= _ENOUGH:
                break
    return sent


if __name__ == "__main__":
    main()
