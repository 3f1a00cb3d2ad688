"""Commands over HTTP: every registered kind, and its outcome."""

from typing import Any

import pytest

from local import examples
from local.cabinet.hardware import Firmware
from shared.commands import registry
from tests.integration.api_calls import unlock_without_booking
from tests.support.service import Service

KINDS = sorted(registry())
UNKNOWN_ID = "00000000-0000-4000-8000-000000000000"


@pytest.mark.parametrize("kind", KINDS)
def test_every_registered_command_can_be_sent_and_looked_up(service: Service, kind: str) -> None:
    service.add_cabinet(cells=6)
    command = examples.COMMANDS[kind]
    body = command | {"reason": "a test"}
    response = service.call("POST", "/v1/cabinets/C-1/commands", body, key="operator")
    assert (response.status, response.body["status"]) == (200, "succeeded")
    assert {"kind": kind, **response.body["payload"]} == command
    assert (response.body["cabinet_id"], response.body["reason"]) == ("C-1", "a test")
    assert response.body["published_at"] is not None
    assert response.body["finished_at"] is not None
    assert service.get(f"/v1/commands/{response.body['command_id']}") == response.body
    [(device_id, published)] = service.queue.published
    assert device_id == "C-1"
    assert command.items() <= published.items()
    assert published["command_id"] == response.body["command_id"]


@pytest.mark.parametrize("kind", KINDS)
def test_a_commands_own_scope_decides_who_may_send_it(service: Service, kind: str) -> None:
    service.add_cabinet(cells=6)
    body = examples.COMMANDS[kind] | {"reason": "a test"}
    scopes = ["read", "backend", "operator"]
    for scope in scopes:
        response = service.call("POST", "/v1/cabinets/C-1/commands", body, key=scope)
        allowed = scopes.index(scope) >= max(1, scopes.index(registry()[kind].scope))
        assert response.status == (200 if allowed else 403)


def test_a_command_returns_the_result_of_each_cell(service: Service) -> None:
    service.add_cabinet(charges=[98], cells=2).cells[2].lock = "jammed"
    response = unlock_without_booking(service, cells=[1, 2])
    assert response.body["status"] == "partially_succeeded"
    assert [
        (c["cell_number"], c["accumulator_id"], c["result"]) for c in response.body["cells"]
    ] == [
        (1, "C-1.A-1", "opened"),
        (2, None, "jammed"),
    ]


def test_a_command_that_failed_in_every_cell_has_failed(service: Service) -> None:
    service.add_cabinet(cells=1).cells[1].lock = "jammed"
    response = unlock_without_booking(service)
    assert (response.status, response.body["status"]) == (200, "failed")


def test_a_rejected_command_is_502_with_the_cabinets_reason(service: Service) -> None:
    service.add_cabinet().firmware = Firmware(refuses="updating")
    response = unlock_without_booking(service)
    assert (response.status, response.body["code"]) == (502, "cabinet_rejected")
    assert response.body["reason"] == "updating"


def test_an_unanswered_command_is_504_with_its_id(service: Service) -> None:
    service.add_cabinet()
    service.lose_commands = True
    response = unlock_without_booking(service)
    assert (response.status, response.body["code"]) == (504, "cabinet_no_answer")
    found = service.get(f"/v1/commands/{response.body['command_id']}")
    assert (found["status"], found["finished_at"]) == ("no_answer", None)


def test_a_reply_after_the_time_out_is_applied(service: Service) -> None:
    service.add_cabinet()
    service.hold_messages = True
    command_id = unlock_without_booking(service).body["command_id"]
    service.deliver_held_messages()
    found = service.get(f"/v1/commands/{command_id}")
    assert (found["status"], found["late"]) == ("succeeded", True)


def test_a_command_is_503_and_not_published_while_the_queue_is_down(service: Service) -> None:
    service.add_cabinet()
    service.queue.down = True
    response = unlock_without_booking(service)
    assert (response.status, response.body["code"]) == (503, "queue_unavailable")
    assert response.headers["Retry-After"] == "1"
    [row] = service.sql("SELECT status FROM commands")
    assert row["status"] == "not_published"


@pytest.mark.parametrize(
    ("body", "field"),
    [
        ({"kind": "explode"}, "body"),
        ({"kind": None}, "body"),
        ({"cells": []}, "unlock.cells"),
        ({"cells": [1, "2"]}, "unlock.cells.1"),
        ({"cells": list(range(1, 52))}, "unlock.cells"),
        ({"cells": [1001]}, "unlock.cells.0"),
        ({"reason": ""}, "unlock.reason"),
        ({"reason": None}, "unlock.reason"),
        ({"colour": "red"}, "unlock.colour"),
        ({"command_id": UNKNOWN_ID}, "unlock.command_id"),
    ],
    ids=str,
)
def test_an_invalid_command_is_refused(service: Service, body: dict[str, Any], field: str) -> None:
    service.add_cabinet()
    response = unlock_without_booking(service, **body)
    assert response.status == 400
    assert [fault["field"] for fault in response.body["errors"]] == [field]
    assert service.queue.published == []


def test_a_command_for_an_unknown_cell_is_not_sent(service: Service) -> None:
    service.add_cabinet(cells=2)
    response = unlock_without_booking(service, cells=[1, 3])
    assert (response.status, response.body["code"]) == (404, "cell_not_found")
    assert service.queue.published == []


@pytest.mark.parametrize("name", [UNKNOWN_ID, "nonsense", "1"])
def test_an_unknown_command_is_not_found(service: Service, name: str) -> None:
    response = service.call("GET", f"/v1/commands/{name}")
    assert (response.status, response.body["code"]) == (404, "command_not_found")


def test_an_operators_unlock_of_an_occupied_cell_is_no_anomaly(
    service: Service,
) -> None:
    service.add_cabinet(charges=[98])
    assert unlock_without_booking(service).status == 200
    assert service.anomalies() == []
    service.check_invariants()
