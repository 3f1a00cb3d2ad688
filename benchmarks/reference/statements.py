"""SQL of the reference implementation: each request in as few statements as possible."""

LOCK_CABINET = """
SELECT status, alarms,
       coalesce(last_seen_at > now() - make_interval(secs => $2), false) AS online
  FROM cabinets
 WHERE cabinet_id = $1
   FOR UPDATE"""

EXPIRE = """
WITH due AS (
    UPDATE bookings
       SET status = 'expired', finished_at = expires_at
     WHERE cabinet_id = $1 AND finished_at IS NULL AND status = 'active' AND expires_at <= now()
    RETURNING booking_id)
UPDATE booking_cells h
   SET state = 'released', reason = 'expired', finished = true
  FROM due
 WHERE h.booking_id = due.booking_id AND NOT h.finished"""

BOOK = """
WITH chosen AS MATERIALIZED (
    SELECT cell_number, accumulator_id, battery_charge
      FROM stock
     WHERE cabinet_id = $2
       AND CASE $4 WHEN 'issue' THEN issuable AND battery_charge >= $6 ELSE free END
     ORDER BY battery_charge DESC, cell_number
     LIMIT $5),
booking AS (
    INSERT INTO bookings (booking_id, cabinet_id, contractor_id, kind, requested, min_charge,
                          expires_at)
    VALUES ($1, $2, $3, $4, $5, CASE $4 WHEN 'issue' THEN $6::smallint END,
            now() + make_interval(secs => $7))
    RETURNING *),
held AS (
    INSERT INTO booking_cells (booking_id, cabinet_id, cell_number, accumulator_id, battery_charge)
    SELECT $1, $2, cell_number, accumulator_id, battery_charge FROM chosen
    RETURNING cell_number, accumulator_id, battery_charge, state, reason)
SELECT booking.*, (SELECT coalesce(jsonb_agg(to_jsonb(held)), '[]') FROM held) AS cells
  FROM booking"""

LOCK_BOOKING = """
SELECT b.cabinet_id, b.status, b.expires_at <= now() AS expired, c.device_id,
       c.status AS cabinet_status, c.alarms
  FROM bookings b
  JOIN cabinets c USING (cabinet_id)
 WHERE b.booking_id = $1
   FOR UPDATE"""

RELEASE_UNFIT = """
WITH checked AS (
    SELECT h.cell_number,
           CASE WHEN c.health <> 'ok' THEN c.health_reason
                WHEN c.fault IS NOT NULL THEN c.fault
                WHEN c.door <> 'closed' THEN 'door_' || c.door
                WHEN b.kind = 'return' THEN
                    CASE WHEN c.content <> 'empty' OR a.accumulator_id IS NOT NULL
                         THEN 'occupied' END
                WHEN a.accumulator_id IS DISTINCT FROM h.accumulator_id
                  OR c.reported_id IS DISTINCT FROM h.accumulator_id THEN 'moved'
                WHEN a.status <> 'in_service' THEN a.status
                WHEN a.battery_charge IS NULL OR a.battery_charge < b.min_charge
                THEN 'charge_too_low'
           END AS reason
      FROM booking_cells h
      JOIN bookings b USING (booking_id)
      JOIN cells c ON (c.cabinet_id, c.cell_number) = (h.cabinet_id, h.cell_number)
      LEFT JOIN accumulators a ON (a.cabinet_id, a.cell_number) = (h.cabinet_id, h.cell_number)
     WHERE h.booking_id = $1 AND NOT h.finished),
released AS (
    UPDATE booking_cells h
       SET state = 'released', reason = checked.reason, finished = true
      FROM checked
     WHERE h.booking_id = $1 AND h.cell_number = checked.cell_number
       AND checked.reason IS NOT NULL)
SELECT cell_number FROM checked WHERE reason IS NULL ORDER BY cell_number"""

COMMAND = """
WITH command AS (
    INSERT INTO commands (command_id, cabinet_id, kind, payload, booking_id, requested_by,
                          deadline)
    VALUES ($1, $2, 'unlock', $3, $4, 'reference', now() + make_interval(secs => $5)))
UPDATE bookings SET status = 'unlocking', command_id = $1 WHERE booking_id = $4"""

PUBLISHED = """
UPDATE commands
   SET published_at = now(), status = CASE status WHEN 'pending' THEN 'published' ELSE status END
 WHERE command_id = $1"""

GIVE_UP = """
UPDATE commands SET status = 'no_answer'
 WHERE command_id = $1 AND status IN ('pending', 'published')"""

HEARD = "UPDATE cabinets SET last_seen_at = now() WHERE device_id = $1"

LOCK_COMMAND = """
SELECT m.status, m.booking_id, m.payload -> 'cells' AS cells, b.status AS booking_status, b.kind,
       b.contractor_id, b.requested, c.cabinet_id, o.boot_no
  FROM cabinets c
  JOIN boots o ON o.cabinet_id = c.cabinet_id AND o.boot_id = $3
  JOIN commands m ON m.cabinet_id = c.cabinet_id AND m.command_id = $2
  JOIN bookings b ON b.booking_id = m.booking_id
 WHERE c.device_id = $1
   FOR UPDATE"""

SETTLE = """
WITH results AS (
    SELECT * FROM jsonb_to_recordset($2) AS t (cell_number smallint, result text)),
opened AS (
    SELECT cell_number FROM results WHERE result = 'opened'),
command AS (
    UPDATE commands
       SET status = $3, reason = $4, result = $2, late = status = 'no_answer', finished_at = now()
     WHERE command_id = $1
    RETURNING booking_id, cabinet_id),
booking AS (
    UPDATE bookings b
       SET status = $5,
           finished_at = CASE WHEN $5 IN ('active', 'returning') THEN NULL ELSE now() END
      FROM command
     WHERE b.booking_id = command.booking_id
    RETURNING b.booking_id, b.cabinet_id, b.contractor_id, b.kind),
holds AS (
    UPDATE booking_cells h
       SET state = CASE r.result WHEN 'opened' THEN 'opened' ELSE 'failed' END,
           reason = CASE WHEN r.result <> 'opened' THEN r.result END,
           finished = booking.kind = 'issue' OR r.result <> 'opened'
      FROM results r, booking
     WHERE h.booking_id = booking.booking_id AND h.cell_number = r.cell_number
       AND h.state = 'held' AND $5 <> 'active'),
doors AS (
    UPDATE cells c
       SET door = CASE r.result WHEN 'opened' THEN 'open' ELSE c.door END,
           content = CASE WHEN r.result = 'opened' AND booking.kind = 'issue' THEN 'unknown'
                          ELSE c.content END,
           reported_id = CASE WHEN r.result = 'opened' AND booking.kind = 'issue' THEN NULL
                              ELSE c.reported_id END,
           opened_by = CASE r.result WHEN 'opened' THEN $1 ELSE c.opened_by END,
           health = CASE r.result WHEN 'opened' THEN c.health ELSE 'faulty' END,
           health_reason = CASE r.result WHEN 'opened' THEN c.health_reason ELSE r.result END,
           boot_no = $6, seq = $7, reported_at = now()
      FROM results r, booking
     WHERE c.cabinet_id = booking.cabinet_id AND c.cell_number = r.cell_number
       AND (c.boot_no, c.seq) < ($6, $7)),
leaving AS (
    SELECT a.accumulator_id, a.cabinet_id, a.cell_number, a.battery_charge, booking.booking_id,
           booking.contractor_id
      FROM booking
      JOIN accumulators a USING (cabinet_id)
      JOIN opened USING (cell_number)
     WHERE booking.kind = 'issue'),
moved AS (
    UPDATE accumulators a
       SET cabinet_id = NULL, cell_number = NULL, contractor_id = l.contractor_id
      FROM leaving l
     WHERE a.accumulator_id = l.accumulator_id),
ledger AS (
    INSERT INTO movements (accumulator_id, cause, from_cabinet_id, from_cell_number,
                           to_contractor_id, battery_charge, booking_id, command_id)
    SELECT accumulator_id, 'issued', cabinet_id, cell_number, contractor_id, battery_charge,
           booking_id, $1
      FROM leaving)
UPDATE cabinets c SET last_seen_at = now() FROM command WHERE c.cabinet_id = command.cabinet_id"""
