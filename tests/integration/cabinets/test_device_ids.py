"""A broker may be unable to carry some ids in its topics: these devices cannot be registered."""

import pytest

from shared import config
from tests.integration.cabinets.cabinet_requests import MOSCOW, register
from tests.support.service import Response, Service, change_settings

WITHOUT_DOTS = "[A-Za-z0-9_-]+"


def register_or_fail(service: Service, cabinet_id: str, **more: str) -> Response:
    body = {"cabinet_id": cabinet_id, "coords": MOSCOW, "cells_total": 2} | more
    return service.call("POST", "/v1/cabinets", body, key="operator")


def forbid_dots(monkeypatch: pytest.MonkeyPatch) -> None:
    change_settings(monkeypatch, DEVICE_ID_PATTERN=WITHOUT_DOTS)


def check_is_refused(response: Response, device_id: str) -> None:
    assert response.status == 400
    [error] = response.body["errors"]
    assert error["field"] == "device_id"
    assert repr(device_id) in error["message"]
    assert "DEVICE_ID_PATTERN" in error["message"]
    assert "another device_id" in error["message"]


def test_a_device_whose_id_the_broker_cannot_carry_is_refused(
    service: Service, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert register(service, "msk.0")["device_id"] == "msk.0"  # any id, by default
    forbid_dots(monkeypatch)
    check_is_refused(register_or_fail(service, "msk.1"), "msk.1")
    check_is_refused(register_or_fail(service, "C-1", device_id="D.1"), "D.1")
    assert register_or_fail(service, "msk.1", device_id="msk-1").status == 201


def test_a_replaced_device_must_be_one_that_the_broker_can_carry(
    service: Service, monkeypatch: pytest.MonkeyPatch
) -> None:
    register(service, "msk.0")
    forbid_dots(monkeypatch)
    change = {"device_id": "msk.2"}
    check_is_refused(service.call("PATCH", "/v1/cabinets/msk.0", change, key="operator"), "msk.2")
    kept = {"device_id": "msk.0", "address": "Tverskaya 1"}
    assert service.patch("/v1/cabinets/msk.0", kept)["address"] == "Tverskaya 1"
    assert service.patch("/v1/cabinets/msk.0", {"device_id": "msk-0"})["device_id"] == "msk-0"


def test_an_import_refuses_only_the_devices_that_the_broker_cannot_carry(
    service: Service, monkeypatch: pytest.MonkeyPatch
) -> None:
    register(service, "msk.0")
    forbid_dots(monkeypatch)
    items = [
        {"cabinet_id": "msk.0", "coords": MOSCOW, "cells_total": 2},
        {"cabinet_id": "msk.1", "coords": MOSCOW, "cells_total": 2},
        {"cabinet_id": "msk-1", "coords": MOSCOW, "cells_total": 2},
    ]
    results = service.post("/v1/imports", {"cabinets": items})["results"]
    assert [one["result"] for one in results][1:] == ["failed", "created"]
    assert results[0]["result"] != "failed"
    assert "DEVICE_ID_PATTERN" in str(results[1])


def test_a_pattern_that_is_none_is_an_invalid_setting() -> None:
    with pytest.raises(config.SettingsInvalid, match="DEVICE_ID_PATTERN"):
        config.read(config.Settings, {"DEVICE_ID_PATTERN": "["})
