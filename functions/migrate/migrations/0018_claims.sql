-- What a cabinet has claimed, among all that moved into it.
-- depends: 0017_suspects
-- transactional: false

-- Without a lock that stops writing: the ledger may be large.
DROP INDEX CONCURRENTLY IF EXISTS movements_claims_idx;
CREATE INDEX CONCURRENTLY movements_claims_idx ON movements (to_cabinet_id, at)
    WHERE reason IN ('claimed', 'contradicted', 'cleared', 'taken_back');
