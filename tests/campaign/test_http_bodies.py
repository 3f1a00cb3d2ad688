"""Bodies that no honest client sends: refused, or taken as an honest client's."""

from collections.abc import Iterator
from typing import Any

import pytest

from tests.campaign.wire import BODY, Wire, request, wire_to
from tests.openapi_check import check_answer
from tests.service import Service


@pytest.fixture
def wire(service: Service) -> Iterator[Wire]:
    with wire_to(service) as wire:
        yield wire


LIMIT = 2_621_440


UNCLEAR = [
    [b"Content-Length: -1"],
    [b"Content-Length: abc"],
    [b"Content-Length: +25"],
    [b"Content-Length: 2_5"],
    [b"Content-Length: 0x19"],
    [b"Content-Length: " + b"9" * 5000],
    [b"Content-Length: 25", b"Content-Length: 5"],
    [b"Content-Length: 25, 5"],
    [b"Content-Length: 25", b"Transfer-Encoding: chunked"],
    [b"Transfer-Encoding: xchunked"],
    [b"Transfer-Encoding: gzip, chunked"],
    [b"Transfer-Encoding: chunked", b"Transfer-Encoding: identity"],
    [b"Transfer-Encoding: chunked"],
]


def test_a_body_whose_end_is_unclear_is_refused(wire: Wire, service: Service) -> None:
    for headers in UNCLEAR:
        smuggled = request(b"POST", b"/v1/accumulators", b"Content-Length: 25") + BODY
        assert wire.post(smuggled, *headers).status == 400, headers
        assert service.get("/v1/accumulators")["accumulators"] == []


@pytest.mark.parametrize(
    "length", [b"", b"Content-Length: 5", b"Content-Length: 500"], ids=["none", "short", "long"]
)
def test_a_body_that_is_cut_is_refused(wire: Wire, service: Service, length: bytes) -> None:
    assert wire.post(BODY, *filter(None, [length])).status == 400
    assert service.get("/v1/accumulators")["accumulators"] == []


CHUNKS = [b"-19", b"zz", b"", b"19;a=b", b"f" * 30, b"ffffff", b"\xff", b"1" * 70_000]


def test_bad_chunks_are_refused(wire: Wire) -> None:
    for chunk in CHUNKS:
        body = chunk + b"\r\n" + BODY + b"\r\n0\r\n\r\n"
        assert wire.post(body, b"Transfer-Encoding: chunked").status == 400, chunk[:20]


KINDS = [
    b"",
    b"application/json; charset=utf-16",
    b"application/json, text/html",
    b"application/problem+json",
    b"APPLICATION/JSON",
    b"application/x-www-form-urlencoded",
    b"multipart/form-data",
    b"multipart/form-data; boundary=x",
    b"text/plain",
    b"text/xml",
    b"a",
    b"/",
    b";",
]


def test_a_body_is_json_whatever_it_is_called(wire: Wire) -> None:
    for number, kind in enumerate(KINDS):
        body = b'{"accumulator_id": "B-%02d"}' % number
        headers = [b"Content-Type: " + kind] if kind else []
        assert wire.post(body, b"Content-Length: 26", *headers).status == 201, kind


@pytest.mark.parametrize(("size", "status"), [(LIMIT - 1, 201), (LIMIT, 201), (LIMIT + 1, 413)])
@pytest.mark.parametrize("kind", [b"application/json", b"application/octet-stream"])
def test_a_body_of_the_limit_is_read_and_one_more_byte_is_not(
    wire: Wire, kind: bytes, size: int, status: int
) -> None:
    answer = wire.post(BODY.ljust(size), b"Content-Length: %d" % size, b"Content-Type: " + kind)
    assert answer.status == status
    check_answer("POST", "/v1/accumulators", status, answer.headers, answer.raw)


TEXTS: dict[str, bytes] = {
    "200 000 lists": b"[" * 200_000 + b"]" * 200_000,
    "200 000 objects": b'{"a":' * 200_000 + b"1" + b"}" * 200_000,
    "deep in a field": b'{"accumulator_id":' + b"[" * 200_000 + b"]" * 200_000 + b"}",
    "a byte order mark": b"\xef\xbb\xbf" + BODY,
    "UTF-16": BODY.decode().encode("utf-16"),
    "UTF-32": BODY.decode().encode("utf-32"),
    "overlong": b'{"accumulator_id": "A\xc0\xad1"}',
    "half a pair in UTF-8": b'{"accumulator_id": "\xed\xa0\x80"}',
    "half a pair": b'{"accumulator_id": "\\ud800"}',
    "NUL": b'{"accumulator_id": "A\\u0000"}',
    "100 000 digits": b'{"accumulator_id": "A-1", "battery_charge": ' + b"9" * 100_000 + b"}",
    "an exponent": b'{"accumulator_id": "A-1", "battery_charge": 1e400}',
    "minus nought point nought": b'{"accumulator_id": "A-1", "battery_charge": -0.5}',
    "NaN": b'{"accumulator_id": "A-1", "battery_charge": NaN}',
    "100 000 keys": b"{" + b",".join(b'"%d":1' % n for n in range(100_000)) + b"}",
    "a megabyte": b'{"accumulator_id": "' + b"x" * 1_000_000 + b'"}',
    "a comment": BODY + b"//",
    "two": BODY * 2,
}


def test_json_at_its_extremes_is_an_invalid_request(wire: Wire, service: Service) -> None:
    for name, text in TEXTS.items():
        for kind in (b"application/json", b"text/plain"):
            length = b"Content-Length: %d" % len(text)
            answer = wire.post(text, length, b"Content-Type: " + kind)
            assert (answer.status, answer.code) == (400, "invalid_request"), name
    assert service.get("/v1/accumulators")["accumulators"] == []


def test_of_a_key_that_is_there_twice_the_last_one_counts(wire: Wire, service: Service) -> None:
    text = b'{"accumulator_id": "A-1", "accumulator_id": "A-2"}'
    assert wire.post(text, b"Content-Length: %d" % len(text)).status == 201
    found: list[Any] = service.get("/v1/accumulators")["accumulators"]
    assert [one["accumulator_id"] for one in found] == ["A-2"]
