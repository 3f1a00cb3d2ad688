-- The ledger by month: a month can be archived and dropped. Erasure of a contractor.
-- depends: 0019_roles
-- transactional: false

-- Every statement here may be repeated: a run that is killed leaves some of them done. The ledger
-- takes movements all the time; only the last step locks it, for some milliseconds. Whoever waits
-- for a lock makes others wait too, so it gives up soon and tries again: but later than after
-- deadlock_timeout, 1 s, when the server ends an autovacuum that is in the way.

-- Not later than the last movement: where to begin to look for it. NULL: at the beginning.
-- The release before does not change it, and an earlier time is never wrong.
ALTER TABLE accumulators ADD COLUMN IF NOT EXISTS moved_at timestamptz;

-- The parts of the ledger, with their bounds; the default one has none.
CREATE OR REPLACE VIEW movement_partitions AS
SELECT c.oid::regclass AS partition, c.relname::text AS name, bounds = 'DEFAULT' AS is_default,
       CASE WHEN bounds LIKE '%(MINVALUE)%' THEN '-infinity'
            ELSE substring(bounds FROM 'FROM \(''([^'']+)''\)')::timestamptz END AS from_at,
       substring(bounds FROM 'TO \(''([^'']+)''\)')::timestamptz AS until_at
  FROM pg_inherits i
  JOIN pg_class c ON c.oid = i.inhrelid
 CROSS JOIN LATERAL pg_get_expr(c.relpartbound, c.oid) AS b (bounds)
 WHERE i.inhparent = to_regclass('public.movements');

-- Make an empty table for the movements of a period, and make it a part of the ledger. Movements
-- of that time that are in the default part go there.
CREATE OR REPLACE PROCEDURE add_movement_partition(name text, from_at timestamptz, until_at timestamptz)
LANGUAGE plpgsql AS $$
DECLARE
    -- The sums of both are the same; the columns may have another order.
    columns text := (SELECT string_agg(quote_ident(attname), ', ') FROM pg_attribute
                      WHERE attrelid = 'movements'::regclass AND attnum > 0 AND NOT attisdropped);
BEGIN
    LOCK TABLE accumulators IN SHARE ROW EXCLUSIVE MODE;  -- for the foreign key
    EXECUTE format('CREATE TABLE %I (LIKE movements INCLUDING ALL EXCLUDING IDENTITY,
                                     PRIMARY KEY (movement_id))', name);
    IF to_regclass('movements_default') IS NOT NULL THEN
        EXECUTE format('WITH moved AS (DELETE FROM movements_default
                                        WHERE at >= %L AND at < %L RETURNING %s)
                        INSERT INTO %I (%s) SELECT * FROM moved',
                       from_at, until_at, columns, name, columns);
    END IF;
    EXECUTE format('ALTER TABLE movements ATTACH PARTITION %I FOR VALUES FROM (%L) TO (%L)',
                   name, from_at, until_at);
END $$;

-- Make the parts of this month and the next ones, unless they are there; return how many were made.
-- The poll calls this, with its own rights. 0 also if a lock was not to be had at once: locking
-- longer would make bookings wait, and there are months to try again.
CREATE OR REPLACE FUNCTION add_movement_partitions(ahead integer) RETURNS integer
LANGUAGE plpgsql SECURITY DEFINER SET search_path = public, pg_temp SET lock_timeout = '1500ms' AS $$
DECLARE
    month timestamp;
    added integer := 0;
BEGIN
    FOR month IN SELECT generate_series(date_trunc('month', now() AT TIME ZONE 'UTC'),
                                        now() AT TIME ZONE 'UTC' + make_interval(months => ahead),
                                        interval '1 month') LOOP
        IF NOT EXISTS (SELECT FROM movement_partitions
                        WHERE from_at <= month AT TIME ZONE 'UTC'
                          AND until_at > month AT TIME ZONE 'UTC') THEN
            CALL add_movement_partition(to_char(month, '"movements_"YYYY_MM'),
                                        month AT TIME ZONE 'UTC',
                                        (month + interval '1 month') AT TIME ZONE 'UTC');
            added := added + 1;
        END IF;
    END LOOP;
    RETURN added;
EXCEPTION WHEN lock_not_available OR deadlock_detected THEN
    RETURN 0;
END $$;

-- The movements so far, and those until a month ends, become one part. What must be true of that
-- part is checked here, while movements are written: a constraint that is valid already spares the
-- last statement from reading the table. The month has at least a week left: a run that was killed
-- must be repeated before it ends.
DO $$
DECLARE
    until_at timestamptz := date_trunc('month', now() AT TIME ZONE 'UTC' + interval '1 month 7 days')
                            AT TIME ZONE 'UTC';
BEGIN
    SET LOCAL lock_timeout = '1500ms';
    FOR attempt IN 1..60 LOOP
        EXIT WHEN EXISTS (SELECT FROM pg_constraint WHERE conname = 'movements_first_part')
               OR (SELECT relkind = 'p' FROM pg_class WHERE oid = 'movements'::regclass);
        BEGIN
            EXECUTE format('ALTER TABLE movements ADD CONSTRAINT movements_first_part'
                           ' CHECK (at < %L) NOT VALID', until_at);
        EXCEPTION WHEN lock_not_available THEN
            IF attempt = 60 THEN
                RAISE;
            END IF;
            PERFORM pg_sleep(0.5);
        END;
    END LOOP;
END $$;

-- Also what earlier migrations have left NOT VALID: a part must satisfy what the whole promises.
DO $$
DECLARE
    unproved record;
BEGIN
    FOR unproved IN SELECT conname FROM pg_constraint
                     WHERE conrelid = 'movements'::regclass AND NOT convalidated
                       AND contype IN ('c', 'f') LOOP
        EXECUTE format('ALTER TABLE movements VALIDATE CONSTRAINT %I', unproved.conname);
        COMMIT;
    END LOOP;
END $$;

-- Where to look for the last movement of the accumulators that there are, some at a time. An hour
-- earlier, because times and numbers of movements can differ in order, and the ledger goes on.
DO $$
DECLARE
    reached text := '';
BEGIN
    LOOP
        WITH batch AS (
            SELECT accumulator_id FROM accumulators
             WHERE accumulator_id > reached ORDER BY accumulator_id LIMIT 1000),
        changed AS (
            UPDATE accumulators a
               SET moved_at = (SELECT m.at - interval '1 hour' FROM movements m
                                WHERE m.accumulator_id = a.accumulator_id
                                ORDER BY m.movement_id DESC LIMIT 1)
              FROM batch
             WHERE a.accumulator_id = batch.accumulator_id AND a.moved_at IS NULL)
        SELECT max(accumulator_id) INTO reached FROM batch;
        COMMIT;
        EXIT WHEN reached IS NULL;
    END LOOP;
END $$;

-- The table becomes a part of a new one, which has its columns, constraints, indexes, triggers,
-- rights and numbering. Accumulators are locked first, as everybody does, and as far as changing
-- the foreign key needs: a lock that is raised later makes deadlocks.
CREATE OR REPLACE PROCEDURE divide_movements() LANGUAGE plpgsql AS $$
DECLARE
    until_at timestamptz;
    next_id bigint;
    owner name;
    rights aclitem[];
    statement text;
    statements text[];
BEGIN
    LOCK TABLE accumulators IN ACCESS EXCLUSIVE MODE;
    LOCK TABLE movements IN ACCESS EXCLUSIVE MODE;
    SELECT substring(pg_get_constraintdef(oid) FROM '''([^'']+)''')::timestamptz INTO until_at
      FROM pg_constraint WHERE conname = 'movements_first_part';
    SELECT nextval(pg_get_serial_sequence('movements', 'movement_id')) INTO next_id;
    SELECT pg_get_userbyid(relowner), relacl INTO owner, rights
      FROM pg_class WHERE oid = 'movements'::regclass;

    -- What the new table gets: indexes and foreign keys with the old names, which become free.
    SELECT array_agg(replace(pg_get_indexdef(indexrelid), ' ON public.', ' ON ONLY public.'))
      INTO statements
      FROM pg_index WHERE indrelid = 'movements'::regclass AND NOT indisprimary;
    FOR statement IN SELECT format('ALTER INDEX %I RENAME TO %I', relname, 'first_' || relname)
                       FROM pg_index JOIN pg_class c ON c.oid = indexrelid
                      WHERE indrelid = 'movements'::regclass LOOP
        EXECUTE statement;
    END LOOP;
    SELECT statements || array_agg(format('ALTER TABLE movements ADD CONSTRAINT %I %s', conname,
                                          pg_get_constraintdef(oid))) INTO statements
      FROM pg_constraint WHERE conrelid = 'movements'::regclass AND contype = 'f';
    SELECT statements || array_agg(pg_get_triggerdef(oid)) INTO statements
      FROM pg_trigger WHERE tgrelid = 'movements'::regclass AND NOT tgisinternal;
    FOR statement IN SELECT format('DROP TRIGGER %I ON movements', tgname) FROM pg_trigger
                      WHERE tgrelid = 'movements'::regclass AND NOT tgisinternal LOOP
        EXECUTE statement;
    END LOOP;

    ALTER TABLE movements ALTER COLUMN movement_id DROP IDENTITY;
    ALTER TABLE movements RENAME TO movements_first;
    CREATE TABLE movements (LIKE movements_first INCLUDING ALL EXCLUDING INDEXES)
        PARTITION BY RANGE (at);
    ALTER TABLE movements DROP CONSTRAINT movements_first_part;
    EXECUTE format('ALTER TABLE movements ALTER COLUMN movement_id
                        ADD GENERATED ALWAYS AS IDENTITY (START WITH %s)', next_id);
    FOREACH statement IN ARRAY statements LOOP
        EXECUTE replace(statement, ' ON ONLY public.movements ', ' ON public.movements ');
    END LOOP;
    EXECUTE format('ALTER TABLE movements OWNER TO %I', owner);
    FOR statement IN SELECT format('GRANT %s ON movements TO %s', privilege_type,
                                   CASE grantee WHEN 0 THEN 'PUBLIC'
                                                ELSE quote_ident(pg_get_userbyid(grantee)) END)
                       FROM aclexplode(rights) LOOP
        EXECUTE statement;
    END LOOP;
    EXECUTE format('ALTER TABLE movements ATTACH PARTITION movements_first'
                   ' FOR VALUES FROM (MINVALUE) TO (%L)', until_at);
    ALTER TABLE movements_first DROP CONSTRAINT movements_first_part;
    CREATE TABLE movements_default (LIKE movements INCLUDING ALL EXCLUDING IDENTITY,
                                    PRIMARY KEY (movement_id));
    ALTER TABLE movements ATTACH PARTITION movements_default DEFAULT;
END $$;
DO $$
BEGIN
    SET LOCAL lock_timeout = '1500ms';
    FOR attempt IN 1..60 LOOP
        EXIT WHEN (SELECT relkind = 'p' FROM pg_class WHERE oid = 'movements'::regclass);
        BEGIN
            CALL divide_movements();
        EXCEPTION WHEN lock_not_available OR deadlock_detected THEN
            IF attempt = 60 THEN
                RAISE;
            END IF;
            PERFORM pg_sleep(0.5);
        END;
    END LOOP;
END $$;
DROP PROCEDURE IF EXISTS divide_movements();
DO $$ BEGIN PERFORM add_movement_partitions(3); END $$;

-- What is archived: a file for each calendar month (UTC). `dropped_at`: since when the ledger has
-- only those of its movements that something present points to.
CREATE TABLE IF NOT EXISTS archived_months (
    month       date PRIMARY KEY CHECK (month = date_trunc('month', month)),
    until_at    timestamptz NOT NULL,
    file        text NOT NULL,
    movements   bigint NOT NULL,
    sha256      text NOT NULL,  -- of the file's content, not compressed
    archived_at timestamptz NOT NULL DEFAULT now(),
    dropped_at  timestamptz
);

-- Archived months name contractors by these, and so does the whole ledger after an erasure. Who
-- destroys a row makes them nameless, in all files at once.
CREATE TABLE IF NOT EXISTS contractor_pseudonyms (
    contractor_id external_id PRIMARY KEY,
    pseudonym     external_id NOT NULL UNIQUE
                  DEFAULT 'pseudonym:' || replace(gen_random_uuid()::text, '-', ''),
    -- An erasure that is not finished: what was written before this time is to be changed, and how
    -- far the ledger has been read, and the feed.
    erase_before  timestamptz,
    ledger_until  timestamptz,
    feed_until    bigint
);

-- Replace an archived part of the ledger by what something present may ask for: of each accumulator
-- the last movement of each cause (of corrections, those by imports apart), and what belongs to the
-- same swap or transfer. Reading goes on until the end; an erasure waits.
CREATE OR REPLACE PROCEDURE empty_movement_partition(part text, months date[])
LANGUAGE plpgsql AS $$
DECLARE
    kept text := part || '_kept';
    columns text := (SELECT string_agg(quote_ident(attname), ', ') FROM pg_attribute
                      WHERE attrelid = 'movements'::regclass AND attnum > 0 AND NOT attisdropped);
    bounds text;
    since timestamptz;
BEGIN
    PERFORM set_config('lock_timeout', '1500ms', true);
    EXECUTE format('LOCK TABLE %I IN SHARE MODE', part);
    SELECT pg_get_expr(relpartbound, oid) INTO bounds FROM pg_class WHERE oid = part::regclass;
    SELECT from_at INTO since FROM movement_partitions WHERE name = part;
    EXECUTE format('CREATE TABLE %I (LIKE movements INCLUDING ALL EXCLUDING IDENTITY,
                                     PRIMARY KEY (movement_id))', kept);
    EXECUTE format($sql$
        WITH newest AS (
            SELECT DISTINCT ON (accumulator_id, cause, reason = 'imported') *
              FROM %1$I
             ORDER BY accumulator_id, cause, reason = 'imported', movement_id DESC),
        last AS (
            SELECT * FROM newest o
             WHERE NOT EXISTS (
                   SELECT FROM movements n
                    WHERE n.accumulator_id = o.accumulator_id AND n.cause = o.cause
                      AND (n.reason = 'imported') IS NOT DISTINCT FROM (o.reason = 'imported')
                      AND n.at >= %3$L AND n.movement_id > o.movement_id))
        INSERT INTO %2$I (%4$s)
        SELECT %4$s FROM %1$I
         WHERE movement_id IN (
               SELECT movement_id FROM last
               UNION SELECT m.movement_id FROM last JOIN %1$I m USING (swap_id)
               UNION SELECT m.movement_id FROM last JOIN %1$I m USING (transfer_id))$sql$,
        part, kept, since, columns);
    FOR attempt IN 1..60 LOOP
        BEGIN
            LOCK TABLE accumulators IN ACCESS EXCLUSIVE MODE;
            LOCK TABLE movements IN ACCESS EXCLUSIVE MODE;
            EXIT;
        EXCEPTION WHEN lock_not_available OR deadlock_detected THEN
            IF attempt = 60 THEN
                RAISE;
            END IF;
            PERFORM pg_sleep(0.5);
        END;
    END LOOP;
    EXECUTE format('ALTER TABLE movements DETACH PARTITION %I', part);
    EXECUTE format('DROP TABLE %I', part);
    EXECUTE format('ALTER TABLE %I RENAME TO %I', kept, part);
    EXECUTE format('ALTER TABLE movements ATTACH PARTITION %I %s', part, bounds);
    UPDATE archived_months SET dropped_at = now() WHERE month = ANY (months);
END $$;

-- The commands that an operator sent for a contractor. One that a killed run left invalid is made anew.
DO $$
BEGIN
    IF EXISTS (SELECT FROM pg_index WHERE NOT indisvalid
                  AND indexrelid = to_regclass('commands_contractor_id_idx')) THEN
        DROP INDEX commands_contractor_id_idx;
    END IF;
END $$;
CREATE INDEX CONCURRENTLY IF NOT EXISTS commands_contractor_id_idx
    ON commands (contractor_id) WHERE contractor_id IS NOT NULL;

-- A text with another name for a contractor, wherever the whole id stands in it; unchanged for NULL.
CREATE OR REPLACE FUNCTION renamed(given text, id text, pseudonym text) RETURNS text
LANGUAGE sql IMMUTABLE AS $$
    SELECT coalesce(regexp_replace(given, '(?<![A-Za-z0-9._:-])' || replace(id, '.', '\.')
                                   || '(?![A-Za-z0-9_-]|[.:][A-Za-z0-9_-])', pseudonym, 'g'), given)
$$;

-- The same for a resource of the feed.
CREATE OR REPLACE FUNCTION renamed(given jsonb, id text, pseudonym text) RETURNS jsonb
LANGUAGE sql IMMUTABLE AS $$
    SELECT jsonb_object_agg(key, CASE
               WHEN key IN ('contractor_id', 'from_contractor_id', 'to_contractor_id')
                    AND value = to_jsonb(id) THEN to_jsonb(pseudonym)
               WHEN key IN ('reason', 'detail', 'acknowledged_note')
                    AND jsonb_typeof(value) = 'string'
               THEN to_jsonb(renamed(value #>> '{}', id, pseudonym))
               ELSE value END)
      FROM jsonb_each(given)
$$;

-- Withdraw what the triggers of this transaction have to say: an erasure is no event.
CREATE OR REPLACE FUNCTION withdraw_events() RETURNS void LANGUAGE plpgsql AS $$
BEGIN
    SET CONSTRAINTS ALL IMMEDIATE;
    DELETE FROM event_outbox WHERE xmin = pg_current_xact_id()::xid;
END $$;

-- Replace a contractor's id by the pseudonym, a batch at a time; return whether something is left.
-- The poll calls this, with the owner's rights: nobody else changes the ledger or the feed.
-- The movements of one accumulator are changed together, so that each begins where the last ended.
CREATE OR REPLACE FUNCTION erase_some(of_contractor text) RETURNS boolean
LANGUAGE plpgsql SECURITY DEFINER SET search_path = public, pg_temp AS $$
DECLARE
    erasure contractor_pseudonyms;
    carried text[];
    mentions text := '%' || of_contractor || '%';
    changed bigint;
    final bigint;
BEGIN
    SELECT * INTO erasure FROM contractor_pseudonyms
     WHERE contractor_id = of_contractor AND erase_before IS NOT NULL FOR UPDATE SKIP LOCKED;
    IF NOT FOUND THEN
        RETURN false;
    END IF;

    UPDATE bookings SET contractor_id = erasure.pseudonym
     WHERE booking_id IN (SELECT booking_id FROM bookings
                           WHERE contractor_id = of_contractor
                             AND created_at < erasure.erase_before LIMIT 1000);
    GET DIAGNOSTICS changed = ROW_COUNT;
    IF changed > 0 THEN
        RETURN true;
    END IF;

    SELECT array_agg(DISTINCT accumulator_id) INTO carried FROM (
        (SELECT accumulator_id FROM movements WHERE from_contractor_id = of_contractor
            AND at < erasure.erase_before LIMIT 200)
        UNION ALL
        (SELECT accumulator_id FROM movements WHERE to_contractor_id = of_contractor
            AND at < erasure.erase_before LIMIT 200)) m;
    IF carried IS NOT NULL THEN
        UPDATE movements
           SET from_contractor_id = CASE from_contractor_id WHEN of_contractor
                                    THEN erasure.pseudonym ELSE from_contractor_id END,
               to_contractor_id = CASE to_contractor_id WHEN of_contractor
                                  THEN erasure.pseudonym ELSE to_contractor_id END,
               reason = renamed(reason, of_contractor, erasure.pseudonym)
         WHERE accumulator_id = ANY (carried) AND at < erasure.erase_before
           AND of_contractor IN (from_contractor_id, to_contractor_id);
        RETURN true;
    END IF;

    -- Reasons of others' movements and commands that name the contractor: 31 days at a time.
    erasure.ledger_until := coalesce(erasure.ledger_until,
                                     least((SELECT min(at) FROM movements),
                                           (SELECT min(created_at) FROM commands)), now());
    IF erasure.ledger_until < erasure.erase_before THEN
        UPDATE movements SET reason = renamed(reason, of_contractor, erasure.pseudonym)
         WHERE at >= erasure.ledger_until AND at < erasure.ledger_until + interval '31 days'
           AND reason LIKE mentions;
        UPDATE commands SET reason = renamed(reason, of_contractor, erasure.pseudonym)
         WHERE created_at >= erasure.ledger_until
           AND created_at < erasure.ledger_until + interval '31 days' AND reason LIKE mentions;
        PERFORM withdraw_events();
        UPDATE contractor_pseudonyms SET ledger_until = erasure.ledger_until + interval '31 days'
         WHERE contractor_id = of_contractor;
        RETURN true;
    END IF;

    -- What waits for its position gets it first.
    PERFORM sequence_events(10000);
    SELECT position INTO final FROM feed;
    erasure.feed_until := coalesce(erasure.feed_until, (SELECT min(position) - 1 FROM events), 0);
    IF erasure.feed_until < final THEN
        UPDATE events SET resource = renamed(resource, of_contractor, erasure.pseudonym)
         WHERE position > erasure.feed_until AND position <= erasure.feed_until + 20000
           AND at < erasure.erase_before AND resource::text LIKE mentions;
        UPDATE contractor_pseudonyms SET feed_until = least(final, erasure.feed_until + 20000)
         WHERE contractor_id = of_contractor;
        RETURN true;
    END IF;

    UPDATE commands SET contractor_id = erasure.pseudonym,
                        reason = renamed(reason, of_contractor, erasure.pseudonym)
     WHERE contractor_id = of_contractor AND created_at < erasure.erase_before;
    PERFORM withdraw_events();
    UPDATE anomalies
       SET detail = renamed(detail, of_contractor, erasure.pseudonym),
           acknowledged_note = renamed(acknowledged_note, of_contractor, erasure.pseudonym)
     WHERE first_at < erasure.erase_before
       AND (detail LIKE mentions OR acknowledged_note LIKE mentions);
    UPDATE idempotency_keys
       SET body = regexp_replace(body, '("(?:from_|to_)?contractor_id": ?)"'
                                       || replace(of_contractor, '.', '\.') || '"',
                                 '\1"' || erasure.pseudonym || '"', 'g')
     WHERE created_at < erasure.erase_before AND body LIKE mentions;
    DELETE FROM contractor_pseudonyms WHERE contractor_id = of_contractor;
    RETURN false;
END $$;
