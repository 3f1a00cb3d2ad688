-- What would otherwise read a whole table that grows with the years.
-- depends: 0003_messages

-- Removing a cabinet looks for what belongs to it, and for each command for what names it.
CREATE INDEX ON commands (cabinet_id);
CREATE INDEX ON booking_cells (cabinet_id, cell_number);
CREATE INDEX ON bookings (command_id) WHERE command_id IS NOT NULL;
CREATE INDEX ON cells (opened_by) WHERE opened_by IS NOT NULL;

-- The sweep forgets yesterday's polls every minute, among all commands that there ever were.
CREATE INDEX ON commands (created_at) WHERE cabinet_id IS NULL;

-- GET /v1/accumulators?status=missing: a few of very many.
CREATE INDEX ON accumulators (status, accumulator_id) WHERE status <> 'in_service';
