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

-- GET /v1/movements of a place. A movement is in two of these.
CREATE INDEX ON movements (from_cabinet_id, at, movement_id) WHERE from_cabinet_id IS NOT NULL;
CREATE INDEX ON movements (to_cabinet_id, at, movement_id) WHERE to_cabinet_id IS NOT NULL;
CREATE INDEX ON movements (from_contractor_id, at, movement_id)
    WHERE from_contractor_id IS NOT NULL;
CREATE INDEX ON movements (to_contractor_id, at, movement_id) WHERE to_contractor_id IS NOT NULL;
CREATE INDEX ON movements (from_scooter_id, at, movement_id) WHERE from_scooter_id IS NOT NULL;
CREATE INDEX ON movements (to_scooter_id, at, movement_id) WHERE to_scooter_id IS NOT NULL;

-- GET /v1/search: ids that begin with a text.
CREATE INDEX ON cabinets (cabinet_id COLLATE "C");
CREATE INDEX ON accumulators (accumulator_id COLLATE "C");

-- The same rows as before. Unlike `payload @> …`, an equality lets the planner look up the cells of
-- all commands in doubt once, in a hash table, when it reads the whole fleet.
CREATE OR REPLACE VIEW stock AS
SELECT c.cabinet_id, c.cell_number, c.door, c.content, c.reported_at,
       CASE WHEN c.health = 'ok' AND c.fault IS NOT NULL THEN 'faulty' ELSE c.health END AS health,
       CASE WHEN c.health = 'ok' THEN c.fault ELSE c.health_reason END AS health_reason,
       a.accumulator_id, a.battery_charge, h.booking_id,
       p.possible AND c.content = 'occupied' AND a.accumulator_id = c.reported_id
           AND a.status = 'in_service' AND a.battery_charge IS NOT NULL
           AND NOT EXISTS (
               SELECT FROM booking_cells o
                WHERE o.accumulator_id = a.accumulator_id AND NOT o.finished
                  AND (o.cabinet_id, o.cell_number) <> (c.cabinet_id, c.cell_number)) AS issuable,
       p.possible AND c.content = 'empty' AND a.accumulator_id IS NULL AS free
  FROM cells c
  LEFT JOIN accumulators a USING (cabinet_id, cell_number)
  LEFT JOIN holds h USING (cabinet_id, cell_number)
 CROSS JOIN LATERAL (
       SELECT c.usable AND h.booking_id IS NULL AND NOT EXISTS (
              SELECT FROM commands m, jsonb_path_query(m.payload, '$.cells[*]') AS opened (cell)
               WHERE m.cabinet_id = c.cabinet_id
                 AND m.status IN ('pending', 'published', 'no_answer')
                 AND opened.cell = to_jsonb(c.cell_number)) AS possible) p;
