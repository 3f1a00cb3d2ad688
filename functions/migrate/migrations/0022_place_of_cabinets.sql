-- Finds the cabinets in an area: shared/services/nearest.py.
-- depends: 0021_allowances

CREATE INDEX IF NOT EXISTS cabinets_place_idx ON cabinets USING gist (point(lon, lat));
