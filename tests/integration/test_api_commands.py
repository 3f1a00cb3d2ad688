"""Commands over HTTP: any registered one, and what became of it."""

from typing import Any

import pytest

from local import examples
from local.cabinet.hardware import Firmware
from shared.commands import registry
from tests.service import Answer, Service

KINDS = sorted(registry())
NOBODY = "00000000-0000-4000-8000-000000000000"


def send(service: Service, key: str = "operator", **body: Any) -> Answer:
    body = {"kind": "unlock", "cells": [1], "reason": "stuck"} | body
    return service.call("POST", "/v1/cabinets/C-1/commands", body, key=key)


@pytest.mark.parametrize("kind", KINDS)
def test_every_registered_command_can_be_sent_answered_and_looked_up(
    service: Service, kind: str
) -> None:
    service.add_cabinet(cells=6)
    asked = examples.COMMANDS[kind]
    body = asked | {"reason": "a test"}
    answer = service.call("POST", "/v1/cabinets/C-1/commands", body, key="operator")
    assert (answer.status, answer.body["status"]) == (200, "succeeded")
    assert {"kind": kind, **answer.body["payload"]} == asked
    assert (answer.body["cabinet_id"], answer.body["reason"]) == ("C-1", "a test")
    assert answer.body["published_at"] is not None
    assert answer.body["finished_at"] is not None
    assert service.get(f"/v1/commands/{answer.body['command_id']}") == answer.body
    [(device_id, published)] = service.queue.published
    assert device_id == "C-1"
    assert asked.items() <= published.items()
    assert published["command_id"] == answer.body["command_id"]


@pytest.mark.parametrize("kind", KINDS)
def test_a_commands_own_scope_decides_who_may_send_it(service: Service, kind: str) -> None:
    service.add_cabinet(cells=6)
    body = examples.COMMANDS[kind] | {"reason": "a test"}
    order = ["read", "backend", "operator"]
    for scope in order:
        answer = service.call("POST", "/v1/cabinets/C-1/commands", body, key=scope)
        allowed = order.index(scope) >= max(1, order.index(registry()[kind].scope))
        assert answer.status == (200 if allowed else 403)


def test_a_command_tells_what_became_of_each_cell(service: Service) -> None:
    service.add_cabinet(charges=[98], cells=2).cells[2].lock = "jammed"
    answer = send(service, cells=[1, 2])
    assert answer.body["status"] == "partially_succeeded"
    assert [(c["cell_number"], c["accumulator_id"], c["result"]) for c in answer.body["cells"]] == [
        (1, "C-1.A-1", "opened"),
        (2, None, "jammed"),
    ]


def test_a_command_that_failed_everywhere_is_told_as_failed(service: Service) -> None:
    service.add_cabinet(cells=1).cells[1].lock = "jammed"
    answer = send(service)
    assert (answer.status, answer.body["status"]) == (200, "failed")


def test_a_cabinets_refusal_is_told_with_its_reason(service: Service) -> None:
    service.add_cabinet().firmware = Firmware(refuses="updating")
    answer = send(service)
    assert (answer.status, answer.body["code"]) == (502, "cabinet_rejected")
    assert answer.body["reason"] == "updating"


def test_silence_is_told_with_the_commands_id(service: Service) -> None:
    service.add_cabinet()
    service.lose_commands = True
    answer = send(service)
    assert (answer.status, answer.body["code"]) == (504, "cabinet_no_answer")
    found = service.get(f"/v1/commands/{answer.body['command_id']}")
    assert (found["status"], found["finished_at"]) == ("no_answer", None)


def test_an_answer_after_the_silence_is_still_applied(service: Service) -> None:
    service.add_cabinet()
    service.hold_messages = True
    command_id = send(service).body["command_id"]
    service.deliver_waiting()
    found = service.get(f"/v1/commands/{command_id}")
    assert (found["status"], found["late"]) == ("succeeded", True)


def test_a_queue_that_is_down_is_told_and_nothing_was_sent(service: Service) -> None:
    service.add_cabinet()
    service.queue.down = True
    answer = send(service)
    assert (answer.status, answer.body["code"]) == (503, "queue_unavailable")
    assert answer.headers["Retry-After"] == "1"
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
        ({"command_id": NOBODY}, "unlock.command_id"),
    ],
    ids=str,
)
def test_a_command_that_cannot_be_is_refused(
    service: Service, body: dict[str, Any], field: str
) -> None:
    service.add_cabinet()
    answer = send(service, **body)
    assert answer.status == 400
    assert [fault["field"] for fault in answer.body["errors"]] == [field]
    assert service.queue.published == []


def test_a_command_for_a_cell_that_the_cabinet_has_not_is_not_sent(service: Service) -> None:
    service.add_cabinet(cells=2)
    answer = send(service, cells=[1, 3])
    assert (answer.status, answer.body["code"]) == (404, "cell_not_found")
    assert service.queue.published == []


@pytest.mark.parametrize("name", [NOBODY, "nonsense", "1"])
def test_a_command_that_is_unknown_is_not_found(service: Service, name: str) -> None:
    answer = service.call("GET", f"/v1/commands/{name}")
    assert (answer.status, answer.body["code"]) == (404, "command_not_found")


def test_an_operators_unlock_of_an_occupied_cell_is_no_anomaly_by_itself(
    service: Service,
) -> None:
    service.add_cabinet(charges=[98])
    assert send(service).status == 200
    assert service.anomalies() == []
    service.check_invariants()
