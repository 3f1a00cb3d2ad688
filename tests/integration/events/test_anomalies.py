"""Anomalies over HTTP: lists, what they show, and who has seen them."""

from typing import Any

import pytest

from tests.integration.api_calls import all_pages, refusal
from tests.support.service import Response, Service


def listed(service: Service, query: str = "") -> Any:
    return service.get(f"/v1/anomalies{query}")["anomalies"]


def ids(service: Service, query: str = "") -> list[int]:
    return [anomaly["anomaly_id"] for anomaly in listed(service, query)]


def acknowledge(service: Service, anomaly_id: int, note: str, *, key: str = "operator") -> Response:
    path = f"/v1/anomalies/{anomaly_id}/acknowledge"
    return service.call("POST", path, {"note": note}, key=key)


def send_unreadable(service: Service, *payloads: bytes, cabinet_id: str = "C-1") -> None:
    for payload in payloads:
        service.send_from(cabinet_id, payload)
        service.advance_time(1)


# --- lists ------------------------------------------------------------------------------------


def test_the_anomaly_that_occurred_last_comes_first(service: Service) -> None:
    service.connect("C-1")
    send_unreadable(service, b"one", b'{"v": 2}', b"one")
    assert [(one["detail"][:9], one["count"]) for one in listed(service)] == [
        ("not JSON:", 2),
        ("type: Non", 1),
    ]


@pytest.mark.parametrize(
    "query", [{}, {"cabinet_id": "C-1"}, {"reason": "malformed"}, {"open": "true"}]
)
@pytest.mark.parametrize("limit", [1, 3, 5, 200])
def test_pages_contain_every_anomaly_once_even_at_the_same_time(
    service: Service, limit: int, query: dict[str, str]
) -> None:
    service.connect("C-1")
    messages = [f'{{"v": 1, "type": "t{number}"}}'.encode() for number in range(5)]
    service.send_from("C-1", *messages)
    found = all_pages(service, "/v1/anomalies", "anomalies", limit=limit, **query)
    assert [one["anomaly_id"] for one in found] == sorted(ids(service), reverse=True)
    assert len(found) == 5


@pytest.mark.parametrize(
    ("query", "found"),
    [
        ("reason=malformed", ["C-1", "C-2"]),
        ("reason=unknown_device", [None]),
        ("reason=never_heard_of", []),
        ("cabinet_id=C-2", ["C-2"]),
        ("cabinet_id=C-2&reason=unknown_device", []),
        ("open=false", []),
        ("open=true", ["C-1", "C-2", None]),
    ],
)
def test_anomalies_are_filtered(service: Service, query: str, found: list[str | None]) -> None:
    service.connect("C-1")
    service.connect("C-2")
    service.deliver(("C-1", b"x"), ("C-2", b"y"), ("nobody", b"z"))
    cabinets = {anomaly["cabinet_id"] for anomaly in listed(service, f"?{query}")}
    assert cabinets == set(found)


def test_an_anomaly_names_the_accumulator_that_it_concerns(service: Service) -> None:
    hardware = service.add_cabinet(charges=[95, 90])
    hardware.cells[1].accumulator = None
    service.report()
    [vanished] = listed(service, "?accumulator_id=c-1.a-1")
    assert (vanished["reason"], vanished["accumulator_id"]) == ("vanished", "C-1.A-1")
    assert listed(service, "?accumulator_id=C-1.A-2") == []


def test_the_row_that_counts_what_is_beyond_the_limit_names_no_accumulator(
    service: Service, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("shared.repo.anomalies.MAX_KINDS", 1)
    hardware = service.add_cabinet(charges=[95, 90])
    for number in (1, 2):
        hardware.cells[number].accumulator = None
        service.report()
    assert [(one["detail"], one["accumulator_id"]) for one in listed(service)] == [
        ("more than 1 different ones", None),
        ("cell 1: C-1.A-1", "C-1.A-1"),
    ]


# --- the message ------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("payload", "shown"),
    [
        (b"plain", "plain"),
        ("шкаф".encode(), "шкаф"),
        (b"\xff\x00{", "\\xff\\x00{"),
        (b"\x1b[31m", "\\x1b[31m"),
        ("a\u202eb".encode(), "a\\u202eb"),
        (b"two\nlines\t", "two\nlines\t"),
        (b"", ""),
    ],
)
def test_a_message_is_shown_as_text_that_can_be_shown_anywhere(
    service: Service, payload: bytes, shown: str
) -> None:
    service.connect("C-1")
    service.send_from("C-1", payload)
    [anomaly] = listed(service)
    assert (anomaly["payload"], anomaly["payload_bytes"]) == (shown, len(payload))


@pytest.mark.parametrize("payload", [b"x" * 200_000, "шкаф".encode() * 5_000, b"\xff" * 9_000])
def test_a_long_message_is_cut(service: Service, payload: bytes) -> None:
    service.connect("C-1")
    service.send_from("C-1", payload)
    [anomaly] = listed(service)
    assert (len(anomaly["payload"]), anomaly["payload_bytes"]) == (2000, len(payload))


# --- acknowledging ----------------------------------------------------------------------------


def test_an_acknowledged_anomaly_is_not_open_and_says_who_has_seen_it(service: Service) -> None:
    service.connect("C-1")
    send_unreadable(service, b"one", b'{"v": 2}')
    seen, unseen = ids(service)
    response = acknowledge(service, seen, "new firmware")
    assert response.status == 200
    assert not response.body["open"]
    acknowledged = response.body["acknowledged"]
    assert (acknowledged["by"], acknowledged["note"]) == ("operator", "new firmware")
    assert (ids(service, "?open=true"), ids(service, "?open=false")) == ([unseen], [seen])
    assert listed(service, "?open=false") == [response.body]


def test_the_same_note_again_changes_nothing_and_another_replaces_it(service: Service) -> None:
    service.connect("C-1")
    send_unreadable(service, b"one")
    [anomaly_id] = ids(service)
    first = acknowledge(service, anomaly_id, "seen").body
    assert acknowledge(service, anomaly_id, "seen").body == first
    second = acknowledge(service, anomaly_id, "repaired").body
    assert second["acknowledged"]["note"] == "repaired"
    assert second["acknowledged"]["at"] > first["acknowledged"]["at"]


def test_an_anomaly_that_is_repeated_is_open_again_and_keeps_the_note(service: Service) -> None:
    service.connect("C-1")
    send_unreadable(service, b"one")
    [anomaly_id] = ids(service)
    first = acknowledge(service, anomaly_id, "seen").body
    send_unreadable(service, b"one")
    [anomaly] = listed(service, "?open=true")
    assert (anomaly["count"], anomaly["acknowledged"]["note"]) == (2, "seen")
    again = acknowledge(service, anomaly_id, "seen").body
    assert not again["open"]
    assert again["acknowledged"]["at"] > first["acknowledged"]["at"]


def test_a_redelivered_message_does_not_open_its_anomaly_again(service: Service) -> None:
    service.connect("C-1")
    service.deliver(("C-1", b"one"), event_id="the same")
    [anomaly_id] = ids(service)
    acknowledge(service, anomaly_id, "seen")
    service.deliver(("C-1", b"one"), event_id="the same")
    assert ids(service, "?open=true") == []


@pytest.mark.parametrize("anomaly_id", ["0", "999", "nonsense", "9" * 30])
def test_an_unknown_anomaly_is_not_found(service: Service, anomaly_id: str) -> None:
    path = f"/v1/anomalies/{anomaly_id}/acknowledge"
    assert refusal(service, "POST", path, {"note": "x"}) == (404, "anomaly_not_found")


def test_an_acknowledged_anomaly_is_deleted_90_days_after_it_occurred(service: Service) -> None:
    service.connect("C-1")
    send_unreadable(service, b"old", b'{"v": 2}')
    acknowledge(service, ids(service)[0], "seen")
    service.advance_time(90 * 24 * 3600)
    service.poll()
    assert ids(service) == []
