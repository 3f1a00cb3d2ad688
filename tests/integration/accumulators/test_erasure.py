"""Everything that is stored about a contractor: its export, and its erasure."""

import json
import re
from typing import Any

import pytest

from tests.integration.api_calls import all_pages
from tests.support.service import Service

PAGES = """
    SELECT table_name FROM information_schema.tables
     WHERE table_schema = 'public' AND table_type = 'BASE TABLE' AND table_name !~ 'yoyo'"""


def everywhere(service: Service, contractor_id: str) -> dict[str, int]:
    """Return how many rows name a contractor, by table: whatever columns it has."""
    found = {}
    for row in service.sql(PAGES):
        name = row["table_name"]
        sql = f"SELECT count(*) AS n FROM {name} t WHERE t::text ~ %(whole)s"  # noqa: S608 - a catalogue's names
        if n := service.sql(sql, whole=f"{contractor_id}(?![0-9])")[0]["n"]:
            found[name] = n
    return found


@pytest.fixture
def shift(service: Service) -> Service:
    """T-7 took two accumulators, swapped one, handed the other over, and returned one."""
    service.add_cabinet(charges=[95, 90])
    booking = service.book(2, contractor_id="T-7")
    service.unlock(booking)
    taken = [service.take(cell) for cell in (1, 2)]
    swap = {
        "scooter_id": "S-1",
        "contractor_id": "T-7",
        "installed_accumulator_id": "C-1.A-1",
        "removed_accumulator_id": "OLD",
        "removed_battery_charge": 9,
        "reconcile": True,
    }
    headers = {"Idempotency-Key": "k-1"}
    assert service.call("POST", "/v1/swaps", swap, headers=headers).status == 200
    back = service.book(1, "return", contractor_id="T-7")
    service.unlock(back)
    service.put(service.booking(back)["cells"][0]["cell_number"], taken[1])
    hand_over = {"from_contractor_id": "T-7", "to_contractor_id": "T-8"}
    service.post("/v1/transfers", hand_over | {"accumulator_ids": ["OLD"]})
    lent = {"accumulator_id": "LENT", "contractor_id": "T-9"}
    service.post("/v1/accumulators", lent)
    claim = hand_over | {"accumulator_ids": ["LENT"], "reconcile": True}
    service.post("/v1/transfers", claim)
    note = {"kind": "report_state", "reason": "T-7 asked on the phone, not T-77"}
    service.post("/v1/cabinets/C-1/commands", note)
    service.call("DELETE", f"/v1/bookings/{service.book(contractor_id='T-77')['booking_id']}")
    service.check_invariants()
    return service


def kinds(records: list[dict[str, Any]]) -> dict[str, int]:
    return {
        kind: sum(record["kind"] == kind for record in records)
        for kind in ("accumulator", "booking", "command", "movement", "anomaly")
    }


@pytest.mark.parametrize("limit", [1, 2, 200])
def test_everything_about_a_contractor_is_exported(shift: Service, limit: int) -> None:
    records = all_pages(shift, "/v1/contractors/T-7/data", "records", limit=limit)
    assert kinds(records) == {
        "accumulator": 0,
        "booking": 2,
        "command": 2,
        "movement": 6,
        "anomaly": 0,
    }
    assert len({json.dumps(record, sort_keys=True) for record in records}) == len(records)


def test_the_id_is_nowhere_after_an_erasure(shift: Service) -> None:
    assert {*everywhere(shift, "T-7")} >= {"bookings", "commands", "movements", "idempotency_keys"}
    before = shift.get("/v1/movements?limit=200")["movements"]
    shift.poll()
    assert "events" in everywhere(shift, "T-7")
    others = everywhere(shift, "T-8")
    assert shift.delete("/v1/contractors/T-7") == {"status": "erased"}
    assert everywhere(shift, "T-7") == {}
    assert everywhere(shift, "T-8") == others
    shift.check_invariants()
    [pseudonym] = {
        row["c"]
        for row in shift.sql(
            "SELECT from_contractor_id AS c FROM movements WHERE from_contractor_id LIKE '%%:%%'"
            " UNION SELECT contractor_id FROM bookings WHERE contractor_id <> 'T-77'"
        )
    }
    text = (
        json.dumps(before).replace('"T-7"', f'"{pseudonym}"').replace("by T-7", f"by {pseudonym}")
    )
    assert shift.get("/v1/movements?limit=200")["movements"] == json.loads(text)
    assert shift.call("DELETE", "/v1/contractors/T-7", key="operator").status == 404


def test_the_feed_can_be_read_after_an_erasure(shift: Service) -> None:
    [first] = shift.sql("SELECT feed_id FROM feed")
    shift.poll()
    shift.delete("/v1/contractors/T-7")
    from shared import cursor  # noqa: PLC0415 - the beginning, which no reader has

    after = cursor.encode(0, first["feed_id"])
    events = shift.get(f"/v1/events?after={after}&limit=1000")["events"]
    assert not re.search("T-7(?![0-9])", json.dumps(events))
    assert len(events) == shift.sql("SELECT count(*) AS n FROM events")[0]["n"]


def test_who_has_something_is_not_erased(service: Service) -> None:
    service.add_cabinet(charges=[95])
    booking = service.book(1)
    refused = service.call("DELETE", "/v1/contractors/T-1", key="operator")
    assert (refused.status, refused.body["code"]) == (409, "contractor_in_use")
    assert (refused.body["held"], refused.body["bookings"]) == (0, 1)
    service.unlock(booking)
    refused = service.call("DELETE", "/v1/contractors/T-1", key="operator")
    assert (refused.body["held"], refused.body["bookings"]) == (1, 0)
    assert "pseudonym" not in json.dumps(service.get("/v1/movements"))


def test_what_a_request_has_no_time_for_is_erased_by_the_poll(
    shift: Service, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("shared.services.erasure.MAX_SECONDS", -1.0)
    assert shift.delete("/v1/contractors/T-7") == {"status": "erasing"}
    assert "movements" in everywhere(shift, "T-7")
    shift.check_invariants()
    shift.poll()
    assert everywhere(shift, "T-7") == {}


def test_an_id_that_only_contains_the_erased_one_stays(shift: Service) -> None:
    shift.poll()
    before = everywhere(shift, "T-77")
    assert {*before} >= {"bookings", "commands", "events"}
    shift.delete("/v1/contractors/T-7")
    assert everywhere(shift, "T-77") == before


def test_nothing_is_known_about_a_stranger(service: Service) -> None:
    for method, path in (("GET", "/data"), ("DELETE", "")):
        refused = service.call(method, f"/v1/contractors/T-0{path}", key="operator")
        assert (refused.status, refused.body["code"]) == (404, "contractor_not_found")
    assert service.call("DELETE", "/v1/contractors/T-0", key="backend").status == 403
