-- Where accumulators are: cabinets, their cells, accumulators, and the ledger of their movements.

CREATE DOMAIN external_id AS text CHECK (VALUE ~ '^[A-Za-z0-9._:-]{1,64}$');
CREATE DOMAIN percent AS smallint CHECK (VALUE BETWEEN 0 AND 100);

CREATE TABLE cabinets (
    cabinet_id    external_id PRIMARY KEY,
    device_id     external_id NOT NULL UNIQUE,
    lat           double precision NOT NULL CHECK (lat BETWEEN -90 AND 90),
    lon           double precision NOT NULL CHECK (lon BETWEEN -180 AND 180),
    address       text,
    protocol      text NOT NULL,
    status        text NOT NULL DEFAULT 'active' CHECK (status IN ('active', 'inactive')),
    status_reason text,
    cells_total   smallint NOT NULL CHECK (cells_total BETWEEN 1 AND 1000),
    alarms        text[] NOT NULL DEFAULT '{}',
    firmware      text,
    -- The last message of any kind, by the database's clock.
    last_seen_at  timestamptz,
    -- The present generation (boots.boot_no).
    boot_no       integer NOT NULL DEFAULT 0,
    -- The last state report that was applied to all cells: so that one which changes nothing writes
    -- this one row and no cell.
    report_boot_no integer NOT NULL DEFAULT 0,
    report_seq    bigint NOT NULL DEFAULT -1,
    reported_at   timestamptz,
    created_at    timestamptz NOT NULL DEFAULT now()
) WITH (fillfactor = 70);

-- A cabinet's power-ups in the order in which they were first heard of.
CREATE TABLE boots (
    cabinet_id    external_id NOT NULL REFERENCES cabinets ON DELETE CASCADE,
    boot_id       text NOT NULL CHECK (length(boot_id) BETWEEN 1 AND 64),
    boot_no       integer NOT NULL CHECK (boot_no > 0),
    first_seen_at timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (cabinet_id, boot_id),
    UNIQUE (cabinet_id, boot_no)
);

CREATE TABLE cells (
    cabinet_id    external_id NOT NULL REFERENCES cabinets ON DELETE CASCADE,
    cell_number   smallint NOT NULL CHECK (cell_number BETWEEN 1 AND 1000),
    -- Evidence: what the hardware said last, and in which message.
    door          text NOT NULL DEFAULT 'unknown' CHECK (door IN ('open', 'closed', 'unknown')),
    content       text NOT NULL DEFAULT 'unknown'
                  CHECK (content IN ('occupied', 'empty', 'unidentified', 'unknown')),
    reported_id   external_id,
    fault         text,
    boot_no       integer NOT NULL DEFAULT 0,
    seq           bigint NOT NULL DEFAULT -1,
    reported_at   timestamptz,
    -- The command that opened the door which has not been seen closed since.
    opened_by     uuid,
    -- Whether the cell may be used.
    health        text NOT NULL DEFAULT 'ok' CHECK (health IN ('ok', 'faulty', 'disabled')),
    health_reason text CHECK (health = 'ok' OR health_reason IS NOT NULL),
    usable        boolean NOT NULL
                  GENERATED ALWAYS AS (health = 'ok' AND fault IS NULL AND door = 'closed') STORED,
    PRIMARY KEY (cabinet_id, cell_number),
    CHECK ((content = 'occupied') = (reported_id IS NOT NULL))
) WITH (fillfactor = 80);

CREATE TABLE accumulators (
    accumulator_id  external_id PRIMARY KEY,
    cabinet_id      external_id,
    cell_number     smallint,
    contractor_id   external_id,
    scooter_id      external_id,
    battery_charge  percent,
    charge_at       timestamptz,
    state_of_health percent,
    status          text NOT NULL DEFAULT 'in_service'
                    CHECK (status IN ('in_service', 'quarantined', 'missing', 'retired')),
    created_at      timestamptz NOT NULL DEFAULT now(),
    FOREIGN KEY (cabinet_id, cell_number) REFERENCES cells,
    -- Deferrable, so that it is checked at a statement's end: two accumulators may change places.
    UNIQUE (cabinet_id, cell_number) DEFERRABLE INITIALLY IMMEDIATE,
    CHECK ((cabinet_id IS NULL) = (cell_number IS NULL)),
    CHECK (num_nonnulls(cabinet_id, contractor_id, scooter_id) <= 1),
    CHECK (status <> 'retired' OR num_nonnulls(cabinet_id, contractor_id, scooter_id) = 0)
) WITH (fillfactor = 80);
CREATE INDEX ON accumulators (contractor_id) WHERE contractor_id IS NOT NULL;
CREATE INDEX ON accumulators (scooter_id) WHERE scooter_id IS NOT NULL;

-- The chain of custody: each change of place, written by the statement that makes it.
CREATE TABLE movements (
    movement_id        bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    accumulator_id     external_id NOT NULL REFERENCES accumulators,
    at                 timestamptz NOT NULL DEFAULT now(),
    cause              text NOT NULL CHECK (cause IN ('registered', 'issued', 'returned', 'swapped',
                                                      'reported', 'not_collected', 'corrected')),
    from_cabinet_id    external_id,
    from_cell_number   smallint,
    from_contractor_id external_id,
    from_scooter_id    external_id,
    to_cabinet_id      external_id,
    to_cell_number     smallint,
    to_contractor_id   external_id,
    to_scooter_id      external_id,
    battery_charge     percent,
    booking_id         uuid,
    command_id         uuid,
    swap_id            uuid,
    discrepancy        boolean NOT NULL DEFAULT false,
    reason             text,
    CHECK ((from_cabinet_id IS NULL) = (from_cell_number IS NULL)),
    CHECK ((to_cabinet_id IS NULL) = (to_cell_number IS NULL)),
    CHECK (num_nonnulls(from_cabinet_id, from_contractor_id, from_scooter_id) <= 1),
    CHECK (num_nonnulls(to_cabinet_id, to_contractor_id, to_scooter_id) <= 1)
);
CREATE INDEX ON movements (accumulator_id, movement_id DESC);
CREATE INDEX ON movements (swap_id) WHERE swap_id IS NOT NULL;
