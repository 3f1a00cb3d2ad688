"""MQTT packets: what the kit reads of a CONNECT, a SUBSCRIBE and a PUBLISH."""

import pytest

from tools.conformance import packets
from tools.conformance.packets import Packet, Splitter, Will


def string(text: str) -> bytes:
    return len(text).to_bytes(2, "big") + text.encode()


def connect(level: int, flags: int, *rest: bytes, properties: bytes = b"") -> bytes:
    return b"".join([string("MQTT"), bytes([level, flags]), b"\x00\x1e", properties, *rest])


def test_a_connect_of_3_1_1_says_whether_its_session_is_clean() -> None:
    clean = packets.read_connect(connect(4, 0x82, string("me"), string("user")))
    assert (clean.client_id, clean.username, clean.keepalive_s) == ("me", "user", 30)
    assert (clean.clean, clean.session_expiry_s, clean.will) == (True, 0, None)
    kept = packets.read_connect(connect(4, 0x80, string("me"), string("user")))
    assert not kept.clean
    assert kept.session_expiry_s > 0


def test_a_connect_of_5_says_how_long_its_session_is_kept() -> None:
    expiry = b"\x05\x11\x00\x00\x0e\x10"
    read = packets.read_connect(connect(5, 0x02, string("me"), properties=expiry))
    assert (read.level, read.clean, read.session_expiry_s) == (5, True, 3600)


@pytest.mark.parametrize(("level", "properties"), [(4, b""), (5, b"\x00")])
def test_a_last_will_is_read_in_both_versions(level: int, properties: bytes) -> None:
    will = properties + string("topic") + string("gone")
    body = connect(level, 0x02 | 0x04 | 0x08 | 0x20, string(""), will, properties=properties)
    assert packets.read_connect(body).will == Will("topic", b"gone", 1, retain=True)


@pytest.mark.parametrize(("level", "properties"), [(4, b""), (5, b"\x00")])
def test_a_subscribe_lists_its_filters(level: int, properties: bytes) -> None:
    body = b"\x00\x01" + properties + string("a/+") + b"\x01" + string("b") + b"\x00"
    assert packets.read_subscribe(body, level) == [("a/+", 1), ("b", 0)]


def test_a_publish_has_its_flags() -> None:
    packet = Packet(packets.PUBLISH, 0b1011, string("topic") + b"\x00\x07" + b"{}")
    read = packets.read_publish(packet, 4)
    assert (read.topic, read.payload, read.qos) == ("topic", b"{}", 1)
    assert (read.retain, read.duplicate) == (True, True)


def test_packets_are_found_however_the_stream_is_cut() -> None:
    long = bytes([0x30, 0xC8, 0x01]) + b"x" * 200
    stream = b"\xc0\x00" + long + b"\xe0\x00"
    splitter = Splitter()
    found = [packet for byte in stream for packet, _ in splitter.feed(bytes([byte]))]
    assert [packet.kind for packet in found] == [12, 3, 14]
    assert found[1].body == b"x" * 200


@pytest.mark.parametrize("body", [b"", b"\x00\x04MQ", connect(4, 0x02, b"\x00\x09abc")])
def test_a_damaged_connect_is_refused(body: bytes) -> None:
    with pytest.raises(packets.READ_ERRORS):
        packets.read_connect(body)


def test_a_length_of_five_bytes_is_refused() -> None:
    with pytest.raises(packets.BadPacket):
        Splitter().feed(b"\x30\xff\xff\xff\xff\x01")
