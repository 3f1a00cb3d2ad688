-- An accumulator that a booking holds still for a cell where it was is not issued from another.
-- depends: 0004_indexes

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
              SELECT FROM commands m
               WHERE m.cabinet_id = c.cabinet_id
                 AND m.status IN ('pending', 'published', 'no_answer')
                 AND m.payload -> 'cells' @> to_jsonb(c.cell_number)) AS possible) p;
