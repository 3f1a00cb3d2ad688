"""Invalid bodies: the response names what is wrong."""

import json

import pytest

from shared.api import Route
from tests.integration.http.valid_requests import (
    WITH_BODY,
    api_event,
    fields,
    invoke,
    path_of,
    post_raw,
    valid_body,
)
from tests.support.service import Service

REQUIRED = {
    "register_cabinet": {"cabinet_id", "coords", "cells_total"},
    "import_fleet": set(),
    "change_cabinet": set(),
    "undo_claims": {"since", "reason"},
    "change_cell": {"health", "reason"},
    "send_command": {"kind", "cells", "reason"},
    "register_accumulator": {"accumulator_id"},
    "correct_accumulator": {"reason"},
    "acknowledge_anomaly": {"note"},
    "create_webhook": {"url"},
    "change_webhook": set(),
    "create_booking": {"cabinet_id", "contractor_id", "kind", "count"},
    "create_swap": {"scooter_id", "contractor_id"},
    "create_transfer": {"from_contractor_id", "to_contractor_id", "accumulator_ids"},
}
each_body = pytest.mark.parametrize("route", WITH_BODY.values(), ids=WITH_BODY)


NOT_JSON_OBJECTS = {
    "nothing": b"",
    "truncated": b"{",
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
def test_a_body_that_is_not_a_json_object_is_refused(service: Service, route: Route) -> None:
    for name, raw in NOT_JSON_OBJECTS.items():
        assert fields(post_raw(service, route, raw)) == ["body"], name


@each_body
def test_an_unknown_field_is_named(service: Service, route: Route) -> None:
    response = post_raw(service, route, json.dumps(valid_body(route) | {"colour": "red"}).encode())
    assert [name.split(".")[-1] for name in fields(response)] == ["colour"]


@each_body
def test_a_missing_field_is_named(service: Service, route: Route) -> None:
    for name in REQUIRED[route.operation_id]:
        body = valid_body(route)
        del body[name]
        named = fields(post_raw(service, route, json.dumps(body).encode()))
        # A command without its kind cannot be validated further.
        assert all(name in field.split(".") or (name, field) == ("kind", "body") for field in named)


@each_body
def test_every_missing_field_of_an_empty_body_is_named(service: Service, route: Route) -> None:
    named = fields(post_raw(service, route, b"{}"))
    without_a_name = route.operation_id in {
        "send_command",
        "change_cabinet",
        "change_webhook",
        "import_fleet",
    }
    assert named == ["body"] if without_a_name else REQUIRED[route.operation_id] <= set(named)


INVALID_VALUES = {
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
def test_a_field_with_an_invalid_value_is_named(service: Service, route: Route) -> None:
    for name in valid_body(route):
        if name in {"reason", "status_reason", "address", "note"}:
            wrong = {
                n: v for n, v in INVALID_VALUES.items() if n not in {"unicode", "an injection"}
            }
        else:
            wrong = INVALID_VALUES
        for kind, value in wrong.items():
            if (route.operation_id, kind) == ("import_fleet", "a list of null"):
                continue  # null is an item that fails
            body = {**valid_body(route), name: "@"}
            raw = json.dumps(body).replace('"@"', value).encode()
            named = fields(post_raw(service, route, raw))
            assert all(name in f.split(".") or f == "body" for f in named), (name, kind, named)


@each_body
def test_a_number_given_as_text_or_boolean_is_refused(service: Service, route: Route) -> None:
    for name, value in valid_body(route).items():
        if isinstance(value, int) and not isinstance(value, bool):
            for wrong in (str(value), True, float(value) + 0.25):
                body = valid_body(route) | {name: wrong}
                assert name in fields(post_raw(service, route, json.dumps(body).encode()))[0]


@each_body
def test_a_base64_body_is_validated_as_a_plain_one(service: Service, route: Route) -> None:
    """The gateway encodes every body whose content type is not JSON."""
    response = service.call(
        route.method,
        path_of(route),
        key="operator",
        raw=b"{",
        headers={"Content-Type": "application/octet-stream"},
    )
    assert fields(response) == ["body"]
    event = api_event(route, json.dumps(valid_body(route)))
    event["headers"] = {}
    plain = invoke(route, event)
    # The host in the example of a webhook does not exist.
    assert plain["statusCode"] != 400 or route.operation_id == "create_webhook"


def test_a_base64_body_is_decoded(service: Service) -> None:
    body = {"accumulator_id": "A-1"}
    response = service.call(
        "POST",
        "/v1/accumulators",
        raw=json.dumps(body).encode(),
        key="operator",
        headers={"Content-Type": "text/plain"},
    )
    assert response.status == 201


@pytest.mark.parametrize(
    ("body", "is_base64"),
    [("%%%", True), ("abc", True), ("шкаф", True), ("\ud800", False), (None, False), ("", True)],
    ids=repr,
)
@each_body
def test_an_undecodable_body_is_refused(
    service: Service,
    route: Route,
    body: str | None,
    is_base64: bool,  # noqa: FBT001 - a parameter
) -> None:
    response = invoke(route, api_event(route, body, isBase64Encoded=is_base64))
    assert response["statusCode"] == 400
    assert [f["field"] for f in json.loads(response["body"])["errors"]] == ["body"]


def test_a_body_over_the_size_limit_is_413_from_gateway_and_function(
    service: Service,
) -> None:
    route = WITH_BODY["register_accumulator"]
    large = b" " * (2_621_440 + 1)
    response = post_raw(service, route, large)
    assert (response.status, response.body["code"]) == (413, "request_too_large")
    assert invoke(route, api_event(route, large.decode()))["statusCode"] == 413
    assert fields(post_raw(service, route, large[1:])) == ["body"]


def test_at_most_20_errors_are_listed(service: Service) -> None:
    body = {str(number): 1 for number in range(1000)}
    response = service.call("POST", "/v1/swaps", body)
    assert len(fields(response)) == 20


def test_an_error_response_does_not_echo_the_input(service: Service) -> None:
    response = service.call("POST", "/v1/swaps", {"scooter_id": "hush hush"})
    assert "hush" not in json.dumps(response.body)


def test_a_body_with_a_byte_order_mark_and_points_is_read(service: Service) -> None:
    raw = b'\xef\xbb\xbf{"battery_charge": 5.00e1, "reason": "measured"}'
    response = service.call("PATCH", "/v1/accumulators/C-1.A-1", raw=raw, key="operator")
    assert (response.status, response.body["battery_charge"]) == (200, 50)
