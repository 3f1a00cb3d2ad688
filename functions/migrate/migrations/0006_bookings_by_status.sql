-- GET /v1/bookings?status= does not read all that there ever were.
-- depends: 0005_stock

CREATE OR REPLACE VIEW current_bookings AS
SELECT booking_id, cabinet_id, contractor_id, kind, requested, min_charge, created_at, expires_at,
       command_id,
       CASE WHEN status NOT IN ('active', 'returning') OR expires_at > now() THEN status
            WHEN EXISTS (SELECT FROM booking_cells h
                          WHERE h.booking_id = bookings.booking_id AND h.state = 'inserted')
            THEN 'partially_completed'
            ELSE 'expired' END AS status,
       status AS written_status
  FROM bookings;

-- The completed ones are nearly all: they are found by their time.
CREATE INDEX ON bookings (status, created_at DESC, booking_id DESC) WHERE status <> 'completed';
