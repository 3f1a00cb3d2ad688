-- The functions' database user does not own the tables. Events are written, numbered and removed only
-- here, with the owner's rights (docs/decisions/0022); shared/repo/grants.py has the users' rights.
-- depends: 0018_claims

-- How long events are kept, days: the setting EVENT_KEEP_DAYS, which `migrate` stores.
ALTER TABLE feed ADD COLUMN keep_days integer NOT NULL DEFAULT 30 CHECK (keep_days > 0);

-- A trigger of this schema writes events, whoever makes the change.
ALTER FUNCTION add_movement_event() SECURITY DEFINER SET search_path = public, pg_temp;
ALTER FUNCTION add_accumulator_event() SECURITY DEFINER SET search_path = public, pg_temp;
ALTER FUNCTION add_booking_event() SECURITY DEFINER SET search_path = public, pg_temp;
ALTER FUNCTION add_booking_changed_event() SECURITY DEFINER SET search_path = public, pg_temp;
ALTER FUNCTION add_command_event() SECURITY DEFINER SET search_path = public, pg_temp;
ALTER FUNCTION add_cabinet_event() SECURITY DEFINER SET search_path = public, pg_temp;
ALTER FUNCTION add_removal_event() SECURITY DEFINER SET search_path = public, pg_temp;
ALTER FUNCTION add_cell_event() SECURITY DEFINER SET search_path = public, pg_temp;
ALTER FUNCTION add_anomaly_event() SECURITY DEFINER SET search_path = public, pg_temp;
ALTER FUNCTION keep_removal() SECURITY DEFINER SET search_path = public, pg_temp;
ALTER FUNCTION sequence_events(integer) SECURITY DEFINER SET search_path = public, pg_temp;

-- Delete up to `most` of the oldest events that are older than `feed.keep_days`; return how many.
-- The positions that are left have no gap, and the feed's last event stays: cursors name it.
CREATE FUNCTION prune_events(most integer) RETURNS integer LANGUAGE plpgsql
    SECURITY DEFINER SET search_path = public, pg_temp AS $$
DECLARE
    pruned integer;
BEGIN
    WITH oldest AS (
        SELECT position, at FROM events ORDER BY position LIMIT most)
    DELETE FROM events e
     USING oldest o
     WHERE e.position = o.position
       AND o.position < coalesce(
           (SELECT min(k.position) FROM oldest k
             WHERE k.at >= now() - make_interval(days => (SELECT f.keep_days FROM feed f))),
           (SELECT max(k.position) + 1 FROM oldest k))
       AND o.position < (SELECT f.position FROM feed f);
    GET DIAGNOSTICS pruned = ROW_COUNT;
    RETURN pruned;
END $$;

-- Everybody may execute a new function, unless that is revoked.
REVOKE ALL ON FUNCTION sequence_events(integer), prune_events(integer) FROM PUBLIC;
