-- GET /v1/movements reads the ledger of a period, oldest first.
-- depends: 0009_fleet

CREATE INDEX ON movements (at, movement_id);
