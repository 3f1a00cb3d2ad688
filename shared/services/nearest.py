"""The nearest cabinets, searched in growing areas: a larger fleet costs no more.

An index finds the cabinets of an area, and distances are computed for those only.
"""

from collections.abc import Iterator, Mapping
from math import asin, cos, degrees, radians, sin
from typing import Any

from shared.db import Row, Tx
from shared.repo import cabinets

FIRST_RADIUS_M = 2_000
GROWTH = 4
LARGEST_RADIUS_M = 200_000
"""Further away every cabinet is looked at."""
_EARTH_RADIUS_M = 6_371_008.8


def find(tx: Tx, query: Mapping[str, Any]) -> list[Row]:
    """Return the rows that `cabinets.describe` returns for a query with `lat` and `lon`."""
    given = query["radius_m"]
    for radius_m in _radii(query["after_away_m"] or 0):
        area = _area(query["lat"], query["lon"], radius_m)
        if area is None or (given is not None and radius_m >= given):
            break
        rows = cabinets.describe(tx, {**query, "radius_m": radius_m, "area": area})
        if len(rows) > query["limit"]:
            return rows
    area = None if given is None else _area(query["lat"], query["lon"], given)
    return cabinets.describe(tx, {**query, "area": area})


def _radii(after_m: int) -> Iterator[int]:
    """Yield growing radii, metres; the first one is larger than the distances of earlier pages."""
    radius_m = FIRST_RADIUS_M
    while radius_m <= LARGEST_RADIUS_M:
        if radius_m > after_m:
            yield radius_m
        radius_m *= GROWTH


def _area(lat: float, lon: float, radius_m: int) -> str | None:
    """Return a box, as PostgreSQL writes it, with all points that are so many metres away.

    Degrees: longitude, latitude. None if there is none: it would contain a pole, or reach beyond
    the 180th meridian.
    """
    angle = (radius_m + 1) / _EARTH_RADIUS_M  # distances are rounded
    height = degrees(angle)
    if abs(lat) + height >= 90:  # noqa: PLR2004 - the pole
        return None
    width = degrees(asin(sin(angle) / cos(radians(lat))))
    if abs(lon) + width >= 180:  # noqa: PLR2004 - the meridian
        return None
    return f"(({lon - width},{lat - height}),({lon + width},{lat + height}))"
