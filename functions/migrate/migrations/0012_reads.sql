-- What the API reads: anomalies and who has acknowledged them, commands, what contractors carry.
-- depends: 0011_movements_by_time

-- An anomaly is open until somebody acknowledges it, and again when its device repeats it.
-- `accumulator_id` is filled from now on.
ALTER TABLE anomalies
    ADD COLUMN accumulator_id text,
    ADD COLUMN open boolean NOT NULL DEFAULT true,
    ADD COLUMN acknowledged_at timestamptz,
    ADD COLUMN acknowledged_by text,
    ADD COLUMN acknowledged_note text CHECK (length(acknowledged_note) BETWEEN 1 AND 500),
    ADD CHECK (num_nonnulls(acknowledged_at, acknowledged_by, acknowledged_note) IN (0, 3)),
    ADD CHECK (open OR acknowledged_at IS NOT NULL);

-- GET /v1/anomalies, newest first. Those of one cabinet are few (anomalies.MAX_KINDS).
CREATE INDEX ON anomalies (open, at DESC, anomaly_id DESC);
CREATE INDEX ON anomalies (reason, open, at DESC, anomaly_id DESC);
CREATE INDEX ON anomalies (accumulator_id, at DESC, anomaly_id DESC)
    WHERE accumulator_id IS NOT NULL;
CREATE INDEX ON anomalies (cabinet_id, at DESC, anomaly_id DESC);
DROP INDEX anomalies_cabinet_id_at_idx;

-- Commands with the status that counts now: one whose deadline has passed has no answer, even
-- before that is written.
CREATE VIEW current_commands AS
SELECT command_id, cabinet_id, kind, payload, booking_id, contractor_id, reason, result, created_at,
       deadline, published_at, finished_at, late, inferred,
       CASE WHEN status IN ('pending', 'published') AND deadline <= now() THEN 'no_answer'
            ELSE status END AS status,
       status AS written_status
  FROM commands;

-- GET /v1/commands, newest first. Nearly all are unlocks that succeeded: found by their time.
CREATE INDEX ON commands (created_at DESC, command_id DESC);
DROP INDEX commands_created_at_idx;
CREATE INDEX ON commands (status, created_at DESC, command_id DESC) WHERE status <> 'succeeded';
CREATE INDEX ON commands (kind, created_at DESC, command_id DESC) WHERE kind <> 'unlock';
CREATE INDEX ON commands (kind, status, created_at DESC, command_id DESC)
    WHERE kind <> 'unlock' AND status <> 'succeeded';

-- GET /v1/contractors: their open bookings.
CREATE INDEX ON bookings (contractor_id, created_at DESC) WHERE finished_at IS NULL;
