"""Lists of cabinets over HTTP: order, pages, distances, filters."""

from typing import Any

import pytest

from tests.integration.api_calls import all_pages
from tests.integration.cabinets.cabinet_requests import ids, register
from tests.support.service import Service


def ids_of_all_pages(service: Service, **query: Any) -> list[str]:
    return [c["cabinet_id"] for c in all_pages(service, "/v1/cabinets", "cabinets", **query)]


def test_cabinets_are_listed_in_id_order(service: Service) -> None:
    for cabinet_id in ("C-2", "C-10", "C-1"):
        register(service, cabinet_id)
    assert ids(service) == ["C-1", "C-10", "C-2"]


@pytest.mark.parametrize("limit", [1, 2, 4, 5, 200])
@pytest.mark.parametrize("near", [{}, {"near": "55.7558,37.6173"}], ids=["by id", "near"])
def test_pages_contain_every_cabinet_once_even_at_equal_distances(
    service: Service, near: dict[str, str], limit: int
) -> None:
    for number in (3, 1, 4, 2):
        register(service, f"C-{number}")
    assert ids_of_all_pages(service, limit=limit, **near) == ["C-1", "C-2", "C-3", "C-4"]


def test_a_full_last_page_has_no_cursor(service: Service) -> None:
    register(service, "C-1")
    register(service, "C-2")
    assert service.get("/v1/cabinets?limit=2")["next_cursor"] is None
    assert service.get("/v1/cabinets?limit=1")["next_cursor"] is not None


def test_a_cabinet_registered_between_two_pages_neither_repeats_nor_hides_others(
    service: Service,
) -> None:
    for cabinet_id in ("C-1", "C-3", "C-5"):
        register(service, cabinet_id)
    cursor = service.get("/v1/cabinets?limit=2")["next_cursor"]
    register(service, "C-0")
    register(service, "C-4")
    assert ids(service, f"?cursor={cursor}") == ["C-4", "C-5"]


@pytest.fixture
def three_cabinets(service: Service) -> Service:
    """Cabinets at the Kremlin, at Tverskaya 1 km away, and in Saint Petersburg."""
    places = {"C-3": (55.7520, 37.6175), "C-2": (55.7610, 37.6090), "C-1": (59.9343, 30.3351)}
    for cabinet_id, (lat, lon) in places.items():
        register(service, cabinet_id, coords={"lat": lat, "lon": lon})
    return service


def test_cabinets_near_a_point_are_listed_by_distance(three_cabinets: Service) -> None:
    found = three_cabinets.get("/v1/cabinets?near=55.7520,37.6175")["cabinets"]
    assert [cabinet["cabinet_id"] for cabinet in found] == ["C-3", "C-2", "C-1"]
    kremlin, tverskaya, petersburg = (cabinet["distance_m"] for cabinet in found)
    assert kremlin == 0
    assert tverskaya == pytest.approx(1133, abs=5)
    assert petersburg == pytest.approx(634_000, rel=0.01)


def test_a_list_without_a_point_has_no_distances(three_cabinets: Service) -> None:
    assert {c["distance_m"] for c in three_cabinets.get("/v1/cabinets")["cabinets"]} == {None}


@pytest.mark.parametrize("limit", [1, 2, 3])
def test_pages_keep_the_order_of_distance(three_cabinets: Service, limit: int) -> None:
    found = ids_of_all_pages(three_cabinets, near="55.7520,37.6175", limit=limit)
    assert found == ["C-3", "C-2", "C-1"]


@pytest.mark.parametrize(
    ("radius_m", "found"), [(0, ["C-3"]), (1100, ["C-3"]), (1200, ["C-3", "C-2"])]
)
def test_a_radius_excludes_cabinets_beyond_it(
    three_cabinets: Service, radius_m: int, found: list[str]
) -> None:
    assert ids(three_cabinets, f"?near=55.7520,37.6175&radius_m={radius_m}") == found


@pytest.mark.parametrize(
    ("here", "there", "metres"),
    [
        ("0,179.9", {"lat": 0, "lon": -179.9}, 22_239),
        ("90,0", {"lat": 90, "lon": 120}, 0),
        ("-90,0", {"lat": 90, "lon": 0}, 20_015_115),
        ("0,0", {"lat": 0, "lon": 180}, 20_015_115),
    ],
    ids=["across the date line", "at the pole", "pole to pole", "antipodes"],
)
def test_distances_are_right_at_the_poles_and_the_date_line(
    service: Service, here: str, there: dict[str, float], metres: int
) -> None:
    register(service, "C-1", coords=there)
    [cabinet] = service.get(f"/v1/cabinets?near={here}")["cabinets"]
    assert cabinet["distance_m"] == pytest.approx(metres, abs=20)


def test_a_cabinet_is_online_for_180_seconds_after_its_last_message(service: Service) -> None:
    service.add_cabinet("C-1")
    register(service, "C-2")
    assert (ids(service, "?online=true"), ids(service, "?online=false")) == (["C-1"], ["C-2"])
    service.advance_time(170)  # the machine may be slow
    assert ids(service, "?online=true") == ["C-1"]
    assert service.get("/v1/cabinets/C-1")["online"] is True
    service.advance_time(11)
    assert ids(service, "?online=false") == ["C-1", "C-2"]
    assert service.get("/v1/cabinets/C-1")["online"] is False
    service.check_invariants()


def test_cabinets_are_filtered_by_available_accumulators_and_free_cells(service: Service) -> None:
    service.add_cabinet("C-1", charges=[98, 95], cells=3)
    service.add_cabinet("C-2", charges=[60], cells=3)
    assert ids(service, "?min_available=2") == ["C-1"]
    assert ids(service, "?min_available=1&min_charge=60") == ["C-1", "C-2"]
    assert ids(service, "?min_available=1&min_charge=96") == ["C-1"]
    assert ids(service, "?min_available=3&min_charge=0") == []
    assert ids(service, "?min_free_cells=2") == ["C-2"]
    assert ids(service, "?min_free_cells=1") == ["C-1", "C-2"]


def test_min_charge_decides_which_accumulators_count_as_available(service: Service) -> None:
    service.add_cabinet(charges=[98, 60, 30])
    for charge, available in ((0, 3), (60, 2), (61, 1), (100, 0)):
        [cabinet] = service.get(f"/v1/cabinets?min_charge={charge}")["cabinets"]
        assert cabinet["accumulators"]["available"] == available
