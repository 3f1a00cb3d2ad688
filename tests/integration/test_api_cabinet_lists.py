"""Lists of cabinets over HTTP: order, pages, distances, filters."""

from urllib.parse import quote

import pytest

from tests.integration.cabinets import ids, register
from tests.service import Service


def walk(service: Service, query: str) -> list[str]:
    """The ids of all pages; each page's cursor is taken as it was given."""
    found: list[str] = []
    page = service.get(f"/v1/cabinets?{query}")
    while True:
        found += [cabinet["cabinet_id"] for cabinet in page["cabinets"]]
        if page["next_cursor"] is None:
            return found
        page = service.get(f"/v1/cabinets?{query}&cursor={quote(page['next_cursor'])}")


def test_cabinets_come_by_id(service: Service) -> None:
    for cabinet_id in ("C-2", "C-10", "C-1"):
        register(service, cabinet_id)
    assert ids(service) == ["C-1", "C-10", "C-2"]


@pytest.mark.parametrize("limit", [1, 2, 4, 5, 200])
@pytest.mark.parametrize("near", ["", "near=55.7558,37.6173"], ids=["by id", "near"])
def test_pages_give_every_cabinet_once_also_where_all_are_equally_far(
    service: Service, near: str, limit: int
) -> None:
    for number in (3, 1, 4, 2):
        register(service, f"C-{number}")
    assert walk(service, f"limit={limit}&{near}") == ["C-1", "C-2", "C-3", "C-4"]


def test_a_full_last_page_is_the_last(service: Service) -> None:
    register(service, "C-1")
    register(service, "C-2")
    assert service.get("/v1/cabinets?limit=2")["next_cursor"] is None
    assert service.get("/v1/cabinets?limit=1")["next_cursor"] is not None


def test_what_is_registered_between_two_pages_disturbs_neither(service: Service) -> None:
    for cabinet_id in ("C-1", "C-3", "C-5"):
        register(service, cabinet_id)
    cursor = service.get("/v1/cabinets?limit=2")["next_cursor"]
    register(service, "C-0")
    register(service, "C-4")
    assert ids(service, f"?cursor={cursor}") == ["C-4", "C-5"]


@pytest.fixture
def spread(service: Service) -> Service:
    """Cabinets at the Kremlin, at Tverskaya 1 km away, and in Saint Petersburg."""
    places = {"C-3": (55.7520, 37.6175), "C-2": (55.7610, 37.6090), "C-1": (59.9343, 30.3351)}
    for cabinet_id, (lat, lon) in places.items():
        register(service, cabinet_id, coords={"lat": lat, "lon": lon})
    return service


def test_the_nearest_cabinet_comes_first_with_its_distance(spread: Service) -> None:
    found = spread.get("/v1/cabinets?near=55.7520,37.6175")["cabinets"]
    assert [cabinet["cabinet_id"] for cabinet in found] == ["C-3", "C-2", "C-1"]
    kremlin, tverskaya, petersburg = (cabinet["distance_m"] for cabinet in found)
    assert kremlin == 0
    assert tverskaya == pytest.approx(1133, abs=5)
    assert petersburg == pytest.approx(634_000, rel=0.01)


def test_without_near_there_is_no_distance(spread: Service) -> None:
    assert {c["distance_m"] for c in spread.get("/v1/cabinets")["cabinets"]} == {None}


@pytest.mark.parametrize("limit", [1, 2, 3])
def test_pages_keep_the_order_of_distance(spread: Service, limit: int) -> None:
    assert walk(spread, f"near=55.7520,37.6175&limit={limit}") == ["C-3", "C-2", "C-1"]


@pytest.mark.parametrize(
    ("radius_m", "found"), [(0, ["C-3"]), (1100, ["C-3"]), (1200, ["C-3", "C-2"])]
)
def test_a_radius_leaves_out_what_is_farther(
    spread: Service, radius_m: int, found: list[str]
) -> None:
    assert ids(spread, f"?near=55.7520,37.6175&radius_m={radius_m}") == found


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
def test_distances_are_right_at_the_ends_of_the_earth(
    service: Service, here: str, there: dict[str, float], metres: int
) -> None:
    register(service, "C-1", coords=there)
    [cabinet] = service.get(f"/v1/cabinets?near={here}")["cabinets"]
    assert cabinet["distance_m"] == pytest.approx(metres, abs=20)


def test_a_cabinet_that_was_heard_lately_is_online(service: Service) -> None:
    service.add_cabinet("C-1")
    register(service, "C-2")
    assert (ids(service, "?online=true"), ids(service, "?online=false")) == (["C-1"], ["C-2"])
    service.later(179)
    assert ids(service, "?online=true") == ["C-1"]
    service.later(2)
    assert ids(service, "?online=false") == ["C-1", "C-2"]


def test_cabinets_can_be_asked_for_by_what_they_can_give_and_take(service: Service) -> None:
    service.add_cabinet("C-1", charges=[98, 95], cells=3)
    service.add_cabinet("C-2", charges=[60], cells=3)
    assert ids(service, "?min_available=2") == ["C-1"]
    assert ids(service, "?min_available=1&min_charge=60") == ["C-1", "C-2"]
    assert ids(service, "?min_available=1&min_charge=96") == ["C-1"]
    assert ids(service, "?min_available=3&min_charge=0") == []
    assert ids(service, "?min_free_cells=2") == ["C-2"]
    assert ids(service, "?min_free_cells=1") == ["C-1", "C-2"]


def test_min_charge_says_what_counts_as_available(service: Service) -> None:
    service.add_cabinet(charges=[98, 60, 30])
    for charge, available in ((0, 3), (60, 2), (61, 1), (100, 0)):
        [cabinet] = service.get(f"/v1/cabinets?min_charge={charge}")["cabinets"]
        assert cabinet["accumulators"]["available"] == available
