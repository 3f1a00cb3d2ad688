-- Taking a fleet into service, and handing accumulators over from one contractor to another.
-- depends: 0008_upper_case

-- Until this time, an accumulator that is unknown and that this cabinet reports is put in service.
ALTER TABLE cabinets ADD COLUMN enrol_until timestamptz;

-- All stored rows satisfy the narrower constraint that this one replaces: NOT VALID saves the scan.
ALTER TABLE movements
    ADD COLUMN transfer_id uuid,
    DROP CONSTRAINT movements_cause_check,
    ADD CONSTRAINT movements_cause_check
        CHECK (cause IN ('registered', 'issued', 'returned', 'swapped', 'transferred', 'reported',
                         'not_collected', 'corrected')) NOT VALID;
CREATE INDEX ON movements (transfer_id) WHERE transfer_id IS NOT NULL;
