-- GET /v1/movements reads the ledger of a period, oldest first.
-- depends: 0010_unknown

CREATE INDEX ON movements (at, movement_id);
