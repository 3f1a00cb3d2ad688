-- The feed: an event for every change of state, in an order that readers can follow.
-- depends: 0012_reads

-- Events as transactions write them. Transactions commit in another order than `number` has, and
-- those that roll back leave gaps: readers never see this table (docs/decisions/0018).
CREATE TABLE event_outbox (
    number     bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    -- Unlike `number`, not used again after a backup was restored.
    event_id   uuid NOT NULL DEFAULT gen_random_uuid(),
    type       text NOT NULL,
    subject    text NOT NULL,
    cabinet_id text,
    at         timestamptz NOT NULL DEFAULT now(),
    caused_by  text NOT NULL,
    -- Columns of the resource, as the API's models read them.
    resource   jsonb NOT NULL
);

-- The feed as readers see it: positions have no gaps, and become visible in order.
CREATE TABLE events (
    position   bigint PRIMARY KEY,
    event_id   uuid NOT NULL,
    type       text NOT NULL,
    subject    text NOT NULL,
    cabinet_id text,
    at         timestamptz NOT NULL,
    caused_by  text NOT NULL,
    resource   jsonb NOT NULL
);

-- One row. Whoever locks it may give positions.
CREATE TABLE feed (
    feed_id       uuid NOT NULL DEFAULT gen_random_uuid(),
    -- The last one given.
    position      bigint NOT NULL DEFAULT 0,
    -- Settings that a cabinet's resource depends on; the poll keeps them up to date.
    min_issue_charge percent NOT NULL DEFAULT 80,
    offline_after_seconds double precision NOT NULL DEFAULT 180
);
CREATE UNIQUE INDEX one_feed ON feed ((true));
INSERT INTO feed DEFAULT VALUES;

-- Whether the last event of this kind said that the cabinet is online.
ALTER TABLE cabinets ADD COLUMN announced_online boolean NOT NULL DEFAULT false;
UPDATE cabinets SET announced_online = true
 WHERE last_seen_at > now() - interval '3 minutes' AND NOT signed_off;

-- Give positions to committed events; return how many. NULL: another session is doing it.
-- Each statement here sees what was committed before it began (READ COMMITTED).
CREATE FUNCTION sequence_events(most integer) RETURNS integer LANGUAGE plpgsql AS $$
DECLARE
    last_position bigint;
    given integer;
BEGIN
    IF NOT EXISTS (SELECT FROM event_outbox) THEN
        RETURN 0;
    END IF;
    SELECT f.position INTO last_position FROM feed f FOR UPDATE SKIP LOCKED;
    IF NOT FOUND THEN
        RETURN NULL;
    END IF;
    WITH taken AS (
        DELETE FROM event_outbox
         WHERE number = ANY (ARRAY (SELECT o.number FROM event_outbox o
                                     ORDER BY o.number LIMIT most))
        RETURNING *)
    INSERT INTO events (position, event_id, type, subject, cabinet_id, at, caused_by, resource)
    SELECT last_position + row_number() OVER (ORDER BY t.number), t.event_id, t.type, t.subject,
           t.cabinet_id, t.at, t.caused_by, t.resource
      FROM taken t
     ORDER BY t.number;
    GET DIAGNOSTICS given = ROW_COUNT;
    UPDATE feed SET position = last_position + given;
    RETURN given;
END $$;

-- The triggers below run at the commit, so that a resource is what the API shows from then on, and
-- `number` is taken while the transaction holds its locks. `feed.caused_by` is set by shared/db.py.
CREATE FUNCTION add_event(type text, subject text, of_cabinet text, resource jsonb,
                          of_device text DEFAULT NULL) RETURNS void LANGUAGE plpgsql AS $$
BEGIN
    INSERT INTO event_outbox (type, subject, cabinet_id, caused_by, resource)
    VALUES (type, subject, of_cabinet,
            coalesce(nullif(current_setting('feed.caused_by', true), ''), of_device,
                     (SELECT c.device_id FROM cabinets c WHERE c.cabinet_id = of_cabinet),
                     'service'),
            resource);
END $$;

-- Accumulators ---------------------------------------------------------------------------------

CREATE FUNCTION add_movement_event() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    PERFORM add_event('accumulator.moved', NEW.accumulator_id,
                      coalesce(NEW.to_cabinet_id, NEW.from_cabinet_id), to_jsonb(NEW),
                      -- Registered nowhere, by the message of the cabinet that it is in next.
                      CASE WHEN NEW.cause = 'registered' AND NEW.to_cabinet_id IS NULL THEN
                          (SELECT c.device_id FROM accumulators a JOIN cabinets c USING (cabinet_id)
                            WHERE a.accumulator_id = NEW.accumulator_id) END);
    RETURN NULL;
END $$;
CREATE CONSTRAINT TRIGGER event_of_movement AFTER INSERT ON movements
    DEFERRABLE INITIALLY DEFERRED FOR EACH ROW EXECUTE FUNCTION add_movement_event();

-- Here and below: a change that the same transaction has overwritten has no event.
CREATE FUNCTION add_accumulator_event() RETURNS trigger LANGUAGE plpgsql AS $$
DECLARE
    stored accumulators;
BEGIN
    SELECT * INTO stored FROM accumulators a WHERE a.accumulator_id = NEW.accumulator_id;
    IF FOUND AND (TG_OP = 'INSERT' OR stored.status = NEW.status) THEN
        PERFORM add_event('accumulator.changed', NEW.accumulator_id, stored.cabinet_id,
                          to_jsonb(stored));
    END IF;
    RETURN NULL;
END $$;
CREATE CONSTRAINT TRIGGER event_of_new AFTER INSERT ON accumulators
    DEFERRABLE INITIALLY DEFERRED FOR EACH ROW EXECUTE FUNCTION add_accumulator_event();
-- Charges that cabinets report, with no caller, have no event.
CREATE CONSTRAINT TRIGGER event_of_change AFTER UPDATE ON accumulators
    DEFERRABLE INITIALLY DEFERRED FOR EACH ROW
    WHEN (OLD.status IS DISTINCT FROM NEW.status
          OR OLD.battery_charge IS DISTINCT FROM NEW.battery_charge
             AND coalesce(current_setting('feed.caused_by', true), '') <> '')
    EXECUTE FUNCTION add_accumulator_event();

-- Bookings -------------------------------------------------------------------------------------

-- In plpgsql, which keeps its plans: a function in sql would plan the view again at each commit.
CREATE FUNCTION booking_resource(of_booking uuid) RETURNS jsonb LANGUAGE plpgsql AS $$
DECLARE
    resource jsonb;
BEGIN
    SELECT to_jsonb(b) || jsonb_build_object('cells', coalesce((
           SELECT jsonb_agg(jsonb_build_object(
                      'cell_number', h.cell_number, 'accumulator_id', h.accumulator_id,
                      'battery_charge', h.battery_charge, 'state', h.state, 'reason', h.reason)
                  ORDER BY h.cell_number)
             FROM booking_cells h
            WHERE h.booking_id = b.booking_id), '[]'))
      INTO resource
      FROM current_bookings b
     WHERE b.booking_id = of_booking;
    RETURN resource;
END $$;

-- One event says that a booking's status has changed, and its cells with it. This list of bookings,
-- made at once, tells the cells' triggers at the commit that it comes or has come.
CREATE FUNCTION list_booking() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    PERFORM set_config('feed.bookings', concat(current_setting('feed.bookings', true),
                                               ' ', NEW.booking_id), true);
    RETURN NULL;
END $$;
CREATE TRIGGER list_new AFTER INSERT ON bookings FOR EACH ROW EXECUTE FUNCTION list_booking();
CREATE TRIGGER list_change AFTER UPDATE ON bookings FOR EACH ROW
    WHEN (OLD.status IS DISTINCT FROM NEW.status) EXECUTE FUNCTION list_booking();

CREATE FUNCTION add_booking_event() RETURNS trigger LANGUAGE plpgsql AS $$
DECLARE
    resource jsonb := booking_resource(NEW.booking_id);
BEGIN
    IF TG_OP = 'INSERT' AND resource IS NOT NULL THEN
        PERFORM add_event('booking.created', NEW.booking_id::text, NEW.cabinet_id, resource);
    ELSIF resource ->> 'written_status' = NEW.status THEN
        PERFORM add_event('booking.' || NEW.status, NEW.booking_id::text, NEW.cabinet_id, resource);
    END IF;
    RETURN NULL;
END $$;
CREATE CONSTRAINT TRIGGER event_of_new AFTER INSERT ON bookings
    DEFERRABLE INITIALLY DEFERRED FOR EACH ROW EXECUTE FUNCTION add_booking_event();
CREATE CONSTRAINT TRIGGER event_of_status AFTER UPDATE ON bookings
    DEFERRABLE INITIALLY DEFERRED FOR EACH ROW
    WHEN (OLD.status IS DISTINCT FROM NEW.status) EXECUTE FUNCTION add_booking_event();

-- For rows of bookings and of their cells.
CREATE FUNCTION add_booking_changed_event() RETURNS trigger LANGUAGE plpgsql AS $$
DECLARE
    listed text := coalesce(current_setting('feed.bookings', true), '');
    resource jsonb;
BEGIN
    IF position(NEW.booking_id::text IN listed) = 0 THEN
        PERFORM set_config('feed.bookings', concat(listed, ' ', NEW.booking_id), true);
        resource := booking_resource(NEW.booking_id);
        IF resource IS NOT NULL THEN
            PERFORM add_event('booking.changed', NEW.booking_id::text, NEW.cabinet_id, resource);
        END IF;
    END IF;
    RETURN NULL;
END $$;
CREATE CONSTRAINT TRIGGER event_of_command AFTER UPDATE ON bookings
    DEFERRABLE INITIALLY DEFERRED FOR EACH ROW
    WHEN (OLD.status = NEW.status AND OLD.command_id IS DISTINCT FROM NEW.command_id)
    EXECUTE FUNCTION add_booking_changed_event();
CREATE CONSTRAINT TRIGGER event_of_new AFTER INSERT ON booking_cells
    DEFERRABLE INITIALLY DEFERRED FOR EACH ROW EXECUTE FUNCTION add_booking_changed_event();
CREATE CONSTRAINT TRIGGER event_of_change AFTER UPDATE ON booking_cells
    DEFERRABLE INITIALLY DEFERRED FOR EACH ROW
    WHEN ((OLD.state, OLD.reason, OLD.accumulator_id, OLD.battery_charge)
          IS DISTINCT FROM (NEW.state, NEW.reason, NEW.accumulator_id, NEW.battery_charge))
    EXECUTE FUNCTION add_booking_changed_event();

-- Commands -------------------------------------------------------------------------------------

CREATE FUNCTION add_command_event() RETURNS trigger LANGUAGE plpgsql AS $$
DECLARE
    stored commands;
BEGIN
    SELECT * INTO stored FROM commands c
     WHERE c.command_id = NEW.command_id
       AND (c.status, c.reason, c.result, c.late, c.inferred, c.published_at)
           IS NOT DISTINCT FROM (NEW.status, NEW.reason, NEW.result, NEW.late, NEW.inferred,
                                 NEW.published_at);
    IF FOUND THEN
        PERFORM add_event('command.' || NEW.status, NEW.command_id::text, NEW.cabinet_id,
                          to_jsonb(stored));
    END IF;
    RETURN NULL;
END $$;
-- The poll's own command to all cabinets, each minute, is in no feed.
CREATE CONSTRAINT TRIGGER event_of_new AFTER INSERT ON commands
    DEFERRABLE INITIALLY DEFERRED FOR EACH ROW
    WHEN (NEW.cabinet_id IS NOT NULL) EXECUTE FUNCTION add_command_event();
CREATE CONSTRAINT TRIGGER event_of_change AFTER UPDATE ON commands
    DEFERRABLE INITIALLY DEFERRED FOR EACH ROW
    WHEN (NEW.cabinet_id IS NOT NULL
          AND (OLD.status, OLD.reason, OLD.result, OLD.late, OLD.inferred, OLD.published_at)
              IS DISTINCT FROM (NEW.status, NEW.reason, NEW.result, NEW.late, NEW.inferred,
                                NEW.published_at))
    EXECUTE FUNCTION add_command_event();

-- Cabinets and cells ---------------------------------------------------------------------------

CREATE FUNCTION cabinet_resource(of_cabinet text) RETURNS jsonb LANGUAGE plpgsql AS $$
DECLARE
    resource jsonb;
BEGIN
    SELECT to_jsonb(c) || to_jsonb(s) || jsonb_build_object(
               'online', NOT c.signed_off AND coalesce(c.last_seen_at > now() - make_interval(
                             secs => (SELECT f.offline_after_seconds FROM feed f)), false),
               'distance_m', NULL)
      INTO resource
      FROM cabinets c
     CROSS JOIN LATERAL (
           SELECT count(accumulator_id) AS total,
                  count(*) FILTER (WHERE issuable AND battery_charge >= (
                      SELECT f.min_issue_charge FROM feed f)) AS available,
                  count(accumulator_id) FILTER (WHERE booking_id IS NOT NULL) AS held,
                  coalesce(array_agg(battery_charge::integer ORDER BY battery_charge DESC)
                           FILTER (WHERE battery_charge IS NOT NULL), '{}') AS charges,
                  count(*) FILTER (WHERE free) AS free_cells,
                  count(*) FILTER (WHERE health <> 'ok') AS faulty_cells
             FROM stock
            WHERE stock.cabinet_id = c.cabinet_id) s
     WHERE c.cabinet_id = of_cabinet;
    RETURN resource;
END $$;

CREATE FUNCTION add_cabinet_event() RETURNS trigger LANGUAGE plpgsql AS $$
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
           stored.status_reason, stored.alarms, stored.cells_total, stored.enrol_until)
          IS NOT DISTINCT FROM
          (NEW.device_id, NEW.lat, NEW.lon, NEW.address, NEW.protocol, NEW.status,
           NEW.status_reason, NEW.alarms, NEW.cells_total, NEW.enrol_until) THEN
        PERFORM add_event('cabinet.changed', NEW.cabinet_id, NEW.cabinet_id,
                          cabinet_resource(NEW.cabinet_id));
    END IF;
    RETURN NULL;
END $$;
CREATE CONSTRAINT TRIGGER event_of_new AFTER INSERT ON cabinets
    DEFERRABLE INITIALLY DEFERRED FOR EACH ROW EXECUTE FUNCTION add_cabinet_event('changed');
CREATE CONSTRAINT TRIGGER event_of_online AFTER UPDATE ON cabinets
    DEFERRABLE INITIALLY DEFERRED FOR EACH ROW
    WHEN (OLD.announced_online <> NEW.announced_online)
    EXECUTE FUNCTION add_cabinet_event('online');
CREATE CONSTRAINT TRIGGER event_of_change AFTER UPDATE ON cabinets
    DEFERRABLE INITIALLY DEFERRED FOR EACH ROW
    WHEN ((OLD.device_id, OLD.lat, OLD.lon, OLD.address, OLD.protocol, OLD.status,
           OLD.status_reason, OLD.alarms, OLD.cells_total, OLD.enrol_until)
          IS DISTINCT FROM
          (NEW.device_id, NEW.lat, NEW.lon, NEW.address, NEW.protocol, NEW.status,
           NEW.status_reason, NEW.alarms, NEW.cells_total, NEW.enrol_until))
    EXECUTE FUNCTION add_cabinet_event('changed');

-- Only an empty cabinet is removed, and its cells are gone.
CREATE FUNCTION add_removal_event() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    PERFORM add_event('cabinet.removed', OLD.cabinet_id, OLD.cabinet_id,
                      to_jsonb(OLD) || jsonb_build_object(
                          'online', OLD.announced_online, 'distance_m', NULL, 'total', 0,
                          'available', 0, 'held', 0, 'charges', '[]'::jsonb, 'free_cells', 0,
                          'faulty_cells', 0),
                      OLD.device_id);
    RETURN NULL;
END $$;
CREATE CONSTRAINT TRIGGER event_of_removal AFTER DELETE ON cabinets
    DEFERRABLE INITIALLY DEFERRED FOR EACH ROW EXECUTE FUNCTION add_removal_event();

CREATE FUNCTION add_cell_event() RETURNS trigger LANGUAGE plpgsql AS $$
DECLARE
    resource jsonb;
BEGIN
    SELECT to_jsonb(s) || jsonb_build_object('reported_at', greatest(s.reported_at, c.reported_at))
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
CREATE CONSTRAINT TRIGGER event_of_change AFTER UPDATE ON cells
    DEFERRABLE INITIALLY DEFERRED FOR EACH ROW
    WHEN ((OLD.door, OLD.content, OLD.reported_id, OLD.fault, OLD.health, OLD.health_reason)
          IS DISTINCT FROM
          (NEW.door, NEW.content, NEW.reported_id, NEW.fault, NEW.health, NEW.health_reason))
    EXECUTE FUNCTION add_cell_event();

-- Anomalies ------------------------------------------------------------------------------------

CREATE FUNCTION add_anomaly_event() RETURNS trigger LANGUAGE plpgsql AS $$
DECLARE
    stored anomalies;
BEGIN
    SELECT * INTO stored FROM anomalies a WHERE a.anomaly_id = NEW.anomaly_id;
    IF FOUND THEN
        PERFORM add_event('anomaly.raised', NEW.anomaly_id::text, NEW.cabinet_id,
                          to_jsonb(stored) - 'payload', NEW.device_id);
    END IF;
    RETURN NULL;
END $$;
CREATE CONSTRAINT TRIGGER event_of_new AFTER INSERT ON anomalies
    DEFERRABLE INITIALLY DEFERRED FOR EACH ROW EXECUTE FUNCTION add_anomaly_event();
