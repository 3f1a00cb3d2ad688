-- Waiting for a cabinet's answer: one statement that looks often, instead of many statements.
-- depends: 0003_messages

-- Returns when the command is settled, or after so many seconds. It locks nothing and keeps nothing
-- in the session; being volatile, it sees in each turn what has been committed by then.
CREATE FUNCTION watch_command(watched uuid, seconds double precision) RETURNS void
LANGUAGE plpgsql VOLATILE AS $$
DECLARE
    until timestamptz := clock_timestamp() + make_interval(secs => seconds);
BEGIN
    WHILE clock_timestamp() < until AND EXISTS (
        SELECT FROM commands WHERE command_id = watched AND status IN ('pending', 'published'))
    LOOP
        PERFORM pg_sleep(0.005);
    END LOOP;
END $$;
