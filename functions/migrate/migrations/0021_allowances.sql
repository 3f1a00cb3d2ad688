-- What each API key may still ask of the costly routes: shared/services/allowance.py.
-- depends: 0020_ledger_by_month

-- Written by every costly request, and worth nothing after a crash: no WAL, and after a crash or a
-- failover it is empty, which means that every key has its full allowance.
CREATE UNLOGGED TABLE allowances (
    caller text PRIMARY KEY,
    units  double precision NOT NULL CHECK (units >= 0),
    at     timestamptz NOT NULL
) WITH (fillfactor = 50);
