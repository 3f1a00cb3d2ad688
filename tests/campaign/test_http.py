"""HTTP that no honest client sends, byte by byte, against the gateway with the real functions.

Whatever it is, the answer is a refusal or what an honest client would get, and the gateway lives.
"""

import json
import socket
from collections.abc import Iterator
from contextlib import closing
from dataclasses import dataclass
from http.client import HTTPResponse
from typing import Any

import pytest

from local.gateway import Gateway
from tests.openapi_check import check_answer
from tests.service import DOCUMENT, KEYS, Service

PATIENCE = 20.0
LIMIT = 2_621_440
BODY = b'{"accumulator_id": "A-1"}'


@dataclass(frozen=True)
class Answer:
    status: int
    headers: dict[str, str]
    raw: bytes

    @property
    def code(self) -> str:
        """What the problem is."""
        return str(json.loads(self.raw)["code"])


class Wire:
    """A way to the gateway for any bytes."""

    def __init__(self, gateway: Gateway) -> None:
        self._port = int(gateway.url.rpartition(":")[2])

    def send(self, raw: bytes) -> Answer:
        """The first answer to these bytes, after which nothing more is sent."""
        address = ("127.0.0.1", self._port)
        with socket.create_connection(address, PATIENCE) as client:
            client.sendall(raw)
            client.shutdown(socket.SHUT_WR)
            with closing(HTTPResponse(client)) as response:
                response.begin()
                return Answer(response.status, dict(response.headers), response.read())

    def get(self, target: bytes, *headers: bytes) -> Answer:
        """The answer to a GET of this target, exactly so written."""
        return self.send(request(b"GET", target, *headers))

    def post(self, body: bytes, *headers: bytes) -> Answer:
        """The answer to a new accumulator; its length and type only by `headers`."""
        return self.send(request(b"POST", b"/v1/accumulators", *headers) + body)


def request(method: bytes, target: bytes, *headers: bytes) -> bytes:
    key = b"Authorization: Bearer " + KEYS["operator"].encode()
    lines = [method + b" " + target + b" HTTP/1.1", b"Host: x", key, *headers]
    return b"\r\n".join([*lines, b"", b""])


@pytest.fixture
def wire(service: Service) -> Iterator[Wire]:
    gateway = Gateway(DOCUMENT, service.pool, port=0)
    gateway.start()
    wire = Wire(gateway)
    yield wire
    assert wire.get(b"/v1/accumulators").status == 200, "the gateway lives"
    service.check_invariants()
    gateway.stop()


# --- addresses --------------------------------------------------------------------------------


STRANGE_ADDRESSES = [
    b"/v1/../../../etc/passwd",
    b"/v1/cabinets/../../../../etc/passwd",
    b"/v1/cabinets/..%2f..%2fetc%2fpasswd",
    b"/v1/cabinets/%2e%2e/%2e%2e",
    b"/v1/cabinets/%252e%252e%252f",
    b"/v1/cabinets/%c0%ae%c0%ae/",
    b"/v1/cabinets/%c0%af",
    b"/v1/cabinets/%e0%80%af",
    b"/v1/cabinets/\xff\xfe",
    b"/v1/cabinets/%00",
    b"/v1/cabinets/C-1%00",
    b"/v1/cabinets/C-1%0d%0aX-Evil:%201",
    b"/v1/cabinets/%",
    b"/v1/cabinets/%zz",
    b"/v1/cabinets/%u0041",
    b"/v1/cabinets/C-1;a=b",
    b"/v1/cabinets/..\\..\\windows",
    b"/v1//cabinets",
    b"/V1/cabinets",
    b"/v1/cabinets%2fC-1",
    b"/v1/cabinets.json",
    b"/docs/../local/gateway.py",
    b"/docs/%2e%2e/%2e%2e/etc/passwd",
    b"/docs//etc/passwd",
    b"/docs/swagger-ui.css%00.js",
    b"/docs/swagger-ui.css/..",
    b"http://[::1/v1/cabinets",
    b"//[v1/cabinets",
    b"*",
    b"x",
    b"/v1/cabinets/" + b"x" * 60_000,
    b"/v1/cabinets/" + b"x" * 70_000,
]


def test_a_strange_address_is_refused(wire: Wire) -> None:
    for target in STRANGE_ADDRESSES:
        answer = wire.get(target)
        assert answer.status in {400, 404, 414}, target
        assert b"root:" not in answer.raw
        assert "X-Evil" not in answer.headers


def test_an_address_may_name_a_host_that_nobody_listens_to(wire: Wire) -> None:
    answer = wire.get(b"http://elsewhere.example/v1/accumulators")
    assert (answer.status, json.loads(answer.raw)["accumulators"]) == (200, [])


def test_thousands_of_parameters_are_refused_with_few_words(wire: Wire) -> None:
    for query in (
        b"&".join(b"a%d=1" % n for n in range(5000)),
        b"&".join([b"limit=1"] * 5000),
        b"=&" * 20_000,
        b"%00=%ff&" * 5000,
        b"limit[]=1&limit[$gt]=1",
    ):
        answer = wire.get(b"/v1/accumulators?" + query)
        assert (answer.status, answer.code) == (400, "invalid_request")
        assert len(json.loads(answer.raw)["errors"]) <= 20


# --- methods and headers ----------------------------------------------------------------------


def test_no_header_makes_another_method_or_path_of_it(wire: Wire, service: Service) -> None:
    service.post("/v1/accumulators", {"accumulator_id": "A-1"})
    answer = wire.get(
        b"/v1/accumulators/A-1",
        b"X-HTTP-Method-Override: DELETE",
        b"X-HTTP-Method: DELETE",
        b"X-Method-Override: DELETE",
        b"X-Original-URL: /v1/stats",
        b"X-Rewrite-URL: /v1/stats",
    )
    assert json.loads(answer.raw)["accumulator_id"] == "A-1"
    assert wire.get(b"/v1/accumulators/A-1?_method=DELETE").status == 400
    assert service.get("/v1/accumulators/A-1")["status"] == "in_service"


STRANGE_METHODS = [b"TRACE", b"CONNECT", b"OPTIONS", b"PUT", b"G\xcbT", b"X" * 999]


def test_a_method_that_is_not_known_is_no_route(wire: Wire) -> None:
    for method in STRANGE_METHODS:
        answer = wire.send(request(method, b"/v1/accumulators"))
        assert (answer.status, answer.code) == (404, "route_not_found"), method


def test_no_header_tells_the_function_who_calls(wire: Wire) -> None:
    scope = b'{"name":"operator","scope":"operator"}'
    answer = wire.send(
        b"GET /v1/accumulators HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer guessed\r\n"
        b"X-Authorizer: " + scope + b"\r\nX-Scope: operator\r\nX-Caller: operator\r\n"
        b"requestContext: " + scope + b"\r\n\r\n"
    )
    assert (answer.status, answer.code) == (403, "forbidden")


def test_the_request_id_is_the_gateways_own(wire: Wire) -> None:
    answer = wire.get(b"/v1/accumulators", b"X-Request-Id: mine")
    assert answer.headers["X-Request-Id"] != "mine"


STRANGE_HEADERS = [
    b"X: a\rX-Evil: 1",
    b"X: a\x00b",
    b"X: \xff\xfe",
    b"User-Agent: \xff\x00",
    b"Cookie: \xff=\xfe; a; =; b=\x00",
    b"X-Forwarded-For: ' OR 1=1 --, \xff",
    b"Host: <script>",
    b"Content-Type: \xff/\xff; charset=\xff",
    b"Accept: " + b"x/y," * 10_000,
    b"X: " + b"x" * 60_000,
    b"X: a\r\n folded",
]


def test_a_strange_header_changes_nothing(wire: Wire) -> None:
    for header in STRANGE_HEADERS:
        answer = wire.get(b"/v1/accumulators", header)
        assert answer.status == 200, header
        assert "X-Evil" not in answer.headers


def test_too_long_or_too_many_headers_are_refused(wire: Wire) -> None:
    assert wire.get(b"/v1/accumulators", b"X: " + b"x" * 70_000).status == 431
    assert wire.get(b"/v1/accumulators", *[b"X: x"] * 150).status == 431


STRANGE_KEYS = [b"", b" ", b"\xff", b"a b", b"x" * 129, b"a\x00", b"a\tb", b"a\r\n\tb"]


def test_an_idempotency_key_of_other_characters_is_refused(wire: Wire) -> None:
    for key in STRANGE_KEYS:
        length = b"Content-Length: %d" % len(BODY)
        answer = wire.post(BODY, length, b"Idempotency-Key: " + key)
        told = json.loads(answer.raw).get("errors", [])
        assert [fault["field"] for fault in told] == ["Idempotency-Key"], key


def test_every_visible_character_may_be_in_an_idempotency_key(wire: Wire) -> None:
    key = b"Idempotency-Key: " + bytes(range(33, 127))
    length = b"Content-Length: %d" % len(BODY)
    first, second = wire.post(BODY, length, key), wire.post(BODY, length, key)
    assert (first.status, second.status) == (201, 201)
    assert second.headers["Idempotency-Replayed"] == "true"


def test_a_key_that_differs_in_a_byte_opens_nothing(wire: Wire) -> None:
    key = KEYS["read"].encode()
    for at in range(len(key)):
        for other in (key[:at] + bytes([key[at] ^ 1]) + key[at + 1 :], key[:at] + key[at + 1 :]):
            lines = b"GET /v1/accumulators HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer "
            assert wire.send(lines + other + b"\r\n\r\n").status == 403


# --- bodies -----------------------------------------------------------------------------------


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
