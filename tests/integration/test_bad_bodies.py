"""Bad bodies: whatever is sent, the answer names what is wrong, and nothing breaks."""

import json
from collections.abc import Iterator

import pytest

from local.postgres import Postgres
from shared.api import Route
from tests.integration.good_requests import (
    WITH_BODY,
    event_of,
    fields,
    good_body,
    invoke,
    path_of,
    refusing,
    send,
)
from tests.service import Service

REQUIRED = {
    "register_cabinet": {"cabinet_id", "coords", "cells_total"},
    "change_cabinet": set(),
    "change_cell": {"health", "reason"},
    "send_command": {"kind", "cells", "reason"},
    "register_accumulator": {"accumulator_id"},
    "correct_accumulator": {"reason"},
    "create_booking": {"cabinet_id", "contractor_id", "kind", "count"},
    "create_swap": {"scooter_id", "contractor_id", "installed_accumulator_id"},
}
each_body = pytest.mark.parametrize("route", WITH_BODY.values(), ids=WITH_BODY)


@pytest.fixture(scope="module")
def service(postgres: Postgres, template: str) -> Iterator[Service]:
    """One for the whole file: what is refused changes nothing."""
    with refusing(postgres, template) as service:
        yield service


NO_JSON_OBJECTS = {
    "nothing": b"",
    "cut": b"{",
    "null": b"null",
    "a list": b"[]",
    "a text": b'"x"',
    "a number": b"1",
    "NaN": b"NaN",
    "no UTF-8": b"\xff\xfe",
    "two": b"{}{}",
    "deep lists": b"[" * 100_000,
    "deep objects": b'{"a":' * 50_000 + b"1" + b"}" * 50_000,
    "a huge number": b"9" * 100_000,
    "NUL": b"\x00",
    "single quotes": b"{'a': 1}",
    "half a megabyte": b'"' + b"x" * 500_000 + b'"',
}


@each_body
def test_a_body_that_is_no_json_object_is_refused(service: Service, route: Route) -> None:
    for name, raw in NO_JSON_OBJECTS.items():
        assert fields(send(service, route, raw)) == ["body"], name


@each_body
def test_a_field_that_is_not_known_is_refused_by_its_name(service: Service, route: Route) -> None:
    answer = send(service, route, json.dumps(good_body(route) | {"colour": "red"}).encode())
    assert [name.split(".")[-1] for name in fields(answer)] == ["colour"]


@each_body
def test_a_field_that_is_missing_is_named(service: Service, route: Route) -> None:
    for name in REQUIRED[route.operation_id]:
        body = good_body(route)
        del body[name]
        told = fields(send(service, route, json.dumps(body).encode()))
        # Of a command without its kind nothing can be said but that.
        assert all(name in field.split(".") or (name, field) == ("kind", "body") for field in told)


@each_body
def test_a_body_that_is_empty_names_all_that_is_missing(service: Service, route: Route) -> None:
    told = fields(send(service, route, b"{}"))
    without_a_name = route.operation_id in {"send_command", "change_cabinet"}
    assert told == ["body"] if without_a_name else REQUIRED[route.operation_id] <= set(told)


WRONG = {
    "an object": "{}",
    "a deep object": '{"a":' * 200 + "1" + "}" * 200,
    "NUL": '"\\u0000"',
    "half a surrogate pair": '"\\ud800"',
    "a huge whole number": "9" * 5000,
    "a huge number": "1e999",
    "a negative number": "-1",
    "a fraction": "0.5",
    "infinity": "Infinity",
    "a list of null": "[null]",
    "unicode": '"шкаф \\u202e"',
    "a long text": json.dumps("x" * 501),
    "an injection": '"\'; drop table cabinets; --"',
}


@each_body
def test_a_field_with_a_value_that_cannot_be_is_named(service: Service, route: Route) -> None:
    for name in good_body(route):
        if name in {"reason", "status_reason", "address"}:
            wrong = {n: v for n, v in WRONG.items() if n not in {"unicode", "an injection"}}
        else:
            wrong = WRONG
        for kind, value in wrong.items():
            body = {**good_body(route), name: "@"}
            raw = json.dumps(body).replace('"@"', value).encode()
            told = fields(send(service, route, raw))
            assert all(name in f.split(".") or f == "body" for f in told), (name, kind, told)


@each_body
def test_a_number_is_not_written_as_a_text_nor_a_truth(service: Service, route: Route) -> None:
    for name, value in good_body(route).items():
        if isinstance(value, int):
            for wrong in (str(value), True, float(value) + 0.25):
                body = good_body(route) | {name: wrong}
                assert name in fields(send(service, route, json.dumps(body).encode()))[0]


@each_body
def test_a_body_may_come_as_base64(service: Service, route: Route) -> None:
    """The gateway encodes what does not call itself JSON."""
    answer = service.call(
        route.method,
        path_of(route),
        key="operator",
        raw=b"{",
        headers={"Content-Type": "application/octet-stream"},
    )
    assert fields(answer) == ["body"]
    event = event_of(route, json.dumps(good_body(route)))
    event["headers"] = {}
    plain = invoke(route, event)
    assert plain["statusCode"] != 400


def test_a_body_in_base64_is_read(service: Service) -> None:
    body = {"accumulator_id": "A-1"}
    answer = service.call(
        "POST",
        "/v1/accumulators",
        raw=json.dumps(body).encode(),
        key="operator",
        headers={"Content-Type": "text/plain"},
    )
    assert answer.status == 201


@pytest.mark.parametrize(
    ("body", "is_base64"),
    [("%%%", True), ("abc", True), ("шкаф", True), ("\ud800", False), (None, False), ("", True)],
    ids=repr,
)
@each_body
def test_a_body_that_cannot_be_decoded_is_refused(
    service: Service,
    route: Route,
    body: str | None,
    is_base64: bool,  # noqa: FBT001 - a parameter
) -> None:
    answer = invoke(route, event_of(route, body, isBase64Encoded=is_base64))
    assert answer["statusCode"] == 400
    assert [f["field"] for f in json.loads(answer["body"])["errors"]] == ["body"]


def test_a_body_that_is_too_large_is_refused_by_the_gateway_and_the_function(
    service: Service,
) -> None:
    route = WITH_BODY["register_accumulator"]
    large = b" " * (2_621_440 + 1)
    answer = send(service, route, large)
    assert (answer.status, answer.body["code"]) == (413, "request_too_large")
    assert invoke(route, event_of(route, large.decode()))["statusCode"] == 413
    assert fields(send(service, route, large[1:])) == ["body"]


def test_no_more_faults_are_told_than_a_person_reads(service: Service) -> None:
    body = {str(number): 1 for number in range(1000)}
    answer = service.call("POST", "/v1/swaps", body)
    assert len(fields(answer)) == 20


def test_an_answer_never_repeats_what_was_sent(service: Service) -> None:
    answer = service.call("POST", "/v1/swaps", {"scooter_id": "hush hush"})
    assert "hush" not in json.dumps(answer.body)
