-- What real devices do: numbering that restarts, lost connections, the same error a thousand times.
-- depends: 0006_bookings_by_status

-- The lowest seq after which this boot's numbering has restarted; NULL: never.
ALTER TABLE boots ADD COLUMN restart_seq bigint;

-- The connection that the last hello named, that hello's position, and whether the connection's
-- last will has come: then the cabinet is offline until its next message.
ALTER TABLE cabinets
    ADD COLUMN session text CHECK (length(session) BETWEEN 1 AND 64),
    ADD COLUMN session_boot_no integer NOT NULL DEFAULT 0,
    ADD COLUMN session_seq bigint NOT NULL DEFAULT -1,
    ADD COLUMN signed_off boolean NOT NULL DEFAULT false;

-- The same anomaly of a device counts up on its row; `at` is the last time, `event_id` and `payload`
-- are the last message's. Rows from before are not `counted`.
ALTER TABLE anomalies
    ADD COLUMN first_at timestamptz NOT NULL DEFAULT now(),
    ADD COLUMN count integer NOT NULL DEFAULT 1,
    ADD COLUMN counted boolean NOT NULL DEFAULT false;
UPDATE anomalies SET first_at = at;
CREATE UNIQUE INDEX one_row_for_each_anomaly ON anomalies (device_id, reason, detail) WHERE counted;

-- For whom an operator opens cells without a booking: what leaves them is with that contractor.
ALTER TABLE commands ADD COLUMN contractor_id external_id;

-- A cabinet may get fewer cells; the bookings of those that go are kept.
ALTER TABLE booking_cells DROP CONSTRAINT booking_cells_cabinet_id_cell_number_fkey;

-- Each message looks for its cabinet's commands of the last minutes: evidence may correct them.
CREATE INDEX ON commands (cabinet_id, created_at);
DROP INDEX commands_cabinet_id_idx;
