"""The local gateway on a real socket."""

import http.client
import json
import socket
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, closing
from typing import Any

import pytest

from local import CannotStart
from local.functions import FunctionPool
from local.gateway import Gateway, Routes
from tests.support.waiting import slowdown

SECONDS = 20.0


def document() -> dict[str, Any]:
    operation = {
        "operationId": "act",
        "x-yc-apigateway-integration": {
            "type": "cloud_functions",
            "function_id": "${function_ids.booking}",
            "payload_format_version": "1.0",
        },
    }
    return {"openapi": "3.0.3", "paths": {"/v1/act": {"get": operation, "post": operation}}}


class Booking:
    """A function that waits for `seconds`, for all callers and until it is released."""

    def __init__(self) -> None:
        self.seconds = 0.0
        self.all_entered = threading.Barrier(1)
        self.entered = threading.Event()
        self.release = threading.Event()
        self.release.set()

    def handler(self, event: Any, _: Any) -> dict[str, Any]:
        self.entered.set()
        self.all_entered.wait(SECONDS)
        threading.Event().wait(self.seconds)
        self.release.wait(30)
        return {"statusCode": 200, "body": str(len(event["body"]))}


@pytest.fixture
def booking() -> Iterator[Booking]:
    booking = Booking()
    yield booking
    booking.release.set()


@pytest.fixture
def gateway(booking: Booking) -> Iterator[Gateway]:
    pool = FunctionPool({"booking": booking.handler})
    gateway = Gateway(Routes(document()), pool, port=0)
    gateway.start()
    yield gateway
    gateway.stop()
    pool.close()


Connect = Callable[[Gateway], http.client.HTTPConnection]


@pytest.fixture
def connect() -> Iterator[Connect]:
    with ExitStack() as connections:
        yield lambda gateway: connections.enter_context(
            closing(http.client.HTTPConnection("127.0.0.1", port(gateway), timeout=SECONDS))
        )


def send(connection: http.client.HTTPConnection, method: str = "GET", body: Any = None) -> Any:
    headers = {"Content-Type": "application/json"}
    connection.request(method, "/v1/act", body=body, headers=headers)
    response = connection.getresponse()
    return response.status, response.read()


def send_once(gateway: Gateway) -> Any:
    connection = http.client.HTTPConnection("127.0.0.1", port(gateway), timeout=SECONDS)
    with closing(connection):
        return send(connection)


def is_true_within(seconds: float, condition: Callable[[], bool]) -> bool:
    deadline = time.monotonic() + seconds
    while not condition() and time.monotonic() < deadline:
        threading.Event().wait(0.01)
    return condition()


def serving_threads() -> set[threading.Thread]:
    return {thread for thread in threading.enumerate() if "process_request" in thread.name}


def test_64_requests_are_served_concurrently(gateway: Gateway, booking: Booking) -> None:
    booking.all_entered = threading.Barrier(64)
    with ThreadPoolExecutor(64) as clients:
        responses = list(clients.map(lambda _: send_once(gateway), range(64)))
    assert responses == [(200, b"0")] * 64


def test_a_connection_is_kept_alive_for_further_requests(
    gateway: Gateway, connect: Connect
) -> None:
    connection = connect(gateway)
    assert send(connection) == (200, b"0")
    kept = connection.sock
    assert send(connection, "POST", b'"abc"') == (200, b"5")
    assert send(connection) == (200, b"0")
    assert connection.sock is kept is not None


def test_a_connection_is_kept_alive_after_an_oversized_body(
    gateway: Gateway, connect: Connect
) -> None:
    connection = connect(gateway)
    assert send(connection, "POST", b" " * 5_000_000)[0] == 413
    kept = connection.sock
    assert send(connection) == (200, b"0")
    assert connection.sock is kept is not None


def test_a_body_at_the_size_limit_is_accepted(gateway: Gateway, connect: Connect) -> None:
    connection = connect(gateway)
    assert send(connection, "POST", b" " * 2_621_440) == (200, b"2621440")


def test_a_chunked_body_is_accepted(gateway: Gateway, connect: Connect) -> None:
    connection = connect(gateway)
    assert send(connection, "POST", iter([b"[1,", b"2]"])) == (200, b"5")
    assert send(connection) == (200, b"0")


def test_a_chunked_body_over_the_limit_is_413(gateway: Gateway, connect: Connect) -> None:
    connection = connect(gateway)
    assert send(connection, "POST", iter([b" " * 1_000_000] * 3))[0] == 413


def test_expect_100_continue_is_answered(gateway: Gateway) -> None:
    with socket.create_connection(("127.0.0.1", port(gateway)), SECONDS) as client:
        client.sendall(
            b"POST /v1/act HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\n"
            b"Content-Length: 2\r\nExpect: 100-continue\r\n\r\n"
        )
        assert client.recv(100) == b"HTTP/1.1 100 Continue\r\n\r\n"
        client.sendall(b"{}")
        assert client.recv(100).startswith(b"HTTP/1.1 200 ")


def test_malformed_chunks_are_400(gateway: Gateway) -> None:
    with socket.create_connection(("127.0.0.1", port(gateway)), SECONDS) as client:
        client.sendall(
            b"POST /v1/act HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\nnonsense\r\n"
        )
        assert client.recv(100).startswith(b"HTTP/1.1 400 ")


def test_a_disconnected_client_does_not_affect_others(gateway: Gateway, booking: Booking) -> None:
    booking.release.clear()
    client = socket.create_connection(("127.0.0.1", port(gateway)), SECONDS)
    client.sendall(b"GET /v1/act HTTP/1.1\r\nHost: x\r\n\r\n")
    assert booking.entered.wait(SECONDS)
    client.close()
    booking.release.set()
    assert send_once(gateway) == (200, b"0")


def test_a_hanging_function_delays_only_its_own_request(booking: Booking, connect: Connect) -> None:
    def handler(event: Any, _: Any) -> dict[str, Any]:
        return booking.handler(event, None) if event["body"] else {"statusCode": 204}

    booking.release.clear()
    pool = FunctionPool({"booking": handler})
    gateway = Gateway(Routes(document()), pool, port=0, execution_timeout=2)
    gateway.start()
    hanging = connect(gateway)
    with ThreadPoolExecutor(1) as clients:
        response = clients.submit(send, hanging, "POST", b"{}")
        assert booking.entered.wait(SECONDS)
        assert send_once(gateway) == (204, b"")
        status, body = response.result(SECONDS)
    assert (status, json.loads(body)["code"]) == (504, "gateway_timeout")
    gateway.stop()
    pool.close()


def test_stop_is_quick_even_if_a_request_hangs(
    gateway: Gateway, connect: Connect, booking: Booking
) -> None:
    booking.release.clear()
    hanging = connect(gateway)
    hanging.request("GET", "/v1/act")
    assert booking.entered.wait(SECONDS)
    started = time.monotonic()
    gateway.stop()
    assert time.monotonic() - started < 5 * slowdown()
    with pytest.raises(ConnectionError):
        hanging.getresponse()


def test_stop_waits_briefly_for_a_request_in_progress(
    gateway: Gateway, connect: Connect, booking: Booking
) -> None:
    booking.seconds = 0.3
    connection = connect(gateway)
    connection.request("GET", "/v1/act")
    assert booking.entered.wait(SECONDS)
    gateway.stop()
    assert connection.getresponse().read() == b"0"


def test_stop_closes_idle_connections_and_their_threads(gateway: Gateway, connect: Connect) -> None:
    before = serving_threads()  # of other tests' gateways
    connection = connect(gateway)
    assert send(connection) == (200, b"0")
    serving = serving_threads() - before
    assert serving
    gateway.stop()
    assert connection.sock is not None
    assert connection.sock.recv(1) == b""
    assert is_true_within(SECONDS, lambda: not any(thread.is_alive() for thread in serving))


def test_a_stopped_gateway_releases_its_port(gateway: Gateway) -> None:
    taken = port(gateway)
    gateway.stop()
    with pytest.raises(ConnectionRefusedError):
        socket.create_connection(("127.0.0.1", taken), SECONDS)


def test_a_port_in_use_is_named_with_the_option_to_change_it(gateway: Gateway) -> None:
    second = Gateway(Routes(document()), FunctionPool({}), port=port(gateway))
    with pytest.raises(CannotStart) as caught:
        second.start()
    message = str(caught.value)
    assert f"port {port(gateway)}" in message
    assert "--http-port" in message
    assert "\n" not in message


def port(gateway: Gateway) -> int:
    return int(gateway.url.rpartition(":")[2])
