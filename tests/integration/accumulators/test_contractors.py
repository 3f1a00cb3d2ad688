"""Contractors over HTTP: what they carry, since when, and their open bookings."""

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from tests.integration.api_calls import all_pages
from tests.support.service import Service


def listed(service: Service, query: str = "") -> list[Any]:
    found: list[Any] = service.get(f"/v1/contractors{query}")["contractors"]
    return found


def names(service: Service, query: str = "") -> list[str]:
    return [one["contractor_id"] for one in listed(service, query)]


def give(service: Service, contractor_id: str, *accumulators: str) -> None:
    for accumulator_id in accumulators:
        body = {"accumulator_id": accumulator_id, "contractor_id": contractor_id}
        service.post("/v1/accumulators", body)


def age_movements(service: Service, hours: float) -> None:
    service.sql("UPDATE movements SET at = at - make_interval(hours => %(h)s)", h=hours)
    service.sql("UPDATE accumulators SET moved_at = NULL")


def hours_ago(hours: float) -> str:
    return (datetime.now(UTC) - timedelta(hours=hours)).isoformat().replace("+00:00", "Z")


def test_a_contractor_is_listed_with_what_was_issued_and_since_when(service: Service) -> None:
    service.add_cabinet(charges=[95, 90])
    booking = service.book(2)
    service.unlock(booking)
    [contractor] = listed(service)
    assert (contractor["contractor_id"], contractor["accumulators_total"]) == ("T-1", 2)
    held = contractor["accumulators"]
    assert [(one["accumulator_id"], one["battery_charge"], one["cause"]) for one in held] == [
        ("C-1.A-1", 95, "issued"),
        ("C-1.A-2", 90, "issued"),
    ]
    [movement] = service.get("/v1/accumulators/C-1.A-1/movements?limit=1")["movements"]
    assert held[0]["since"] == contractor["held_since"] == movement["at"]
    assert contractor["open_bookings"] == []


def test_since_is_when_the_contractor_got_it_last(service: Service) -> None:
    give(service, "T-1", "A-1")
    age_movements(service, 48)
    for place in ({"contractor_id": "T-2"}, {"contractor_id": "T-1"}):
        service.patch("/v1/accumulators/A-1", {"place": place, "reason": "handed over"})
    [contractor] = listed(service)
    assert contractor["accumulators"][0]["cause"] == "corrected"
    assert contractor["held_since"] > hours_ago(1)


def test_a_contractor_with_an_open_booking_only_is_listed(service: Service) -> None:
    service.add_cabinet(charges=[95])
    booking = service.book()
    [contractor] = listed(service)
    assert (contractor["accumulators_total"], contractor["held_since"]) == (0, None)
    assert contractor["open_bookings"] == [
        {
            name: booking[name]
            for name in ("booking_id", "cabinet_id", "kind", "status", "created_at", "expires_at")
        }
    ]
    assert listed(service, "?min_accumulators=1") == []


def test_a_booking_that_has_expired_is_not_open_before_that_is_written(service: Service) -> None:
    service.add_cabinet(charges=[95])
    service.book()
    service.advance_time(1801)
    assert service.sql("SELECT status FROM bookings") == [{"status": "active"}]
    assert listed(service) == []


def test_contractors_are_filtered_by_how_many_accumulators_they_have(service: Service) -> None:
    give(service, "T-1", "A-1")
    give(service, "T-2", "A-2", "A-3")
    give(service, "T-3", "A-4", "A-5", "A-6")
    assert names(service, "?min_accumulators=2") == ["T-2", "T-3"]
    assert names(service, "?min_accumulators=4") == []


def test_contractors_are_filtered_by_how_long_they_have_had_one(service: Service) -> None:
    give(service, "T-1", "A-1")
    age_movements(service, 24)
    give(service, "T-1", "A-2")
    give(service, "T-2", "A-3")
    assert names(service, f"?held_since_before={hours_ago(12)}") == ["T-1"]
    assert names(service, f"?held_since_before={hours_ago(12)}&min_accumulators=2") == ["T-1"]
    assert names(service, f"?held_since_before={hours_ago(36)}") == []


@pytest.mark.parametrize("limit", [1, 2, 3, 4, 200])
def test_pages_contain_every_contractor_once(service: Service, limit: int) -> None:
    service.add_cabinet(charges=[95, 90])
    for contractor_id in ("T-2", "T-4"):
        service.book(contractor_id=contractor_id)
    for number in (4, 1, 3):
        give(service, f"T-{number}", f"A-{number}", f"B-{number}")
    found = all_pages(service, "/v1/contractors", "contractors", limit=limit)
    assert [one["contractor_id"] for one in found] == ["T-1", "T-2", "T-3", "T-4"]


def test_of_many_accumulators_those_held_longest_are_shown(service: Service) -> None:
    service.sql(
        """WITH new AS (INSERT INTO accumulators (accumulator_id, contractor_id)
               SELECT 'A-' || n, 'T-1' FROM generate_series(1, 60) n RETURNING accumulator_id)
           INSERT INTO movements (accumulator_id, cause, to_contractor_id, at)
           SELECT accumulator_id, 'registered', 'T-1',
                  now() - make_interval(secs => substr(accumulator_id, 3)::integer) FROM new"""
    )
    [contractor] = listed(service)
    assert contractor["accumulators_total"] == 60
    shown = [one["accumulator_id"] for one in contractor["accumulators"]]
    assert shown == [f"A-{number}" for number in range(60, 10, -1)]
