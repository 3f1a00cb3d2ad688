-- Who did it: the name of the API key whose request made or changed a row. NULL: no request did, but
-- a cabinet's message, or the time; or it was before this migration.
-- depends: 0015_overview
-- transactional: false

-- Each statement is a transaction of its own, so that none holds the locks of all, and can be
-- repeated: if one fails, the migration is applied again from the beginning.

-- The key's name of the request that this transaction serves: shared/db.py sets it. The release
-- before this one does not, and what it writes has none.
CREATE OR REPLACE FUNCTION caller() RETURNS text LANGUAGE sql STABLE
    AS $$ SELECT nullif(current_setting('feed.requested_by', true), '') $$;

ALTER TABLE movements ADD COLUMN IF NOT EXISTS requested_by text;
ALTER TABLE bookings ADD COLUMN IF NOT EXISTS requested_by text,
                     ADD COLUMN IF NOT EXISTS cancelled_by text;
-- The last request that registered or changed it.
ALTER TABLE cabinets ADD COLUMN IF NOT EXISTS requested_by text;
ALTER TABLE webhooks ADD COLUMN IF NOT EXISTS requested_by text;
-- The request that set the health that the cell has.
ALTER TABLE cells ADD COLUMN IF NOT EXISTS requested_by text;
-- The last request that registered it, or corrected its status or charge; NULL if a cabinet has
-- changed the status since.
ALTER TABLE accumulators ADD COLUMN IF NOT EXISTS requested_by text;

-- Added afterwards, so that the rows that there are keep NULL.
ALTER TABLE movements ALTER COLUMN requested_by SET DEFAULT caller();
ALTER TABLE bookings ALTER COLUMN requested_by SET DEFAULT caller();
ALTER TABLE cabinets ALTER COLUMN requested_by SET DEFAULT caller();
ALTER TABLE webhooks ALTER COLUMN requested_by SET DEFAULT caller();
ALTER TABLE accumulators ALTER COLUMN requested_by SET DEFAULT caller();

CREATE OR REPLACE VIEW current_bookings AS
SELECT booking_id, cabinet_id, contractor_id, kind, requested, min_charge, created_at, expires_at,
       command_id,
       CASE WHEN status NOT IN ('active', 'returning') OR expires_at > now() THEN status
            WHEN EXISTS (SELECT FROM booking_cells h
                          WHERE h.booking_id = bookings.booking_id AND h.state = 'inserted')
            THEN 'partially_completed'
            ELSE 'expired' END AS status,
       status AS written_status, requested_by, cancelled_by
  FROM bookings;

CREATE OR REPLACE VIEW current_commands AS
SELECT command_id, cabinet_id, kind, payload, booking_id, contractor_id, reason, result, created_at,
       deadline, published_at, finished_at, late, inferred,
       CASE WHEN status IN ('pending', 'published') AND deadline <= now() THEN 'no_answer'
            ELSE status END AS status,
       status AS written_status, requested_by
  FROM commands;

-- Lists of what one key did. What cabinets cause is in none of these.
DROP INDEX CONCURRENTLY IF EXISTS movements_requested_by_at_movement_id_idx;
CREATE INDEX CONCURRENTLY movements_requested_by_at_movement_id_idx
    ON movements (requested_by, at, movement_id) WHERE requested_by IS NOT NULL;
DROP INDEX CONCURRENTLY IF EXISTS bookings_requested_by_created_at_booking_id_idx;
CREATE INDEX CONCURRENTLY bookings_requested_by_created_at_booking_id_idx
    ON bookings (requested_by, created_at DESC, booking_id DESC) WHERE requested_by IS NOT NULL;
DROP INDEX CONCURRENTLY IF EXISTS bookings_cancelled_by_created_at_booking_id_idx;
CREATE INDEX CONCURRENTLY bookings_cancelled_by_created_at_booking_id_idx
    ON bookings (cancelled_by, created_at DESC, booking_id DESC) WHERE cancelled_by IS NOT NULL;
DROP INDEX CONCURRENTLY IF EXISTS commands_requested_by_created_at_command_id_idx;
CREATE INDEX CONCURRENTLY commands_requested_by_created_at_command_id_idx
    ON commands (requested_by, created_at DESC, command_id DESC) WHERE cabinet_id IS NOT NULL;

-- Cabinets and webhooks that a request removed: their rows are gone.
CREATE TABLE IF NOT EXISTS removals (
    removal_id   bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    kind         text NOT NULL CHECK (kind IN ('cabinet', 'webhook')),
    id           text NOT NULL,
    at           timestamptz NOT NULL DEFAULT now(),
    requested_by text DEFAULT caller()
);
CREATE OR REPLACE FUNCTION keep_removal() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    INSERT INTO removals (kind, id) VALUES (TG_ARGV[0], to_jsonb(OLD) ->> (TG_ARGV[0] || '_id'));
    RETURN NULL;
END $$;
DROP TRIGGER IF EXISTS removal ON cabinets;
CREATE TRIGGER removal AFTER DELETE ON cabinets
    FOR EACH ROW EXECUTE FUNCTION keep_removal('cabinet');
DROP TRIGGER IF EXISTS removal ON webhooks;
CREATE TRIGGER removal AFTER DELETE ON webhooks
    FOR EACH ROW EXECUTE FUNCTION keep_removal('webhook');

-- Events. The release before this one reads `SELECT *` of `events` and cannot do with one more
-- column: the name is a key in `resource`, which no model reads.
CREATE OR REPLACE FUNCTION add_event(type text, subject text, of_cabinet text, resource jsonb,
                                     of_device text DEFAULT NULL)
    RETURNS void LANGUAGE plpgsql AS $$
DECLARE
    -- What happens by time is nobody's, whichever transaction writes it.
    is_due boolean := type IN ('booking.expired', 'command.no_answer')
                      OR type = 'booking.partially_completed'
                         AND (resource ->> 'expires_at')::timestamptz <= now();
    requested jsonb := CASE WHEN caller() IS NULL OR is_due THEN '{}'
                            ELSE jsonb_build_object('event_requested_by', caller()) END;
BEGIN
    INSERT INTO event_outbox (type, subject, cabinet_id, caused_by, resource)
    VALUES (type, subject, of_cabinet,
            coalesce(nullif(current_setting('feed.caused_by', true), ''), of_device,
                     (SELECT c.device_id FROM cabinets c WHERE c.cabinet_id = of_cabinet),
                     'service'),
            resource || requested);
END $$;

CREATE OR REPLACE FUNCTION add_cell_event() RETURNS trigger LANGUAGE plpgsql AS $$
DECLARE
    resource jsonb;
BEGIN
    SELECT to_jsonb(s) || jsonb_build_object('reported_at', greatest(s.reported_at, c.reported_at),
                                             'requested_by', x.requested_by)
      INTO resource
      FROM stock s
      JOIN cabinets c USING (cabinet_id)
      JOIN cells x USING (cabinet_id, cell_number)
     WHERE s.cabinet_id = NEW.cabinet_id AND s.cell_number = NEW.cell_number
       AND (x.door, x.content, x.reported_id, x.fault, x.health, x.health_reason)
           IS NOT DISTINCT FROM (NEW.door, NEW.content, NEW.reported_id, NEW.fault, NEW.health,
                                 NEW.health_reason);
    IF FOUND THEN
        PERFORM add_event('cell.changed', NEW.cabinet_id || '/' || NEW.cell_number, NEW.cabinet_id,
                          resource);
    END IF;
    RETURN NULL;
END $$;
