-- One accumulator has one id, in upper case: "f3-ab" by its electronics is "F3-AB" on its label.
-- depends: 0007_field

-- Every accumulator with a spelling that is not in upper case; rank 1 has the newest movement.
CREATE TEMPORARY TABLE spellings AS
SELECT a.accumulator_id AS old_id, upper(a.accumulator_id) AS new_id,
       row_number() OVER (PARTITION BY upper(a.accumulator_id)
                              ORDER BY m.newest DESC NULLS LAST) AS rank,
       count(*) OVER (PARTITION BY upper(a.accumulator_id)) AS halves,
       a.cabinet_id, a.cell_number, a.contractor_id, a.scooter_id, a.battery_charge, a.charge_at,
       a.state_of_health, a.status, a.created_at
  FROM accumulators a
 CROSS JOIN LATERAL (SELECT max(movement_id) AS newest FROM movements m
                      WHERE m.accumulator_id = a.accumulator_id) m
 WHERE upper(a.accumulator_id) IN (SELECT upper(accumulator_id) FROM accumulators
                                    WHERE accumulator_id <> upper(accumulator_id));

-- A booking keeps what it holds of the newer half only, and may hold another cell instead.
UPDATE booking_cells h SET state = 'released', reason = 'moved', finished = true
  FROM spellings s
 WHERE s.old_id = h.accumulator_id AND s.rank > 1 AND NOT h.finished;

UPDATE accumulators a
   SET cabinet_id = NULL, cell_number = NULL, contractor_id = NULL, scooter_id = NULL
  FROM spellings s
 WHERE s.old_id = a.accumulator_id;
INSERT INTO accumulators (accumulator_id, status, created_at)
SELECT new_id, status, created_at FROM spellings WHERE rank = 1
ON CONFLICT (accumulator_id) DO NOTHING;

UPDATE movements m SET accumulator_id = s.new_id
  FROM spellings s WHERE s.old_id = m.accumulator_id AND s.old_id <> s.new_id;
UPDATE booking_cells h SET accumulator_id = s.new_id
  FROM spellings s WHERE s.old_id = h.accumulator_id AND s.old_id <> s.new_id;
UPDATE cells SET reported_id = upper(reported_id) WHERE reported_id <> upper(reported_id);
DELETE FROM accumulators a USING spellings s
 WHERE s.old_id = a.accumulator_id AND s.old_id <> s.new_id;

UPDATE accumulators a
   SET cabinet_id = s.cabinet_id, cell_number = s.cell_number, contractor_id = s.contractor_id,
       scooter_id = s.scooter_id, battery_charge = s.battery_charge, charge_at = s.charge_at,
       state_of_health = s.state_of_health, status = s.status
  FROM spellings s
 WHERE s.new_id = a.accumulator_id AND s.rank = 1;

-- The ledger has both histories; the accumulator begins again where its newer half is.
INSERT INTO movements (accumulator_id, cause, to_cabinet_id, to_cell_number, to_contractor_id,
                       to_scooter_id, battery_charge, reason)
SELECT s.new_id, 'registered', s.cabinet_id, s.cell_number, s.contractor_id, s.scooter_id,
       s.battery_charge,
       'merged: ' || (SELECT string_agg(o.old_id, ', ' ORDER BY o.rank) FROM spellings o
                       WHERE o.new_id = s.new_id)
  FROM spellings s
 WHERE s.rank = 1 AND s.halves > 1;
DROP TABLE spellings;

ALTER TABLE accumulators
    ADD CONSTRAINT spelled_in_upper_case CHECK (accumulator_id = upper(accumulator_id));
