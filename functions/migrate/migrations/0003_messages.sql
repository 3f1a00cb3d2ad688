-- What came in: messages that could not be applied, and requests that must not run twice.
-- depends: 0002_bookings

CREATE TABLE anomalies (
    anomaly_id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    at         timestamptz NOT NULL DEFAULT now(),
    reason     text NOT NULL,
    detail     text NOT NULL DEFAULT '',
    device_id  text,
    cabinet_id external_id REFERENCES cabinets ON DELETE SET NULL,
    event_id   text NOT NULL,
    payload    bytea NOT NULL,
    -- A message that is delivered again is kept once.
    UNIQUE (event_id, reason, detail)
);
CREATE INDEX ON anomalies (cabinet_id, at DESC);

CREATE TABLE idempotency_keys (
    caller        text NOT NULL,
    route         text NOT NULL,
    key           text NOT NULL CHECK (length(key) BETWEEN 1 AND 128),
    fingerprint   text NOT NULL,
    -- The id of what the request makes: the same when it is run again after its function died.
    request_id    uuid NOT NULL,
    created_at    timestamptz NOT NULL DEFAULT now(),
    -- A function that dies leaves its claim behind: after this time another may take it over.
    claimed_until timestamptz NOT NULL,
    status        smallint,
    body          text,
    PRIMARY KEY (caller, route, key)
);
CREATE INDEX ON idempotency_keys (created_at);
