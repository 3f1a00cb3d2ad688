-- Webhooks: who is told of events, how far, and when next.
-- depends: 0013_events

CREATE TABLE webhooks (
    webhook_id        uuid PRIMARY KEY,
    url               text NOT NULL CHECK (length(url) BETWEEN 1 AND 2000),
    types             text[],  -- NULL: all
    cabinet_ids       text[],  -- NULL: all
    status            text NOT NULL DEFAULT 'active' CHECK (status IN ('active', 'paused')),
    status_reason     text,
    created_at        timestamptz NOT NULL DEFAULT now(),
    -- The secret is derived from these, the id and a setting; none is stored.
    secret_generation integer NOT NULL DEFAULT 1 CHECK (secret_generation > 0),
    rotated_at        timestamptz,
    -- The last event of the feed that was delivered, or that the webhook does not want.
    position          bigint NOT NULL,
    last_attempt_at   timestamptz,
    last_status_code  integer,
    last_error        text,
    -- Failed attempts since the last success, and when the first of them was.
    failures          integer NOT NULL DEFAULT 0,
    failing_since     timestamptz,
    next_attempt_at   timestamptz NOT NULL DEFAULT now(),
    -- The invocation that delivers now. Whoever writes progress must still have the lease.
    lease             uuid,
    leased_until      timestamptz NOT NULL DEFAULT '-infinity',
    CHECK ((failures = 0) = (failing_since IS NULL))
);
