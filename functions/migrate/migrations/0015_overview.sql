-- What operators watch: what needs a person and since when, the stock over time, search by id.
-- depends: 0014_webhooks

-- Since when a cabinet has had alarms, an accumulator its status, a cell its health. NULL: since
-- before this migration, or never another.
ALTER TABLE cabinets ADD COLUMN alarms_since timestamptz;
ALTER TABLE accumulators ADD COLUMN status_since timestamptz;
ALTER TABLE cells ADD COLUMN health_since timestamptz;

-- A few of very many.
CREATE INDEX ON cells (cabinet_id, cell_number) WHERE health <> 'ok' OR fault IS NOT NULL;
CREATE INDEX ON anomalies (first_at, anomaly_id) WHERE open;

-- The stock of all active cabinets, once a minute.
CREATE TABLE stock_samples (
    at     timestamptz PRIMARY KEY CHECK (at = date_trunc('minute', at)),
    ready  integer NOT NULL CHECK (ready >= 0),
    free   integer NOT NULL CHECK (free >= 0),
    online integer NOT NULL CHECK (online >= 0),
    active integer NOT NULL CHECK (active >= online)
);

-- GET /v1/movements of a contractor or a scooter.
CREATE INDEX ON movements (from_contractor_id, at, movement_id)
    WHERE from_contractor_id IS NOT NULL;
CREATE INDEX ON movements (to_contractor_id, at, movement_id) WHERE to_contractor_id IS NOT NULL;
CREATE INDEX ON movements (from_scooter_id, at, movement_id) WHERE from_scooter_id IS NOT NULL;
CREATE INDEX ON movements (to_scooter_id, at, movement_id) WHERE to_scooter_id IS NOT NULL;

-- GET /v1/search: ids that begin with a text.
CREATE INDEX ON cabinets (cabinet_id COLLATE "C");
CREATE INDEX ON accumulators (accumulator_id COLLATE "C");
