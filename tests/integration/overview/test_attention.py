"""GET /v1/attention: what needs a person, its order and its counts."""

from typing import Any

import pytest

from shared.models.attention import KINDS
from tests.support.service import Service, running


def attention(service: Service, query: str = "") -> Any:
    return service.get(f"/v1/attention{query}")


def items(service: Service, kind: str) -> list[Any]:
    """Return the items of a kind, each without the ids that do not apply."""
    found = attention(service, f"?kind={kind}")
    assert found["counts"][kind] == len(found["items"])
    assert all(item.pop("kind") == kind for item in found["items"])
    return [
        {name: value for name, value in item.items() if value is not None or name == "since"}
        for item in found["items"]
    ]


def details(service: Service, kind: str) -> list[str]:
    return [item["detail"] for item in items(service, kind)]


def unresolved_unlock(service: Service, *cells: int, contractor_id: str = "T-1") -> str:
    """An operator's unlock that no evidence settles; return its id."""
    service.lose_commands = True
    body = {"kind": "unlock", "cells": [*cells], "reason": "x", "contractor_id": contractor_id}
    response = service.call("POST", "/v1/cabinets/C-1/commands", body, key="operator")
    service.advance_time(700)
    service.poll()
    service.lose_commands = False
    return str(response.body["command_id"])


def test_nothing_needs_a_person_in_an_empty_service(service: Service) -> None:
    assert attention(service) == {"items": [], "counts": dict.fromkeys(KINDS, 0)}


def test_a_healthy_fleet_needs_nobody(service: Service) -> None:
    service.add_cabinet(charges=[98, None, 12])
    assert service.unlock(service.book(1)).status == 200
    service.take(1)
    assert attention(service)["items"] == []


def test_an_alarm_of_an_active_cabinet_is_listed_since_it_began(service: Service) -> None:
    hardware = service.add_cabinet()
    hardware.alarms |= {"smoke", "door"}
    service.report()
    [alarm] = items(service, "cabinet_alarm")
    assert (alarm["cabinet_id"], alarm["detail"]) == ("C-1", "door, smoke")
    hardware.alarms -= {"door"}
    service.advance_time(60)
    [began] = items(service, "cabinet_alarm")
    service.report()
    [still] = items(service, "cabinet_alarm")
    assert (still["since"], still["detail"]) == (began["since"], "smoke")
    service.patch("/v1/cabinets/C-1", {"status": "inactive", "status_reason": "x"})
    assert items(service, "cabinet_alarm") == []
    service.patch("/v1/cabinets/C-1", {"status": "active"})
    hardware.alarms.clear()
    service.report()
    assert items(service, "cabinet_alarm") == []
    assert service.sql("SELECT alarms_since FROM cabinets") == [{"alarms_since": None}]


def test_cabinets_that_are_not_online_are_listed_the_longest_silent_first(service: Service) -> None:
    service.add_cabinet("C-2")
    service.advance_time(100)
    service.add_cabinet("C-1")
    service.connect("C-3")
    service.advance_time(100)
    assert [(one["cabinet_id"], one["detail"]) for one in items(service, "cabinet_offline")] == [
        ("C-3", "never seen"),
        ("C-2", "silent"),
    ]
    service.send_from("C-1", {"v": 1, "type": "goodbye", "boot_id": "x"})
    found = items(service, "cabinet_offline")
    online = {c["cabinet_id"]: c for c in service.get("/v1/cabinets?online=false")["cabinets"]}
    assert {one["cabinet_id"]: one["since"] for one in found} == {
        cabinet_id: cabinet["last_seen_at"] for cabinet_id, cabinet in online.items()
    }


def test_an_unresolved_unlock_is_listed_once_and_not_as_disabled_cells(service: Service) -> None:
    service.add_cabinet(charges=[98, 97])
    command_id = unresolved_unlock(service, 1, 2)
    [found] = items(service, "command_unresolved")
    created = service.get(f"/v1/commands/{command_id}")["created_at"]
    assert found == {
        "since": created,
        "command_id": command_id,
        "cabinet_id": "C-1",
        "contractor_id": "T-1",
        "detail": "cells 1, 2",
    }
    assert items(service, "cell_disabled") == []
    service.patch("/v1/cabinets/C-1/cells/1", {"health": "ok", "reason": "looked"})
    assert details(service, "command_unresolved") == ["cell 2"]
    service.patch("/v1/cabinets/C-1/cells/2", {"health": "disabled", "reason": "bent"})
    assert items(service, "command_unresolved") == []
    assert details(service, "cell_disabled") == ["bent"]


def test_of_several_unresolved_unlocks_of_a_cell_the_last_is_listed(service: Service) -> None:
    service.add_cabinet(charges=[98])
    unresolved_unlock(service, 1)
    service.patch("/v1/cabinets/C-1/cells/1", {"health": "ok", "reason": "looked"})
    last = unresolved_unlock(service, 1)
    assert [one["command_id"] for one in items(service, "command_unresolved")] == [last]


def test_the_contractor_of_an_unresolved_booking_is_shown(service: Service) -> None:
    service.add_cabinet(charges=[98])
    service.lose_commands = True
    service.unlock(service.book(1, contractor_id="T-9"))
    service.advance_time(700)
    service.poll()
    [found] = items(service, "command_unresolved")
    assert found["contractor_id"] == "T-9"


def test_a_cell_disabled_with_the_same_word_and_no_command_is_a_disabled_cell(
    service: Service,
) -> None:
    service.add_cabinet()
    service.patch("/v1/cabinets/C-1/cells/1", {"health": "disabled", "reason": "unresolved"})
    assert items(service, "command_unresolved") == []
    [cell] = items(service, "cell_disabled")
    assert cell.pop("since")
    assert cell == {"cabinet_id": "C-1", "cell_number": 1, "detail": "unresolved"}


def test_missing_and_quarantined_accumulators_are_listed_since_their_status_changed(
    service: Service,
) -> None:
    for name, status in [("B-2", "missing"), ("B-1", "missing"), ("B-3", "quarantined")]:
        service.post("/v1/accumulators", {"accumulator_id": name, "contractor_id": "T-1"})
        service.patch(f"/v1/accumulators/{name}", {"status": status, "reason": "x"})
        service.advance_time(60)
    service.patch("/v1/accumulators/B-2", {"battery_charge": 5, "reason": "still missing"})
    missing = items(service, "accumulator_missing")
    assert [one["accumulator_id"] for one in missing] == ["B-2", "B-1"]
    assert missing[0]["since"] < missing[1]["since"]
    [quarantined] = items(service, "accumulator_quarantined")
    assert (quarantined["accumulator_id"], quarantined["contractor_id"]) == ("B-3", "T-1")


def test_an_accumulator_that_nobody_registered_is_quarantined_since_it_was_reported(
    service: Service,
) -> None:
    hardware = service.add_cabinet(charges=[98])
    accumulator = hardware.cells[1].accumulator
    assert accumulator
    hardware.cells[1].accumulator = type(accumulator)("B-9", 50)
    service.report()
    [found] = items(service, "accumulator_quarantined")
    assert found["since"]
    assert found["detail"] == "unknown: nobody has registered it"
    assert (found["cabinet_id"], found["cell_number"]) == ("C-1", 1)


def test_open_anomalies_are_listed_oldest_first_until_they_are_acknowledged(
    service: Service,
) -> None:
    service.add_cabinet()
    service.send_from("C-1", b"nonsense")
    service.advance_time(10)
    service.send_from("C-1", b"{}")
    found = items(service, "anomaly")
    listed = service.get("/v1/anomalies?open=true")["anomalies"][::-1]
    assert [one["anomaly_id"] for one in found] == [one["anomaly_id"] for one in listed]
    assert [one["detail"] for one in found] == [
        f"{one['reason']}: {one['detail']}".removesuffix(": ") for one in listed
    ]
    assert [one["since"] for one in found] == [one["first_at"] for one in listed]
    service.post(f"/v1/anomalies/{found[0]['anomaly_id']}/acknowledge", {"note": "seen"})
    assert items(service, "anomaly") == found[1:]
    service.delete("/v1/cabinets/C-1")
    [left] = items(service, "anomaly")
    assert "cabinet_id" not in left


def test_a_contractor_is_listed_once_for_all_that_is_held_too_long(
    database_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    with running(database_url, monkeypatch, HELD_TOO_LONG_HOURS="2") as service:
        for number, contractor in enumerate(["T-1", "T-1", "T-2", "T-3"]):
            body = {"accumulator_id": f"B-{number}", "contractor_id": contractor}
            service.post("/v1/accumulators", body)
        hold_for(service, {"B-0": 3, "B-1": 5, "B-2": 4, "B-3": 1})
        found = items(service, "held_too_long")
        assert [(one["contractor_id"], one["detail"]) for one in found] == [
            ("T-1", "2 accumulators"),
            ("T-2", "1 accumulator"),
        ]
        held = service.get("/v1/contractors")["contractors"][0]["held_since"]
        assert found[0]["since"] == held


def hold_for(service: Service, hours: dict[str, int]) -> None:
    """Let accumulators have been moved so many hours ago."""
    for name, ago in hours.items():
        service.sql(
            "UPDATE movements SET at = now() - make_interval(hours => %(ago)s)"
            " WHERE accumulator_id = %(name)s",
            ago=ago,
            name=name,
        )
    service.sql("UPDATE accumulators SET moved_at = NULL")


def test_by_default_a_day_is_too_long(service: Service) -> None:
    service.post("/v1/accumulators", {"accumulator_id": "B-1", "contractor_id": "T-1"})
    hold_for(service, {"B-1": 23})
    assert items(service, "held_too_long") == []
    hold_for(service, {"B-1": 25})
    assert len(items(service, "held_too_long")) == 1


def test_a_faulty_cell_is_listed_with_its_fault_since_it_is_faulty(service: Service) -> None:
    hardware = service.add_cabinet()
    hardware.cells[3].fault = "sensor"
    service.report()
    service.advance_time(60)
    [found] = items(service, "cell_faulty")
    service.report()
    assert items(service, "cell_faulty") == [found]
    assert (found["cabinet_id"], found["cell_number"], found["detail"]) == ("C-1", 3, "sensor")
    hardware.cells[3].fault = None
    service.report()
    assert items(service, "cell_faulty") == []


def test_the_most_urgent_kind_comes_first_and_counts_are_of_all_kinds(service: Service) -> None:
    hardware = service.add_cabinet()
    service.connect("C-2")
    hardware.alarms.add("door")
    hardware.cells[1].fault = "sensor"
    service.report()
    service.patch("/v1/cabinets/C-1/cells/2", {"health": "disabled", "reason": "bent"})
    everything = attention(service)
    kinds = [item["kind"] for item in everything["items"]]
    assert kinds == ["cabinet_alarm", "cabinet_offline", "anomaly", "cell_faulty", "cell_disabled"]
    assert list(everything["counts"]) == [*KINDS]
    assert everything["counts"] == {kind: kinds.count(kind) for kind in KINDS}
    first = attention(service, "?limit=1")
    assert first == {"items": everything["items"][:1], "counts": everything["counts"]}
    one = attention(service, "?kind=cell_faulty")
    assert one == {"items": everything["items"][3:4], "counts": everything["counts"]}
    assert service.get("/v1/overview")["needs_a_person"] == len(kinds)


def test_counts_stop_at_a_thousand_of_a_kind_and_the_oldest_are_listed(service: Service) -> None:
    service.sql(
        "INSERT INTO anomalies (reason, event_id, payload, at, first_at)"
        " SELECT 'r', n, '', now(), now() - make_interval(secs => n)"
        " FROM generate_series(1, 1200) n"
    )
    found = attention(service, "?limit=500")
    assert found["counts"]["anomaly"] == service.get("/v1/overview")["needs_a_person"] == 1000
    ids = [item["anomaly_id"] for item in found["items"]]
    [oldest] = service.sql("SELECT max(event_id::int) AS n, max(anomaly_id) AS id FROM anomalies")
    assert (ids[0], len(ids)) == (oldest["id"], 500)
    assert ids == sorted(ids, reverse=True)


def test_what_was_so_before_the_migration_is_listed_as_the_oldest(service: Service) -> None:
    service.add_cabinet()
    for number in (1, 2):
        body = {"health": "disabled", "reason": "bent"}
        service.patch(f"/v1/cabinets/C-1/cells/{number}", body)
    service.sql("UPDATE cells SET health_since = NULL WHERE cell_number = 2")
    found = items(service, "cell_disabled")
    assert [(one["cell_number"], one["since"] is None) for one in found] == [(2, True), (1, False)]


@pytest.mark.parametrize("query", ["kind=alarm", "kind=", "limit=0", "limit=501", "cursor=x"])
def test_a_bad_query_is_refused(service: Service, query: str) -> None:
    assert service.call("GET", f"/v1/attention?{query}").status == 400
