"""MQTT packets of versions 3.1, 3.1.1 and 5, as far as the kit needs their content.

amqtt, which the local cloud has anyway, reads only 3.1.1; cabinets may also speak 5.
"""

import struct
from typing import NamedTuple

from paho.mqtt.packettypes import PacketTypes
from paho.mqtt.properties import Properties

CONNECT, CONNACK, PUBLISH, SUBSCRIBE, DISCONNECT = 1, 2, 3, 8, 14
MQTT_5 = 5
_LONGEST_LENGTH = 4  # bytes of the field "remaining length"
_KEEPS_FOR_EVER = 0xFFFFFFFF


class BadPacket(ValueError):
    """The bytes are not an MQTT packet."""


class Packet(NamedTuple):
    """A packet: its type, its flags, and what follows its length."""

    kind: int
    flags: int
    body: bytes


class Will(NamedTuple):
    """A last will."""

    topic: str
    payload: bytes
    qos: int
    retain: bool


class ConnectPacket(NamedTuple):
    """A CONNECT, without its password."""

    level: int
    client_id: str
    username: str | None
    clean: bool
    session_expiry_s: int
    keepalive_s: int
    will: Will | None


class PublishPacket(NamedTuple):
    """A PUBLISH."""

    topic: str
    payload: bytes
    qos: int
    retain: bool
    duplicate: bool


class Splitter:
    """Splits a stream of bytes into packets."""

    def __init__(self) -> None:
        self._rest = b""

    def feed(self, data: bytes) -> list[tuple[Packet, bytes]]:
        """Return the packets that are complete now, each with its bytes. Raises BadPacket."""
        self._rest += data
        packets = []
        while (length := _length(self._rest)) is not None:
            start, size = length
            if len(self._rest) < start + size:
                break
            whole, self._rest = self._rest[: start + size], self._rest[start + size :]
            packets.append((Packet(whole[0] >> 4, whole[0] & 15, whole[start:]), whole))
        return packets


class _Fields:
    """Reads the fields of a body one after another."""

    def __init__(self, body: bytes) -> None:
        self._body = body

    def number(self, size: int) -> int:
        return int.from_bytes(self._take(size), "big")

    def data(self) -> bytes:
        return self._take(self.number(2))

    def text(self) -> str:
        return self.data().decode(errors="replace")

    def properties(self, kind: int) -> Properties:
        properties = Properties(kind)  # type: ignore[no-untyped-call]  # paho's
        _, size = properties.unpack(self._body)  # type: ignore[no-untyped-call]  # paho's
        self._take(size)
        return properties

    def rest(self) -> bytes:
        return self._take(len(self._body))

    def __bool__(self) -> bool:
        return bool(self._body)

    def _take(self, size: int) -> bytes:
        if size > len(self._body):
            raise BadPacket("a field is longer than its packet")
        taken, self._body = self._body[:size], self._body[size:]
        return taken


def read_connect(body: bytes) -> ConnectPacket:
    """Read a CONNECT. Raises BadPacket."""
    fields = _Fields(body)
    fields.text()
    level, flags, keepalive_s = fields.number(1), fields.number(1), fields.number(2)
    expiry = 0
    if level == MQTT_5:
        found = fields.properties(PacketTypes.CONNECT)
        expiry = getattr(found, "SessionExpiryInterval", 0)
    clean = bool(flags & 0x02)
    if level != MQTT_5 and not clean:
        expiry = _KEEPS_FOR_EVER
    client_id = fields.text()
    will = _read_will(fields, level, flags) if flags & 0x04 else None
    username = fields.text() if flags & 0x80 else None
    return ConnectPacket(level, client_id, username, clean, expiry, keepalive_s, will)


def _read_will(fields: _Fields, level: int, flags: int) -> Will:
    if level == MQTT_5:
        fields.properties(PacketTypes.WILLMESSAGE)
    return Will(fields.text(), fields.data(), (flags >> 3) & 3, bool(flags & 0x20))


def read_connack(body: bytes) -> int:
    """Return the code of a CONNACK: 0 if the login is accepted. Raises BadPacket."""
    fields = _Fields(body)
    fields.number(1)
    return fields.number(1)


def read_subscribe(body: bytes, level: int) -> list[tuple[str, int]]:
    """Return the topic filters of a SUBSCRIBE, each with its QoS. Raises BadPacket."""
    fields = _Fields(body)
    fields.number(2)
    if level == MQTT_5:
        fields.properties(PacketTypes.SUBSCRIBE)
    filters = []
    while fields:
        name = fields.text()
        filters.append((name, fields.number(1) & 3))
    return filters


def read_publish(packet: Packet, level: int) -> PublishPacket:
    """Read a PUBLISH. Raises BadPacket."""
    fields = _Fields(packet.body)
    topic, qos = fields.text(), (packet.flags >> 1) & 3
    if qos:
        fields.number(2)
    if level == MQTT_5:
        fields.properties(PacketTypes.PUBLISH)
    return PublishPacket(topic, fields.rest(), qos, bool(packet.flags & 1), bool(packet.flags & 8))


def _length(data: bytes) -> tuple[int, int] | None:
    """Return where the body begins and its size; None if that is not known yet."""
    size = 0
    for index, byte in enumerate(data[1 : 1 + _LONGEST_LENGTH]):
        size |= (byte & 0x7F) << (7 * index)
        if not byte & 0x80:
            return 2 + index, size
    if len(data) > _LONGEST_LENGTH:
        raise BadPacket("the length of a packet has more than four bytes")
    return None


READ_ERRORS = (BadPacket, struct.error, ValueError, IndexError, KeyError)
"""What reading a damaged packet may raise; paho's properties raise several."""
