"""The allowance of an API key: what it may ask of the costly routes."""

from concurrent.futures import ThreadPoolExecutor

import pytest

from shared.api.routes import routes_of
from shared.config import MAX_COST
from tests.support.routes import PROTECTED_ROUTES, ROUTES
from tests.support.service import Service, change_settings

UNLIMITED = {"POST /v1/bookings", "POST /v1/bookings/{booking_id}/unlock", "POST /v1/swaps"}


@pytest.fixture
def limited(service: Service, monkeypatch: pytest.MonkeyPatch) -> Service:
    """A service whose keys may ask for two statistics, and then for one an hour."""
    change_settings(monkeypatch, RATE_LIMIT_PER_SECOND=str(50 / 3600), RATE_LIMIT_BURST="100")
    return service


def wait(service: Service, seconds: float) -> None:
    """Let the rows of all allowances be so much older."""
    service.sql("UPDATE allowances SET at = at - make_interval(secs => %(s)s)", s=seconds)


def stats(service: Service, key: str = "read") -> int:
    return service.call("GET", "/v1/stats", key=key).status


def test_a_key_that_has_spent_its_allowance_is_429_with_the_time_to_wait(limited: Service) -> None:
    assert [stats(limited), stats(limited)] == [200, 200]
    response = limited.call("GET", "/v1/stats", key="read")
    assert (response.status, response.body["code"]) == (429, "rate_limited")
    assert response.headers["Retry-After"] == "3600" == str(response.body["retry_after_s"])


def test_after_the_time_that_it_was_told_the_request_succeeds(limited: Service) -> None:
    assert [stats(limited), stats(limited), stats(limited)] == [200, 200, 429]
    wait(limited, 3590)
    assert stats(limited) == 429
    wait(limited, 20)
    assert [stats(limited), stats(limited)] == [200, 429]


def test_an_allowance_does_not_grow_beyond_the_burst(limited: Service) -> None:
    stats(limited)
    wait(limited, 1_000_000)
    assert [stats(limited), stats(limited), stats(limited)] == [200, 200, 429]


def test_a_key_spends_its_own_allowance_only(limited: Service) -> None:
    while stats(limited) == 200:
        pass
    assert stats(limited, "backend") == 200


def test_a_key_without_an_allowance_can_still_book_unlock_and_read_one_thing(
    limited: Service,
) -> None:
    limited.add_cabinet(charges=[98])
    while stats(limited, "backend") == 200:
        pass
    assert limited.unlock(limited.book(1)).status == 200
    assert limited.call("GET", "/v1/cabinets/C-1").status == 200
    assert limited.call("GET", "/v1/me").status == 200


def test_cheap_requests_use_an_allowance_up_slowly(limited: Service) -> None:
    assert [stats(limited, "backend")] == [200]
    found = [limited.call("GET", "/v1/accumulators").status for _ in range(51)]
    assert found == [200] * 50 + [429]


def test_an_invalid_request_costs_nothing(limited: Service) -> None:
    for _ in range(200):
        assert limited.call("GET", "/v1/accumulators?limit=0").status == 400
    assert limited.call("GET", "/v1/accumulators").status == 200


def test_a_refused_post_can_be_repeated_with_its_idempotency_key(limited: Service) -> None:
    body = {"accumulators": [{"accumulator_id": "A-1"}]}
    while stats(limited, "operator") == 200:
        pass
    headers = {"Idempotency-Key": "k-1"}
    sent = ("POST", "/v1/imports", body)
    assert limited.call(*sent, key="operator", headers=headers).status == 429
    wait(limited, 3600)
    response = limited.call(*sent, key="operator", headers=headers)
    assert (response.status, response.body["counts"]["created"]) == (200, 1)


def test_concurrent_requests_do_not_spend_the_same_units_twice(
    service: Service, monkeypatch: pytest.MonkeyPatch
) -> None:
    change_settings(monkeypatch, RATE_LIMIT_PER_SECOND="0.001", RATE_LIMIT_BURST="100")
    with ThreadPoolExecutor(4) as threads:
        found = [*threads.map(lambda _: service.call("GET", "/v1/movements").status, range(120))]
    assert (found.count(200), found.count(429)) == (100, 20)


def test_allowances_can_be_switched_off(service: Service, monkeypatch: pytest.MonkeyPatch) -> None:
    change_settings(monkeypatch, RATE_LIMIT_PER_SECOND="0", RATE_LIMIT_BURST="50")
    assert {stats(service) for _ in range(5)} == {200}
    assert service.sql("SELECT * FROM allowances") == []


def test_an_allowance_can_hold_every_cost() -> None:
    assert max(route.cost for route in ROUTES.values()) == MAX_COST


def test_lists_have_a_cost_and_what_an_unlock_needs_has_none() -> None:
    lists = [r for r in PROTECTED_ROUTES.values() if r.operation_id.startswith("list_")]
    assert {route.path for route in lists if not route.cost} == {"/v1/webhooks"}  # 16 at most
    assert not any(ROUTES[name].cost for name in UNLIMITED)


def test_a_route_that_has_moved_is_still_served_for_the_gateway_of_the_release_before(
    service: Service,
) -> None:
    assert ROUTES["GET /v1/commands"].module == "functions.cabinets.main"
    assert "/v1/commands" in {r.path for r in routes_of("functions.unlock.main") if r.moved}
    event = {
        "httpMethod": "GET",
        "resource": "/v1/commands",
        "requestContext": {"authorizer": {"name": "reader", "scope": "read"}},
    }
    assert service.pool.invoke("unlock", event, timeout=30)["statusCode"] == 200
