"""Reading of JSON bodies: byte-order marks, and whole numbers with a point or an exponent."""

import json
import re
from typing import Any

import pytest

from local import examples
from shared.api import Route, handling
from shared.errors import InvalidRequest
from tests.support.routes import ROUTES

WITH_BODY = {route.operation_id: route for route in ROUTES.values() if route.body is not None}
BOOKING = {"cabinet_id": "C-1", "contractor_id": "T-1", "kind": "issue", "count": 10}


def read(route: Route, raw: bytes) -> Any:
    assert route.body
    return handling._body(route.body, raw)


def booking(count: str) -> bytes:
    return json.dumps(BOOKING | {"count": "@"}).replace('"@"', count).encode()


def _with(suffix: str, token: str) -> str:
    return token + suffix if token.isdigit() else token


@pytest.mark.parametrize("suffix", [".0", ".000", "e0", "E+0", ".0e0"])
@pytest.mark.parametrize("route", WITH_BODY.values(), ids=WITH_BODY)
def test_every_whole_number_may_have_a_point_or_an_exponent(route: Route, suffix: str) -> None:
    for example in examples.REQUESTS[route.operation_id].values():
        plain = json.dumps(example)
        rewritten = re.sub(r"\"[^\"]*\"|[\d.]+", lambda n: _with(suffix, n[0]), plain)
        assert read(route, rewritten.encode()) == read(route, plain.encode())


@pytest.mark.parametrize("count", ["1e1", "1E+1", "100e-1", "10.0", "0.1e2"])
def test_a_whole_number_has_its_numeric_value(count: str) -> None:
    assert read(WITH_BODY["create_booking"], booking(count)).count == 10


@pytest.mark.parametrize(
    "count",
    ['"1"', '"1.0"', "true", "1.5", "1e-1", "1e400", "NaN", "1e300", "[1]", "1.0.0"],
)
def test_what_is_not_a_whole_number_is_refused(count: str) -> None:
    with pytest.raises(InvalidRequest) as refused:
        read(WITH_BODY["create_booking"], booking(count))
    assert [fault["field"] for fault in refused.value.errors] in (["count"], ["body"])


def test_a_fraction_stays_a_fraction() -> None:
    body = b'{"cabinet_id": "C-1", "coords": {"lat": 55.5, "lon": 37.0}, "cells_total": 1.0}'
    request = read(WITH_BODY["register_cabinet"], body)
    assert (request.coords.lat, request.coords.lon, request.cells_total) == (55.5, 37.0, 1)


def test_a_byte_order_mark_before_a_body_is_skipped() -> None:
    route = WITH_BODY["create_booking"]
    assert read(route, b"\xef\xbb\xbf" + booking("10")) == read(route, booking("10"))
    for raw in (b"\xef\xbb\xbf\xef\xbb\xbf" + booking("10"), booking("10") + b"\xef\xbb\xbf"):
        with pytest.raises(InvalidRequest):
            read(route, raw)
