-- Cabinets that claim what others hold, and limits to the rows that one cabinet can cause.
-- depends: 0016_requested_by
-- transactional: false

-- Each statement is a transaction of its own and locks one table, so that no request that reads
-- several makes a deadlock; all can be repeated: see 0016.

-- Since when a cabinet is suspect, and why; or why an operator cleared it, at `cleared_at`.
-- `device_boot_no`: the cabinet's boot_no when it got its device: boots are counted from there.
ALTER TABLE cabinets
    ADD COLUMN IF NOT EXISTS suspect_since  timestamptz,
    ADD COLUMN IF NOT EXISTS suspect_reason text
               CHECK (length(suspect_reason) BETWEEN 1 AND 500)
               CHECK (suspect_since IS NULL OR suspect_reason IS NOT NULL),
    ADD COLUMN IF NOT EXISTS cleared_at     timestamptz,
    ADD COLUMN IF NOT EXISTS device_boot_no integer NOT NULL DEFAULT 0;
CREATE INDEX IF NOT EXISTS cabinets_suspect_since_idx
    ON cabinets (suspect_since) WHERE suspect_since IS NOT NULL;

-- The cell reports what others hold, and its cabinet is suspect: this was not applied.
ALTER TABLE cells ADD COLUMN IF NOT EXISTS held_back boolean NOT NULL DEFAULT false;

-- The cabinet whose message registered the accumulator.
ALTER TABLE accumulators ADD COLUMN IF NOT EXISTS found_by external_id;
CREATE INDEX IF NOT EXISTS accumulators_found_by_created_at_idx
    ON accumulators (found_by, created_at) WHERE found_by IS NOT NULL;

-- The size of the whole message: only its beginning is kept. NULL: all of it is kept.
ALTER TABLE anomalies ADD COLUMN IF NOT EXISTS payload_bytes integer;

-- The functions and triggers of 0013 and 0016, with the new columns.
CREATE OR REPLACE FUNCTION add_cabinet_event() RETURNS trigger LANGUAGE plpgsql AS $$
DECLARE
    stored cabinets;
BEGIN
    SELECT * INTO stored FROM cabinets c WHERE c.cabinet_id = NEW.cabinet_id;
    IF NOT FOUND THEN
        RETURN NULL;
    END IF;
    IF TG_ARGV[0] = 'online' THEN
        IF stored.announced_online = NEW.announced_online THEN
            PERFORM add_event(CASE WHEN NEW.announced_online THEN 'cabinet.online'
                                   ELSE 'cabinet.offline' END,
                              NEW.cabinet_id, NEW.cabinet_id, cabinet_resource(NEW.cabinet_id));
        END IF;
    ELSIF (stored.device_id, stored.lat, stored.lon, stored.address, stored.protocol, stored.status,
           stored.status_reason, stored.alarms, stored.cells_total, stored.enrol_until,
           stored.suspect_since, stored.suspect_reason)
          IS NOT DISTINCT FROM
          (NEW.device_id, NEW.lat, NEW.lon, NEW.address, NEW.protocol, NEW.status,
           NEW.status_reason, NEW.alarms, NEW.cells_total, NEW.enrol_until,
           NEW.suspect_since, NEW.suspect_reason) THEN
        PERFORM add_event('cabinet.changed', NEW.cabinet_id, NEW.cabinet_id,
                          cabinet_resource(NEW.cabinet_id));
    END IF;
    RETURN NULL;
END $$;
DO $$
BEGIN
    DROP TRIGGER IF EXISTS event_of_change ON cabinets;
    CREATE CONSTRAINT TRIGGER event_of_change AFTER UPDATE ON cabinets
        DEFERRABLE INITIALLY DEFERRED FOR EACH ROW
        WHEN ((OLD.device_id, OLD.lat, OLD.lon, OLD.address, OLD.protocol, OLD.status,
               OLD.status_reason, OLD.alarms, OLD.cells_total, OLD.enrol_until, OLD.suspect_since,
               OLD.suspect_reason)
              IS DISTINCT FROM
              (NEW.device_id, NEW.lat, NEW.lon, NEW.address, NEW.protocol, NEW.status,
               NEW.status_reason, NEW.alarms, NEW.cells_total, NEW.enrol_until, NEW.suspect_since,
               NEW.suspect_reason))
        EXECUTE FUNCTION add_cabinet_event('changed');
END $$;

CREATE OR REPLACE FUNCTION add_cell_event() RETURNS trigger LANGUAGE plpgsql AS $$
DECLARE
    resource jsonb;
BEGIN
    SELECT to_jsonb(s) || jsonb_build_object('reported_at', greatest(s.reported_at, c.reported_at),
                                             'requested_by', x.requested_by,
                                             'held_back_id',
                                             CASE WHEN x.held_back THEN x.reported_id END)
      INTO resource
      FROM stock s
      JOIN cabinets c USING (cabinet_id)
      JOIN cells x USING (cabinet_id, cell_number)
     WHERE s.cabinet_id = NEW.cabinet_id AND s.cell_number = NEW.cell_number
       AND (x.door, x.content, x.reported_id, x.fault, x.health, x.health_reason, x.held_back)
           IS NOT DISTINCT FROM (NEW.door, NEW.content, NEW.reported_id, NEW.fault, NEW.health,
                                 NEW.health_reason, NEW.held_back);
    IF FOUND THEN
        PERFORM add_event('cell.changed', NEW.cabinet_id || '/' || NEW.cell_number, NEW.cabinet_id,
                          resource);
    END IF;
    RETURN NULL;
END $$;
DO $$
BEGIN
    DROP TRIGGER IF EXISTS event_of_change ON cells;
    CREATE CONSTRAINT TRIGGER event_of_change AFTER UPDATE ON cells
        DEFERRABLE INITIALLY DEFERRED FOR EACH ROW
        WHEN ((OLD.door, OLD.content, OLD.reported_id, OLD.fault, OLD.health, OLD.health_reason,
               OLD.held_back)
              IS DISTINCT FROM
              (NEW.door, NEW.content, NEW.reported_id, NEW.fault, NEW.health, NEW.health_reason,
               NEW.held_back))
        EXECUTE FUNCTION add_cell_event();
END $$;
