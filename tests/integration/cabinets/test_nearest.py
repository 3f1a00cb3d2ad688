"""The nearest cabinets of many: the same as if every distance were computed."""

import json
import random
from math import asin, cos, radians, sin, sqrt
from typing import Any

import pytest

from tests.integration.cabinets.cabinet_requests import ids
from tests.support.service import Service

Point = tuple[float, float]
MOSCOW = (55.7558, 37.6173)
CENTRES = [
    MOSCOW,
    (59.9343, 30.3351),
    (64.7337, 177.4968),
    (65.0, -179.9),
    (89.5, 0.0),
    (-0.1, 0.0),
]
"""Cities on both sides of the 180th meridian, the pole, the equator."""
EARTH_RADIUS_M = 6_371_008.8


def metres(one: Point, other: Point) -> int:
    """Return the distance of two points, each a latitude and a longitude, on a sphere."""
    (lat, lon), (other_lat, other_lon) = one, other
    half = sin(radians(other_lat - lat) / 2) ** 2
    half += cos(radians(lat)) * cos(radians(other_lat)) * sin(radians(other_lon - lon) / 2) ** 2
    return round(2 * EARTH_RADIUS_M * asin(min(1, sqrt(half))))


def around(point: Point, rng: random.Random) -> Point:
    """A point mostly within a kilometre, sometimes hundreds of kilometres away."""
    spread = 10 ** rng.uniform(-3, 0.5)
    lat = max(-90.0, min(90.0, point[0] + rng.uniform(-spread, spread)))
    lon = (point[1] + rng.uniform(-spread, spread) + 180) % 360 - 180
    return round(lat, 6), round(lon, 6)


def put(service: Service, places: dict[str, Point]) -> None:
    """Insert cabinets, by their ids."""
    sql = """
        INSERT INTO cabinets (cabinet_id, device_id, lat, lon, protocol, cells_total)
        SELECT key, key, (value ->> 0)::float8, (value ->> 1)::float8, 'native.v1', 1
          FROM jsonb_each(%(places)s::jsonb)"""
    service.sql(sql, places=json.dumps(places))


@pytest.fixture
def placed(service: Service) -> dict[str, Point]:
    rng = random.Random(7)  # noqa: S311 - a test
    places = {f"C-{n:03}": around(rng.choice(CENTRES), rng) for n in range(300)}
    put(service, places)
    return places


@pytest.mark.parametrize("seed", range(20))
def test_pages_are_in_the_order_of_the_distances(
    service: Service, placed: dict[str, Point], seed: int
) -> None:
    rng = random.Random(seed)  # noqa: S311 - a test
    here = around(rng.choice(CENTRES), rng)
    radius: dict[str, Any] = {"radius_m": rng.choice([500, 9_000, 3_000_000])} if seed % 3 else {}
    limit, asked = rng.choice([1, 7, 200]), f"near={here[0]},{here[1]}"
    by_distance = sorted((metres(here, place), name) for name, place in placed.items())
    expected = [name for away, name in by_distance if away <= radius.get("radius_m", away)]
    found: list[str] = []
    cursor = ""
    for _ in range(8 if limit < 200 else 2):
        query = "&".join([asked, f"limit={limit}", *(f"{k}={v}" for k, v in radius.items())])
        page = service.get(f"/v1/cabinets?{query}{cursor}")
        found += [cabinet["cabinet_id"] for cabinet in page["cabinets"]]
        if page["next_cursor"] is None:
            assert found == expected
            return
        cursor = f"&cursor={page['next_cursor']}"
    assert found == expected[: len(found)]


def test_the_filters_of_a_search_are_applied_beyond_the_first_area(
    service: Service, placed: dict[str, Point]
) -> None:
    far = max(placed, key=lambda name: metres(MOSCOW, placed[name]))
    service.sql("UPDATE cabinets SET last_seen_at = now() WHERE cabinet_id = %(far)s", far=far)
    assert ids(service, f"?near={MOSCOW[0]},{MOSCOW[1]}&online=true&limit=1") == [far]


def test_an_area_is_found_by_the_index(service: Service, placed: dict[str, Point]) -> None:
    put(service, {f"F-{n}": (-50 + n / 1e4, 20.0) for n in range(20_000)})
    service.sql("ANALYZE cabinets")
    sql = "EXPLAIN SELECT * FROM cabinets WHERE point(lon, lat) <@ '((37.5,55.7),(37.7,55.8))'::box"
    plan = "\n".join(row["QUERY PLAN"] for row in service.sql(sql))
    assert "cabinets_place_idx" in plan
