"""Fills the database with a city by SQL: cabinets, accumulators, and months of movements."""

from dataclasses import dataclass

from benchmarks.database import Database

CELLS = 12
IN_CABINET = 10
SWAPS_A_DAY = 80
"""Per technician: twenty visits to cabinets, four accumulators each."""
TAKEN = 4
"""Accumulators fetched, and brought back, at one visit."""
BOOT = "b-1"


@dataclass(frozen=True)
class City:
    """A number of cabinets, one technician per twenty cabinets, and a ledger of some rounds.

    In a round every accumulator of every cabinet is issued, swapped in, swapped out and returned
    once. Each accumulator thus adds four movements, and every five add two bookings with a command.
    """

    cabinets: int
    rounds: int = 0

    @property
    def technicians(self) -> int:
        """500 for 10,000 cabinets."""
        return max(1, self.cabinets // 20)

    @property
    def scooters(self) -> int:
        """Scooters, each with one accumulator."""
        return 4 * self.cabinets

    @property
    def accumulators(self) -> int:
        """Accumulators in cells, without those in scooters and with technicians."""
        return IN_CABINET * self.cabinets

    @property
    def movements(self) -> int:
        """Movements of all rounds."""
        return 4 * self.accumulators * self.rounds

    @property
    def days(self) -> float:
        """Days that the technicians need for the rounds."""
        return self.accumulators * self.rounds / (self.technicians * SWAPS_A_DAY)


def fill(database: Database, city: City, *, days: float | None = None) -> None:
    """Replace the database's content with the city. The audit finds no violation in it.

    `days`: over which the ledger is spread; None: as many as its technicians need.
    """
    numbers = {
        "cabinets": city.cabinets,
        "technicians": city.technicians,
        "scooters": city.scooters,
        "rounds": city.rounds,
        "seconds": 86_400 * (days or city.days),
    }
    for table in ("cabinets", "accumulators", "anomalies", "idempotency_keys"):
        database.sql(f"TRUNCATE {table} CASCADE")
    indexes = database.sql(
        "SELECT indexname, indexdef FROM pg_indexes WHERE tablename = 'movements'"
    )
    for name, _ in indexes:
        database.sql(f"DROP INDEX {name}")
    database.sql("SET session_replication_role = replica")  # skips checking foreign keys row by row
    database.sql("SET work_mem = '256MB'")
    for statement in (*_PLACES, *(_LEDGER if city.rounds else ()), _REGISTERED):
        database.sql(statement, **numbers)
    for _, definition in indexes:
        database.sql(definition.replace(" ON ONLY ", " ON "))
    database.sql("RESET ALL")
    database.settle()


def content(cabinet: int, cell: int) -> tuple[str, int] | None:
    """The id and charge of the accumulator that `fill` puts into a cell; None if empty."""
    if cell > IN_CABINET:
        return None
    low = cell > IN_CABINET - 2
    return f"A-{cabinet}-{cell}", (30 if low else 80) + (cabinet * 7 + cell * 3) % 20


_PLACES = (
    """
    INSERT INTO cabinets (cabinet_id, device_id, lat, lon, protocol, cells_total, last_seen_at,
                          boot_no, report_boot_no, report_seq, reported_at)
    SELECT 'C-' || n, 'C-' || n, 55.55 + 0.4 * (n * 0.6180339887 %% 1.0),
           37.35 + 0.55 * (n * 0.7548776662 %% 1.0), 'native.v1', 12, now(), 1, 1, 0, now()
      FROM generate_series(1, %(cabinets)s) n""",
    """
    INSERT INTO boots (cabinet_id, boot_id, boot_no)
    SELECT 'C-' || n, 'b-1', 1 FROM generate_series(1, %(cabinets)s) n""",
    """
    INSERT INTO cells (cabinet_id, cell_number, door, content, reported_id, boot_no, seq,
                       reported_at)
    SELECT 'C-' || n, cell, 'closed', CASE WHEN cell <= 10 THEN 'occupied' ELSE 'empty' END,
           CASE WHEN cell <= 10 THEN 'A-' || n || '-' || cell END, 1, 0, now()
      FROM generate_series(1, %(cabinets)s) n, generate_series(1, 12) cell""",
    """
    INSERT INTO accumulators (accumulator_id, cabinet_id, cell_number, battery_charge, charge_at,
                              state_of_health)
    SELECT 'A-' || n || '-' || cell, 'C-' || n, cell,
           CASE WHEN cell > 8 THEN 30 ELSE 80 END + (n * 7 + cell * 3) %% 20, now(), 96
      FROM generate_series(1, %(cabinets)s) n, generate_series(1, 10) cell""",
    """
    INSERT INTO accumulators (accumulator_id, scooter_id, battery_charge, charge_at,
                              state_of_health)
    SELECT 'S-' || n, 'S-' || n, n %% 40, now(), 95 FROM generate_series(1, %(scooters)s) n""",
    """
    INSERT INTO accumulators (accumulator_id, contractor_id, battery_charge, charge_at,
                              state_of_health)
    SELECT 'B-' || n || '-' || k, 'T-' || n, 95, now(), 95
      FROM generate_series(1, %(technicians)s) n, generate_series(1, 4) k""",
    """
    INSERT INTO anomalies (anomaly_id, at, first_at, reason, detail, device_id, cabinet_id,
                           event_id, payload, counted)
    OVERRIDING SYSTEM VALUE
    SELECT n, at, at, 'malformed', 'not JSON', 'C-' || n, 'C-' || n, 'event of C-' || n,
           convert_to(repeat('x', 200), 'UTF8'), true
      FROM (SELECT n, now() - n * interval '30 days' / %(cabinets)s AS at
              FROM generate_series(1, %(cabinets)s) n) t""",
    "SELECT setval(pg_get_serial_sequence('anomalies', 'anomaly_id'), %(cabinets)s)",
)
_REGISTERED = """
    INSERT INTO movements (accumulator_id, at, cause, to_cabinet_id, to_cell_number,
                           to_contractor_id, to_scooter_id, battery_charge)
    SELECT accumulator_id, now(), 'registered', cabinet_id, cell_number, contractor_id, scooter_id,
           battery_charge
      FROM accumulators a
     WHERE NOT EXISTS (SELECT FROM movements m WHERE m.accumulator_id = a.accumulator_id)"""

# Ordered by time, as a ledger is written. md5 gives ids that later statements can compute again.
_ROUND = """
    SELECT round, n AS cabinet, part, now() - make_interval(secs => %(seconds)s * (
               1 - ((round - 1) + (part * %(cabinets)s + n) / (2.0 * %(cabinets)s))
                   / %(rounds)s)) AS at,
           'T-' || 1 + n %% %(technicians)s AS technician
      FROM generate_series(1, %(rounds)s) round, generate_series(0, 1) part,
           generate_series(1, %(cabinets)s) n"""
_LEDGER = (
    f"""
    INSERT INTO bookings (booking_id, cabinet_id, contractor_id, kind, status, requested,
                          min_charge, created_at, expires_at, finished_at, command_id)
    SELECT md5(kind || cabinet || '/' || round || '/' || part)::uuid, 'C-' || cabinet, technician,
           kind, 'completed', 5, CASE WHEN kind = 'issue' THEN 80 END, at,
           at + interval '30 minutes', at + interval '1 minute',
           md5('unlock' || kind || cabinet || '/' || round || '/' || part)::uuid
      FROM ({_ROUND}) v, (VALUES ('issue'), ('return')) kinds (kind)
     ORDER BY at""",  # noqa: S608 - constants
    f"""
    INSERT INTO commands (command_id, cabinet_id, kind, payload, booking_id, status, result,
                          requested_by, created_at, deadline, published_at, finished_at)
    SELECT md5('unlock' || kind || cabinet || '/' || round || '/' || part)::uuid, 'C-' || cabinet,
           'unlock', jsonb_build_object('cells', cells), md5(kind || cabinet || '/' || round || '/'
           || part)::uuid, 'succeeded', (SELECT jsonb_agg(jsonb_build_object(
               'cell_number', c, 'result', 'opened', 'accumulator_id', null,
               'battery_charge', null)) FROM unnest(cells) c),
           'backend', at, at + interval '15 s', at + interval '0.01 s', at + interval '0.8 s'
      FROM (SELECT *, ARRAY (SELECT generate_series(part * 5 + 1, part * 5 + 5)) AS cells
              FROM ({_ROUND}) v) v, (VALUES ('issue'), ('return')) kinds (kind)
     ORDER BY at""",  # noqa: S608 - constants
    f"""
    INSERT INTO booking_cells (booking_id, cabinet_id, cell_number, accumulator_id, battery_charge,
                               state, finished)
    SELECT md5(kind || cabinet || '/' || round || '/' || part)::uuid, 'C-' || cabinet, cell,
           'A-' || cabinet || '-' || cell, 90,
           CASE kind WHEN 'issue' THEN 'opened' ELSE 'inserted' END, true
      FROM ({_ROUND}) v, (VALUES ('issue'), ('return')) kinds (kind),
           generate_series(part * 5 + 1, part * 5 + 5) cell
     ORDER BY at""",  # noqa: S608 - constants
    """
    INSERT INTO movements (accumulator_id, at, cause, to_cabinet_id, to_cell_number,
                           battery_charge)
    SELECT accumulator_id, now() - make_interval(secs => %(seconds)s + 1), 'registered',
           cabinet_id, cell_number, battery_charge
      FROM accumulators WHERE cabinet_id IS NOT NULL""",
    f"""
    INSERT INTO movements (accumulator_id, at, cause, from_cabinet_id, from_cell_number,
                           from_contractor_id, from_scooter_id, to_cabinet_id, to_cell_number,
                           to_contractor_id, to_scooter_id, battery_charge, booking_id, swap_id)
    SELECT 'A-' || cabinet || '-' || cell, at + step * interval '1 minute', cause,
           CASE WHEN step = 0 THEN 'C-' || cabinet END, CASE WHEN step = 0 THEN cell END,
           CASE WHEN step IN (1, 3) THEN technician END, CASE WHEN step = 2 THEN scooter END,
           CASE WHEN step = 3 THEN 'C-' || cabinet END, CASE WHEN step = 3 THEN cell END,
           CASE WHEN step IN (0, 2) THEN technician END, CASE WHEN step = 1 THEN scooter END, 90,
           CASE step WHEN 0 THEN md5('issue' || cabinet || '/' || round || '/' || part)::uuid
                     WHEN 3 THEN md5('return' || cabinet || '/' || round || '/' || part)::uuid END,
           CASE WHEN step IN (1, 2)
                THEN md5('swap' || cabinet || '/' || cell || '/' || round || '/' || step)::uuid END
      FROM (SELECT *, 'S-' || 1 + (cabinet * 31 + round) %% %(scooters)s AS scooter
              FROM ({_ROUND}) v) v,
           generate_series(part * 5 + 1, part * 5 + 5) cell,
           (VALUES (0, 'issued'), (1, 'swapped'), (2, 'swapped'), (3, 'returned'))
                AS steps (step, cause)
     ORDER BY at, step""",  # noqa: S608 - constants
)
