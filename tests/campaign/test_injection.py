"""Texts that look like SQL, a format string or a script, in every field that takes a text.

They are refused with the name of the field, or stored unchanged.
"""

from datetime import UTC, datetime
from itertools import product
from typing import Any
from urllib.parse import quote
from uuid import UUID

import pytest

from local import examples
from shared import cursor
from shared.api import Route
from tests.support.routes import ROUTES
from tests.support.service import Response, Service, change_settings

TEXTS = [
    "'",
    "''",
    '"',
    "\\'",
    "\\",
    "' OR '1'='1",
    "'; DROP TABLE cabinets; --",
    "'; SELECT pg_sleep(30); --",
    "') ON CONFLICT DO NOTHING; DELETE FROM accumulators; --",
    "$$; DELETE FROM bookings; $$",
    "1) UNION SELECT current_user --",
    "E'\\047'",
    "\u02bc OR 1=1",  # an apostrophe that some databases convert to '
    "%s",
    "%(id)s",
    "%",
    "{}",
    "{0.__class__}",
    "${jndi:ldap://x}",
    "{{7*7}}",
    "<script>alert(1)</script>",
    "\r\nX-Evil: 1",
    "NULL",
    "\u202e",
]
IDS = {
    "cabinet_id": "C-1",
    "cell_number": "1",
    "accumulator_id": "C-1.A-1",
    "booking_id": "00000000-0000-4000-8000-000000000000",
    "command_id": "00000000-0000-4000-8000-000000000000",
    "anomaly_id": "999",
    "contractor_id": "T-1",
    "webhook_id": "00000000-0000-4000-8000-000000000000",
}
GIVEN_BY_THE_SERVICE = {"booking_id", "command_id", "anomaly_id", "webhook_id"}
"""Ids of which an invalid one is like one that does not exist."""
FREE_TEXTS = {"address", "note", "reason", "status_reason"}
"""Fields of bodies that accept any text."""


@pytest.fixture(autouse=True)
def cabinet(service: Service, monkeypatch: pytest.MonkeyPatch) -> None:
    change_settings(monkeypatch, RATE_LIMIT_PER_SECOND="0")
    service.add_cabinet(charges=[98])


def contents(service: Service) -> list[dict[str, Any]]:
    """Return what a refused request must not change."""
    return service.sql(
        """SELECT (SELECT array_agg(t::text ORDER BY t::text) FROM cabinets t) AS cabinets,
                  (SELECT array_agg(t::text ORDER BY t::text) FROM cells t) AS cells,
                  (SELECT array_agg(t::text ORDER BY t::text) FROM accumulators t) AS accumulators,
                  (SELECT count(*) FROM movements) AS movements,
                  (SELECT count(*) FROM bookings) AS bookings,
                  (SELECT count(*) FROM commands) AS commands,
                  (SELECT count(*) FROM information_schema.tables) AS tables"""
    )


def body_of(route: Route) -> dict[str, Any] | None:
    bodies = examples.REQUESTS.get(route.operation_id)
    return dict(next(iter(bodies.values()))) if bodies else None


def send(
    service: Service, route: Route, query: str = "", body: Any = None, **path: str
) -> Response:
    address = route.path.format(**{n: quote(v, safe="") for n, v in (IDS | path).items()})
    return service.call(route.method, address + query, body, key="operator")


def test_a_text_in_a_path_is_refused(service: Service) -> None:
    before = contents(service)
    for route, text in product(ROUTES.values(), TEXTS):
        for name in route.path_parameters.model_fields:
            response = send(service, route, body=body_of(route), **{name: text})
            fields = [error["field"] for error in response.body.get("errors", [])]
            if (
                name in GIVEN_BY_THE_SERVICE
                or "/" in text
                or (text == "NULL" and name != "cell_number")
            ):
                assert response.status == 404, (route.path, name, text)
            else:
                assert (response.status, fields) == (400, [name]), (route.path, name, text)
    assert contents(service) == before


def test_a_text_in_a_query_is_refused(service: Service) -> None:
    before = contents(service)
    for route, text in product(ROUTES.values(), TEXTS):
        for name in route.query.model_fields:
            is_id = name.endswith(("_id", "_ids", "_by"))
            if text == "NULL" and (is_id or name in {"kind", "q"}):
                continue  # an id like any other
            response = send(service, route, query=f"?{name}={quote(text)}")
            assert [error["field"] for error in response.body["errors"]] == [name], text
    assert contents(service) == before


def test_a_text_in_a_body_is_refused_unless_the_field_is_free(service: Service) -> None:
    before = contents(service)
    for route, text in product(ROUTES.values(), [t for t in TEXTS if t != "NULL"]):
        body = body_of(route) or {}
        for name in body.keys() - FREE_TEXTS:
            response = send(service, route, body={**body, name: text})
            assert response.status == 400, (route.path, name, text)
    assert contents(service) == before


def test_a_free_text_is_stored_unchanged(service: Service) -> None:
    for text in TEXTS:
        changes = {"address": text, "status": "active", "status_reason": text}
        changed = service.patch("/v1/cabinets/C-1", changes)
        assert (changed["address"], changed["status_reason"]) == (text, text)
        cell = {"health": "disabled", "reason": text}
        assert service.patch("/v1/cabinets/C-1/cells/2", cell)["health_reason"] == text
        place = {"contractor_id": f"T-{TEXTS.index(text)}"}
        service.patch("/v1/accumulators/C-1.A-1", {"place": place, "reason": text})
        [last] = service.get("/v1/accumulators/C-1.A-1/movements?limit=1")["movements"]
        assert last["reason"] == text
    service.check_invariants()


@pytest.mark.parametrize(
    "path",
    [
        "/v1/cabinets",
        "/v1/accumulators",
        "/v1/bookings",
        "/v1/accumulators/C-1.A-1/movements",
        "/v1/movements",
    ],
)
def test_a_forged_cursor_is_refused(service: Service, path: str) -> None:
    now, nobody = datetime.now(UTC), UUID(int=0)
    forged: list[tuple[Any, ...]] = [
        *((text,) for text in TEXTS if text != "NULL"),
        *((now, text) for text in TEXTS),
        *((1.5, text) for text in TEXTS if text != "NULL"),
        ("\x00",),
        ("A\x00",),
        ("\ud800",),
        (2**63,),
        (-(2**63) - 1,),
        (10**400,),
        (float("nan"), nobody),
        (float("inf"), "C-1", 1),
        ("infinity", nobody, nobody),
        ([],),
        ({},),
        (None,),
        (True, True),
    ]
    for key in forged:
        response = service.call("GET", f"{path}?cursor={cursor.encode(*key)}")
        assert [error["field"] for error in response.body["errors"]] == ["cursor"], key


def test_a_cursor_may_contain_any_valid_time(service: Service) -> None:
    times = {
        "0001-01-01T00:00:00+00:00": 200,
        "9999-12-31T23:59:59+00:00": 200,
        "2026-01-01T00:00:00+23:59": 200,
        "0001-01-01T00:00:00+23:59": 400,
        "9999-12-31T23:59:59-23:59": 400,
    }
    for time, status in times.items():
        response = service.call("GET", f"/v1/bookings?cursor={cursor.encode(time, UUID(int=0))}")
        assert response.status == status, time


def test_an_idempotency_key_is_stored_unchanged(service: Service) -> None:
    keys = [t for t in TEXTS if t.isascii() and t.isprintable() and " " not in t]
    for number, key in enumerate(keys):
        body = {"accumulator_id": f"K-{number}"}
        headers = {"Idempotency-Key": key}
        for replayed in (None, "true"):
            response = service.call(
                "POST", "/v1/accumulators", body, key="operator", headers=headers
            )
            assert response.status == 201
            assert response.headers.get("Idempotency-Replayed") == replayed, key
    stored = [row["key"] for row in service.sql("SELECT key FROM idempotency_keys")]
    assert sorted(stored) == sorted(keys)


def test_the_texts_of_a_cabinet_are_stored_unchanged(service: Service) -> None:
    for number, text in enumerate(TEXTS):
        head = {"v": 1, "boot_id": text, "seq": 1, "sent_at": text}
        cells = [
            {"cell_number": 1, "door": "closed", "accumulator_id": text, "battery_charge": text},
            {"cell_number": 2, "door": "closed", "accumulator_id": None, "fault": text},
        ]
        report = {"type": "state_report", "command_id": text, "alarms": [text], "cells": cells}
        opened = {"cell_number": 1, "result": text, "accumulator_id": text}
        result = {"command_id": text, "status": "rejected", "reason": text, "cells": [opened]}
        service.send_from("C-1", {**head, "type": "hello", "firmware": text})
        service.send_from("C-1", {**head, **report, "seq": 2})
        service.send_from("C-1", {**head, **result, "type": "command_result", "seq": 3})
        [found] = service.sql("SELECT firmware, alarms, boot_no FROM cabinets")
        assert (found["firmware"], found["alarms"], found["boot_no"]) == (text, [text], number + 2)
        assert service.sql("SELECT fault FROM cells WHERE cell_number = 2")[0]["fault"] == text
    assert service.get("/v1/cabinets/C-1")["alarms"] == [TEXTS[-1]]
    service.check_invariants()


def test_the_ids_of_devices_and_events_are_stored_unchanged(service: Service) -> None:
    names = [text for text in TEXTS if text.isascii() and text.isprintable()]
    for name in names:
        service.deliver((name, b"x"), event_id=name)
    rows = service.sql("SELECT device_id, event_id FROM anomalies WHERE reason = 'unknown_device'")
    assert sorted((row["device_id"], row["event_id"]) for row in rows) == sorted(
        zip(names, names, strict=True)
    )
