-- An import puts accumulators in service that are quarantined only because nobody had registered them.
-- depends: 0009_fleet

-- A cabinet reported it, nobody had registered it, and neither a person nor evidence has said
-- anything about its status since. Without a CHECK: the release before does not know the column.
ALTER TABLE accumulators ADD COLUMN is_unknown boolean NOT NULL DEFAULT false;

-- What a person has said of a status before is not stored. So only those count as unknown that a
-- cabinet registered, that have moved by nothing but reports since, and that are no duplicates.
-- A cabinet's message registers and moves in one transaction: both movements have one time.
UPDATE accumulators a SET is_unknown = true
  FROM (SELECT accumulator_id,
               array_agg(cause ORDER BY movement_id) AS causes,
               array_agg(at ORDER BY movement_id) AS times
          FROM movements
         WHERE accumulator_id IN (SELECT accumulator_id FROM accumulators
                                   WHERE status = 'quarantined')
         GROUP BY accumulator_id) m
 WHERE m.accumulator_id = a.accumulator_id
   AND m.causes[1] = 'registered' AND m.causes[2] IN ('reported', 'returned')
   AND m.times[1] = m.times[2]
   AND m.causes[3:] <@ ARRAY['reported']
   AND NOT EXISTS (SELECT FROM anomalies
                    WHERE reason = 'duplicate_accumulator'
                      AND split_part(detail, ' ', 1) = a.accumulator_id);
