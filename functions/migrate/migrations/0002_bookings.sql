-- What is held for whom, and what was sent to the cabinets.
-- depends: 0001_places

CREATE TABLE bookings (
    booking_id    uuid PRIMARY KEY,
    cabinet_id    external_id NOT NULL REFERENCES cabinets ON DELETE CASCADE,
    contractor_id external_id NOT NULL,
    kind          text NOT NULL CHECK (kind IN ('issue', 'return')),
    status        text NOT NULL DEFAULT 'active'
                  CHECK (status IN ('active', 'unlocking', 'returning', 'completed',
                                    'partially_completed', 'failed', 'cancelled', 'expired')),
    requested     smallint NOT NULL CHECK (requested BETWEEN 1 AND 50),
    min_charge    percent,
    created_at    timestamptz NOT NULL DEFAULT now(),
    expires_at    timestamptz NOT NULL,
    finished_at   timestamptz,
    -- The last unlock command.
    command_id    uuid,
    CHECK ((status IN ('active', 'unlocking', 'returning')) = (finished_at IS NULL)),
    CHECK (status <> 'returning' OR kind = 'return'),
    CHECK (kind = 'return' OR min_charge IS NOT NULL)
) WITH (fillfactor = 80);
CREATE INDEX ON bookings (cabinet_id) WHERE finished_at IS NULL;
CREATE INDEX ON bookings (expires_at) WHERE finished_at IS NULL;
CREATE INDEX ON bookings (contractor_id, created_at DESC);
CREATE INDEX ON bookings (cabinet_id, created_at DESC);
CREATE INDEX ON bookings (created_at DESC, booking_id DESC);

CREATE TABLE booking_cells (
    booking_id     uuid NOT NULL REFERENCES bookings ON DELETE CASCADE,
    cabinet_id     external_id NOT NULL,
    cell_number    smallint NOT NULL,
    -- Issue: the accumulator held. Return: the one that was inserted.
    accumulator_id external_id REFERENCES accumulators,
    battery_charge percent,
    state          text NOT NULL DEFAULT 'held'
                   CHECK (state IN ('held', 'opened', 'inserted', 'failed', 'released')),
    reason         text,
    finished       boolean NOT NULL DEFAULT false,
    PRIMARY KEY (booking_id, cell_number),
    FOREIGN KEY (cabinet_id, cell_number) REFERENCES cells ON DELETE CASCADE,
    CHECK (CASE state WHEN 'held' THEN NOT finished WHEN 'opened' THEN true ELSE finished END)
);
CREATE UNIQUE INDEX cell_in_one_booking
    ON booking_cells (cabinet_id, cell_number) WHERE NOT finished;
CREATE UNIQUE INDEX accumulator_in_one_booking
    ON booking_cells (accumulator_id) WHERE NOT finished;

CREATE TABLE commands (
    command_id   uuid PRIMARY KEY,
    -- NULL: to all cabinets (the poll).
    cabinet_id   external_id REFERENCES cabinets ON DELETE CASCADE,
    kind         text NOT NULL,
    payload      jsonb NOT NULL,
    booking_id   uuid REFERENCES bookings ON DELETE CASCADE,
    status       text NOT NULL DEFAULT 'pending'
                 CHECK (status IN ('pending', 'published', 'succeeded', 'partially_succeeded', 'failed',
                                   'rejected', 'not_published', 'no_answer', 'not_executed',
                                   'unresolved')),
    reason       text,
    -- What the cabinet said of each cell: [{"cell_number", "result", "accumulator_id", "battery_charge"}].
    result       jsonb NOT NULL DEFAULT '[]',
    requested_by text NOT NULL,
    created_at   timestamptz NOT NULL DEFAULT now(),
    deadline     timestamptz NOT NULL,
    published_at timestamptz,
    finished_at  timestamptz,
    late         boolean NOT NULL DEFAULT false,
    inferred     boolean NOT NULL DEFAULT false
) WITH (fillfactor = 80);
-- A door is never commanded open twice for one hold without proof that the first did not happen.
CREATE UNIQUE INDEX one_unlock_in_doubt
    ON commands (booking_id) WHERE status IN ('pending', 'published', 'no_answer');
CREATE INDEX commands_in_doubt
    ON commands (cabinet_id) WHERE status IN ('pending', 'published', 'no_answer', 'unresolved');
CREATE INDEX ON commands (created_at);
CREATE INDEX ON commands (booking_id);

ALTER TABLE bookings ADD FOREIGN KEY (command_id) REFERENCES commands;
ALTER TABLE cells ADD FOREIGN KEY (opened_by) REFERENCES commands;

-- Unfinished holds that count now: an expired booking holds nothing, even before the sweeper wrote it.
CREATE VIEW holds AS
SELECT h.booking_id, h.cabinet_id, h.cell_number, h.accumulator_id, h.state
  FROM booking_cells h
  JOIN bookings b USING (booking_id)
 WHERE NOT h.finished AND (b.status = 'unlocking' OR b.expires_at > now());

-- Bookings with the status that counts now.
CREATE VIEW current_bookings AS
SELECT booking_id, cabinet_id, contractor_id, kind, requested, min_charge, created_at, expires_at,
       command_id,
       CASE WHEN status NOT IN ('active', 'returning') OR expires_at > now() THEN status
            WHEN EXISTS (SELECT FROM booking_cells h
                          WHERE h.booking_id = bookings.booking_id AND h.state = 'inserted')
            THEN 'partially_completed'
            ELSE 'expired' END AS status
  FROM bookings;

-- Each cell with what is in it, who holds it, and whether it can be issued from or returned into.
-- A cell that a command in doubt may have opened can be neither.
CREATE VIEW stock AS
SELECT c.cabinet_id, c.cell_number, c.door, c.content, c.reported_at,
       CASE WHEN c.health = 'ok' AND c.fault IS NOT NULL THEN 'faulty' ELSE c.health END AS health,
       CASE WHEN c.health = 'ok' THEN c.fault ELSE c.health_reason END AS health_reason,
       a.accumulator_id, a.battery_charge, h.booking_id,
       p.possible AND c.content = 'occupied' AND a.accumulator_id = c.reported_id
           AND a.status = 'in_service' AND a.battery_charge IS NOT NULL AS issuable,
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
