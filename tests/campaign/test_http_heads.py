"""Addresses, methods and headers that no honest client sends: refused, and nothing breaks."""

import json
from collections.abc import Iterator

import pytest

from tests.campaign.wire import BODY, Wire, request, wire_to
from tests.service import KEYS, Service


@pytest.fixture
def wire(service: Service) -> Iterator[Wire]:
    with wire_to(service) as wire:
        yield wire


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
