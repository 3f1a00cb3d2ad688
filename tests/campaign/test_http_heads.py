"""Malformed addresses, methods and headers are refused or have no effect."""

import json

from tests.campaign.raw_client import BODY, RawClient, request
from tests.support.service import KEYS, Service

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
    b"/console/dev/../../local/gateway.py",
    b"/console/dev/app/../../package.json",
    b"/console/dev/app/%2e%2e/package.json",
    b"/console/dev/app/..%2fpackage.json",
    b"/console/dev//etc/passwd",
    b"/console/dev/app/app.js%00.css",
    b"/console/dev/app/app.js/",
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


def test_a_strange_address_is_refused(client: RawClient) -> None:
    for target in STRANGE_ADDRESSES:
        response = client.get(target)
        assert response.status in {400, 404, 414}, target
        assert b"root:" not in response.raw
        assert "X-Evil" not in response.headers


def test_the_host_in_an_absolute_address_is_ignored(client: RawClient) -> None:
    response = client.get(b"http://elsewhere.example/v1/accumulators")
    assert (response.status, json.loads(response.raw)["accumulators"]) == (200, [])


def test_thousands_of_parameters_are_refused_with_at_most_20_errors(client: RawClient) -> None:
    for query in (
        b"&".join(b"a%d=1" % n for n in range(5000)),
        b"&".join([b"limit=1"] * 5000),
        b"=&" * 20_000,
        b"%00=%ff&" * 5000,
        b"limit[]=1&limit[$gt]=1",
    ):
        response = client.get(b"/v1/accumulators?" + query)
        assert (response.status, response.code) == (400, "invalid_request")
        assert len(json.loads(response.raw)["errors"]) <= 20


# --- methods and headers ----------------------------------------------------------------------


def test_no_header_changes_the_method_or_the_path(client: RawClient, service: Service) -> None:
    service.post("/v1/accumulators", {"accumulator_id": "A-1"})
    response = client.get(
        b"/v1/accumulators/A-1",
        b"X-HTTP-Method-Override: DELETE",
        b"X-HTTP-Method: DELETE",
        b"X-Method-Override: DELETE",
        b"X-Original-URL: /v1/stats",
        b"X-Rewrite-URL: /v1/stats",
    )
    assert json.loads(response.raw)["accumulator_id"] == "A-1"
    assert client.get(b"/v1/accumulators/A-1?_method=DELETE").status == 400
    assert service.get("/v1/accumulators/A-1")["status"] == "in_service"


STRANGE_METHODS = [b"TRACE", b"CONNECT", b"OPTIONS", b"PUT", b"G\xcbT", b"X" * 999]


def test_an_unknown_method_is_404(client: RawClient) -> None:
    for method in STRANGE_METHODS:
        response = client.send(request(method, b"/v1/accumulators"))
        assert (response.status, response.code) == (405, "method_not_allowed"), method


def test_no_header_sets_the_caller_or_its_scope(client: RawClient) -> None:
    scope = b'{"name":"operator","scope":"operator"}'
    response = client.send(
        b"GET /v1/accumulators HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer guessed\r\n"
        b"X-Authorizer: " + scope + b"\r\nX-Scope: operator\r\nX-Caller: operator\r\n"
        b"requestContext: " + scope + b"\r\n\r\n"
    )
    assert (response.status, response.code) == (403, "forbidden")


def test_the_gateway_ignores_a_request_id_of_the_client(client: RawClient) -> None:
    response = client.get(b"/v1/accumulators", b"X-Request-Id: mine")
    assert response.headers["X-Request-Id"] != "mine"


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


def test_a_strange_header_changes_nothing(client: RawClient) -> None:
    for header in STRANGE_HEADERS:
        response = client.get(b"/v1/accumulators", header)
        assert response.status == 200, header
        assert "X-Evil" not in response.headers


def test_too_long_or_too_many_headers_are_refused(client: RawClient) -> None:
    assert client.get(b"/v1/accumulators", b"X: " + b"x" * 70_000).status == 431
    assert client.get(b"/v1/accumulators", *[b"X: x"] * 150).status == 431


INVALID_KEYS = [b"", b" ", b"\xff", b"a b", b"x" * 129, b"a\x00", b"a\tb", b"a\r\n\tb"]


def test_an_invalid_idempotency_key_is_refused(
    client: RawClient,
) -> None:
    for key in INVALID_KEYS:
        length = b"Content-Length: %d" % len(BODY)
        response = client.post(BODY, length, b"Idempotency-Key: " + key)
        errors = json.loads(response.raw).get("errors", [])
        assert [error["field"] for error in errors] == ["Idempotency-Key"], key


def test_an_idempotency_key_may_contain_every_visible_character(client: RawClient) -> None:
    key = b"Idempotency-Key: " + bytes(range(33, 127))
    length = b"Content-Length: %d" % len(BODY)
    first, second = client.post(BODY, length, key), client.post(BODY, length, key)
    assert (first.status, second.status) == (201, 201)
    assert second.headers["Idempotency-Replayed"] == "true"


def test_an_api_key_that_differs_in_one_byte_is_refused(client: RawClient) -> None:
    key = KEYS["read"].encode()
    for at in range(len(key)):
        for other in (key[:at] + bytes([key[at] ^ 1]) + key[at + 1 :], key[:at] + key[at + 1 :]):
            lines = b"GET /v1/accumulators HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer "
            assert client.send(lines + other + b"\r\n\r\n").status == 403
