"""Malformed bodies are refused, and unusual ones are read."""

from typing import Any

import pytest

from tests.campaign.raw_client import BODY, RawClient, request
from tests.support.openapi_check import check_response
from tests.support.service import Service

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


def test_a_body_whose_end_is_unclear_is_refused(client: RawClient, service: Service) -> None:
    for headers in UNCLEAR:
        smuggled = request(b"POST", b"/v1/accumulators", b"Content-Length: 25") + BODY
        assert client.post(smuggled, *headers).status == 400, headers
        assert service.get("/v1/accumulators")["accumulators"] == []


@pytest.mark.parametrize(
    "length", [b"", b"Content-Length: 5", b"Content-Length: 500"], ids=["none", "short", "long"]
)
def test_a_body_that_does_not_match_its_length_is_refused(
    client: RawClient, service: Service, length: bytes
) -> None:
    assert client.post(BODY, *filter(None, [length])).status == 400
    assert service.get("/v1/accumulators")["accumulators"] == []


CHUNKS = [b"-19", b"zz", b"", b"19;a=b", b"f" * 30, b"ffffff", b"\xff", b"1" * 70_000]


def test_malformed_chunks_are_refused(client: RawClient) -> None:
    for chunk in CHUNKS:
        body = chunk + b"\r\n" + BODY + b"\r\n0\r\n\r\n"
        assert client.post(body, b"Transfer-Encoding: chunked").status == 400, chunk[:20]


CONTENT_TYPES = [
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


def test_a_body_is_read_as_json_whatever_its_content_type(client: RawClient) -> None:
    for number, kind in enumerate(CONTENT_TYPES):
        body = b'{"accumulator_id": "B-%02d"}' % number
        headers = [b"Content-Type: " + kind] if kind else []
        assert client.post(body, b"Content-Length: 26", *headers).status == 201, kind


@pytest.mark.parametrize(("size", "status"), [(LIMIT - 1, 201), (LIMIT, 201), (LIMIT + 1, 413)])
@pytest.mark.parametrize("kind", [b"application/json", b"application/octet-stream"])
def test_a_body_of_the_maximum_size_is_read_and_a_larger_one_is_not(
    client: RawClient, kind: bytes, size: int, status: int
) -> None:
    response = client.post(BODY.ljust(size), b"Content-Length: %d" % size, b"Content-Type: " + kind)
    assert response.status == status
    check_response("POST", "/v1/accumulators", status, response.headers, response.raw)


TEXTS: dict[str, bytes] = {
    "200 000 lists": b"[" * 200_000 + b"]" * 200_000,
    "200 000 objects": b'{"a":' * 200_000 + b"1" + b"}" * 200_000,
    "deep in a field": b'{"accumulator_id":' + b"[" * 200_000 + b"]" * 200_000 + b"}",
    "two byte order marks": b"\xef\xbb\xbf" * 2 + BODY,
    "UTF-16": BODY.decode().encode("utf-16"),
    "UTF-32": BODY.decode().encode("utf-32"),
    "overlong": b'{"accumulator_id": "A\xc0\xad1"}',
    "half a surrogate pair in UTF-8": b'{"accumulator_id": "\xed\xa0\x80"}',
    "half a surrogate pair": b'{"accumulator_id": "\\ud800"}',
    "NUL": b'{"accumulator_id": "A\\u0000"}',
    "100 000 digits": b'{"accumulator_id": "A-1", "battery_charge": ' + b"9" * 100_000 + b"}",
    "an exponent": b'{"accumulator_id": "A-1", "battery_charge": 1e400}',
    "a negative fraction": b'{"accumulator_id": "A-1", "battery_charge": -0.5}',
    "NaN": b'{"accumulator_id": "A-1", "battery_charge": NaN}',
    "100 000 keys": b"{" + b",".join(b'"%d":1' % n for n in range(100_000)) + b"}",
    "a megabyte": b'{"accumulator_id": "' + b"x" * 1_000_000 + b'"}',
    "a comment": BODY + b"//",
    "two objects": BODY * 2,
}


def test_extreme_json_is_an_invalid_request(client: RawClient, service: Service) -> None:
    for name, text in TEXTS.items():
        for kind in (b"application/json", b"text/plain"):
            length = b"Content-Length: %d" % len(text)
            response = client.post(text, length, b"Content-Type: " + kind)
            assert (response.status, response.code) == (400, "invalid_request"), name
    assert service.get("/v1/accumulators")["accumulators"] == []


def test_the_last_of_two_equal_keys_is_used(client: RawClient, service: Service) -> None:
    text = b'{"accumulator_id": "A-1", "accumulator_id": "A-2"}'
    assert client.post(text, b"Content-Length: %d" % len(text)).status == 201
    found: list[Any] = service.get("/v1/accumulators")["accumulators"]
    assert [one["accumulator_id"] for one in found] == ["A-2"]
