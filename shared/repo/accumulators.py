"""Accumulators and the ledger of their movements."""

from collections.abc import Collection, Mapping, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple
from uuid import UUID

from shared.db import Row, Tx
from shared.values import Location

if TYPE_CHECKING:  # mqtt_trigger starts faster without the API's models
    from shared.models.accumulators import Cause

_COLUMNS = """accumulator_id, cabinet_id, cell_number, contractor_id, scooter_id, battery_charge,
       charge_at, state_of_health, status, is_unknown, requested_by"""


class Move(NamedTuple):
    """A change of an accumulator's place, and its cause."""

    accumulator_id: str
    to: Location
    cause: "Cause"
    booking_id: UUID | None = None
    command_id: UUID | None = None
    swap_id: UUID | None = None
    transfer_id: UUID | None = None
    discrepancy: bool = False
    reason: str | None = None


def location_in(row: Mapping[str, Any]) -> Location:
    """Return the place that an accumulator's row names."""
    return Location(**{name: row[name] for name in Location._fields})


def get(tx: Tx, accumulator_id: str) -> Row | None:
    """Return one accumulator."""
    return tx.first(
        f"SELECT {_COLUMNS} FROM accumulators WHERE accumulator_id = %(id)s",  # noqa: S608 - constant
        {"id": accumulator_id},
    )


def get_all(tx: Tx, accumulator_ids: Collection[str]) -> dict[str, Row]:
    """Return those of these accumulators that exist, by id."""
    sql = f"SELECT {_COLUMNS} FROM accumulators WHERE accumulator_id = ANY (%(ids)s)"  # noqa: S608 - constant
    return {row["accumulator_id"]: row for row in tx.all(sql, {"ids": [*accumulator_ids]})}


def lock(tx: Tx, accumulator_ids: Collection[str]) -> dict[str, Row]:
    """Lock accumulators in id order; return those that exist, by id."""
    sql = f"""
        SELECT {_COLUMNS} FROM accumulators
         WHERE accumulator_id = ANY (%(ids)s)
         ORDER BY accumulator_id
           FOR UPDATE"""  # noqa: S608 - the columns are a constant
    return {row["accumulator_id"]: row for row in tx.all(sql, {"ids": [*accumulator_ids]})}


def in_cells(tx: Tx, cabinet_ids: Collection[str], accumulator_ids: Collection[str]) -> list[Row]:
    """Return the accumulators in these cabinets, and those of the ids that are in any cell.

    They are not locked one by one: their cabinets' locks protect them.
    """
    sql = """
        SELECT accumulator_id, cabinet_id, cell_number, battery_charge, state_of_health, status,
               is_unknown
          FROM accumulators
         WHERE cabinet_id = ANY (%(cabinet_ids)s)
            OR (accumulator_id = ANY (%(ids)s) AND cabinet_id IS NOT NULL)"""
    return tx.all(sql, {"cabinet_ids": [*cabinet_ids], "ids": [*accumulator_ids]})


def lock_outside(tx: Tx, accumulator_ids: Collection[str]) -> list[str]:
    """Lock those that are in no cell, in id order; return their ids."""
    sql = """
        SELECT accumulator_id FROM accumulators
         WHERE accumulator_id = ANY (%(ids)s) AND cabinet_id IS NULL
         ORDER BY accumulator_id
           FOR UPDATE"""
    return [row["accumulator_id"] for row in tx.all(sql, {"ids": [*accumulator_ids]})]


def outside(tx: Tx, accumulator_ids: Collection[str]) -> list[Row]:
    """Return locked accumulators that are in no cell, and how they left the last one.

    `cause`, `command_id`: of the last movement that was neither a swap nor a transfer;
    `moved_on_since`: one of these followed; `is_declared`: nothing but a registration or an import
    has put it there. A statement of its own: the one that locks does not see what was written while
    it waited for the lock.
    """
    sql = """
        SELECT a.accumulator_id, a.contractor_id, a.scooter_id, a.battery_charge,
               a.state_of_health, a.status, a.is_unknown, m.cause, m.command_id,
               last.cause IN ('swapped', 'transferred') AS moved_on_since,
               last.cause = 'registered' OR last.cause = 'corrected' AND NOT last.discrepancy
               AS is_declared
          FROM accumulators a
          LEFT JOIN LATERAL (
               SELECT cause, command_id
                 FROM movements
                WHERE movements.accumulator_id = a.accumulator_id
                  AND cause NOT IN ('swapped', 'transferred')
                ORDER BY movement_id DESC
                LIMIT 1) m ON true
          LEFT JOIN LATERAL (
               SELECT cause, discrepancy
                 FROM movements
                WHERE movements.accumulator_id = a.accumulator_id
                  AND movements.at >= coalesce(a.moved_at, '-infinity')
                ORDER BY movement_id DESC
                LIMIT 1) last ON true
         WHERE a.accumulator_id = ANY (%(ids)s)"""
    return tx.all(sql, {"ids": [*accumulator_ids]})


def register(tx: Tx, rows: Sequence[Mapping[str, Any]]) -> set[str]:
    """Register accumulators with their first movement; return the ids that were new.

    `rows`: accumulator_id; battery_charge, state_of_health, status, is_unknown, found_by, place,
    and the movement's reason, if known.
    """
    sql = """
        WITH given AS (
            SELECT * FROM jsonb_to_recordset(%(rows)s::jsonb)
                AS t (accumulator_id text, cabinet_id text, cell_number smallint,
                      contractor_id text, scooter_id text, battery_charge smallint,
                      state_of_health smallint, status text, is_unknown boolean, found_by text,
                      reason text)),
        registered AS (
            INSERT INTO accumulators
                   (accumulator_id, cabinet_id, cell_number, contractor_id, scooter_id,
                    battery_charge, charge_at, state_of_health, status, status_since, is_unknown,
                    found_by, moved_at)
            SELECT accumulator_id, cabinet_id, cell_number, contractor_id, scooter_id,
                   battery_charge, CASE WHEN battery_charge IS NOT NULL THEN now() END,
                   state_of_health, coalesce(status, 'in_service'), now(),
                   coalesce(is_unknown, false), found_by, now()
              FROM given
             ORDER BY accumulator_id
            ON CONFLICT (accumulator_id) DO NOTHING
            RETURNING *)
        INSERT INTO movements (accumulator_id, cause, to_cabinet_id, to_cell_number,
                               to_contractor_id, to_scooter_id, battery_charge, reason)
        SELECT r.accumulator_id, 'registered', r.cabinet_id, r.cell_number, r.contractor_id,
               r.scooter_id, r.battery_charge, given.reason
          FROM registered r
          JOIN given USING (accumulator_id)
        RETURNING accumulator_id"""
    return {row["accumulator_id"] for row in tx.batch(sql, rows)}


def found_today(tx: Tx, cabinet_ids: Collection[str]) -> list[Row]:
    """Return how many accumulators each of these cabinets has had registered in 24 hours."""
    sql = """
        SELECT found_by AS cabinet_id, count(*) AS found FROM accumulators
         WHERE found_by = ANY (%(cabinet_ids)s) AND created_at > now() - interval '24 hours'
         GROUP BY found_by"""
    return tx.all(sql, {"cabinet_ids": [*cabinet_ids]})


def move(tx: Tx, moves: Sequence[Move]) -> None:
    """Change places and write the ledger, in one statement for each round.

    The caller has locked the accumulators, or the cabinets that they are in. An accumulator that
    moves twice moves in two rounds, in the given order.
    """
    sql = """
        WITH target AS (
            SELECT * FROM jsonb_to_recordset(%(rows)s::jsonb)
                AS t (accumulator_id text, cabinet_id text, cell_number smallint,
                      contractor_id text, scooter_id text, cause text, booking_id uuid,
                      command_id uuid, swap_id uuid, transfer_id uuid, discrepancy boolean,
                      reason text, n integer)),
        before AS (
            SELECT a.* FROM accumulators a JOIN target USING (accumulator_id)),
        moved AS (
            UPDATE accumulators a
               SET cabinet_id = t.cabinet_id, cell_number = t.cell_number,
                   contractor_id = t.contractor_id, scooter_id = t.scooter_id, moved_at = now()
              FROM target t
             WHERE a.accumulator_id = t.accumulator_id
            RETURNING a.accumulator_id, a.battery_charge)
        INSERT INTO movements (accumulator_id, cause, from_cabinet_id, from_cell_number,
                               from_contractor_id, from_scooter_id, to_cabinet_id, to_cell_number,
                               to_contractor_id, to_scooter_id, battery_charge, booking_id,
                               command_id, swap_id, transfer_id, discrepancy, reason)
        SELECT t.accumulator_id, t.cause, b.cabinet_id, b.cell_number, b.contractor_id,
               b.scooter_id, t.cabinet_id, t.cell_number, t.contractor_id, t.scooter_id,
               moved.battery_charge, t.booking_id, t.command_id, t.swap_id, t.transfer_id,
               t.discrepancy, t.reason
          FROM target t
          JOIN before b USING (accumulator_id)
          JOIN moved USING (accumulator_id)
         ORDER BY t.n
        RETURNING movement_id"""
    for moves_of_round in _rounds(moves):
        rows = [
            {**m._asdict(), **m.to._asdict(), "n": n} for n, m in enumerate(moves_of_round.values())
        ]
        if len(tx.batch(sql, rows)) != len(rows):
            raise LookupError("an accumulator to be moved does not exist")


def _rounds(moves: Sequence[Move]) -> list[dict[str, Move]]:
    """Split moves, in order, so that each round has an accumulator at most once."""
    rounds: list[dict[str, Move]] = [{}]
    for change in moves:
        if change.accumulator_id in rounds[-1]:
            rounds.append({})
        rounds[-1][change.accumulator_id] = change
    return rounds


def save_readings(tx: Tx, rows: list[Row]) -> None:
    """Save charge, state of health, status and `is_unknown` of many accumulators.

    The statuses have moved through `states.ACCUMULATOR`.
    """
    sql = """
        UPDATE accumulators a
           SET battery_charge = t.battery_charge, state_of_health = t.state_of_health,
               status = t.status, is_unknown = t.is_unknown,
               status_since = CASE WHEN a.status IS DISTINCT FROM t.status THEN now()
                                   ELSE a.status_since END,
               requested_by = CASE WHEN a.status IS DISTINCT FROM t.status
                                     OR a.battery_charge IS DISTINCT FROM t.battery_charge
                                        AND caller() IS NOT NULL
                                   THEN caller() ELSE a.requested_by END,
               charge_at = CASE WHEN a.battery_charge IS DISTINCT FROM t.battery_charge THEN now()
                                ELSE a.charge_at END
          FROM jsonb_to_recordset(%(rows)s::jsonb)
               AS t (accumulator_id text, battery_charge smallint, state_of_health smallint,
                     status text, is_unknown boolean)
         WHERE a.accumulator_id = t.accumulator_id"""
    tx.queue_batch(sql, rows)


def listing(tx: Tx, query: Mapping[str, Any]) -> list[Row]:
    """Return the accumulators that match, by id; one row more than `limit`."""
    sql = f"""
        SELECT {_COLUMNS} FROM accumulators
         WHERE (%(contractor_id)s::text IS NULL OR contractor_id = %(contractor_id)s)
           AND (%(cabinet_id)s::text IS NULL OR cabinet_id = %(cabinet_id)s)
           AND (%(scooter_id)s::text IS NULL OR scooter_id = %(scooter_id)s)
           AND (%(status)s::text IS NULL OR status = %(status)s)
           AND (%(min_charge)s::integer IS NULL OR battery_charge >= %(min_charge)s)
           AND (%(after)s::text IS NULL OR accumulator_id > %(after)s)
         ORDER BY accumulator_id
         LIMIT %(limit)s + 1"""  # noqa: S608 - the columns are a constant
    return tx.all(sql, query)


def movements(tx: Tx, accumulator_id: str, query: Mapping[str, Any]) -> list[Row]:
    """Return the chain of custody, newest first; one row more than `limit`.

    `query`: requested_by, before, limit; None for no condition.
    """
    sql = """
        SELECT * FROM movements
         WHERE accumulator_id = %(accumulator_id)s
           AND (%(requested_by)s::text IS NULL OR requested_by = %(requested_by)s)
           AND (%(before)s::bigint IS NULL OR movement_id < %(before)s)
         ORDER BY movement_id DESC
         LIMIT %(limit)s + 1"""
    return tx.all(sql, {**query, "accumulator_id": accumulator_id})


def all_movements(tx: Tx, query: Mapping[str, Any]) -> list[Row]:
    """Return the movements that match, by time; one row more than `limit`.

    `query`: accumulator_id, cabinet_id, contractor_id, scooter_id, requested_by, reported_by,
    since, until, newest_first, after_at, after_id, limit; None for no condition.
    """
    order, follows = ("DESC", "<") if query["newest_first"] else ("ASC", ">")
    page = f"""
           AND at >= coalesce(%(since)s::timestamptz, '-infinity')
           AND at < coalesce(%(until)s::timestamptz, 'infinity')
           AND (%(after_id)s::bigint IS NULL
                OR (at, movement_id) {follows} (%(after_at)s::timestamptz, %(after_id)s::bigint))
           AND (%(accumulator_id)s::text IS NULL OR accumulator_id = %(accumulator_id)s)
           AND (%(cabinet_id)s::text IS NULL
                OR %(cabinet_id)s IN (from_cabinet_id, to_cabinet_id))
           AND (%(contractor_id)s::text IS NULL
                OR %(contractor_id)s IN (from_contractor_id, to_contractor_id))
           AND (%(scooter_id)s::text IS NULL
                OR %(scooter_id)s IN (from_scooter_id, to_scooter_id))
           AND (%(requested_by)s::text IS NULL OR requested_by = %(requested_by)s)
         ORDER BY at {order}, movement_id {order}
         LIMIT %(limit)s + 1"""
    source = _OF_ACCUMULATOR if query["accumulator_id"] is not None else "movements"
    conditions = _parts(query)
    parts = [f"(SELECT * FROM {source} WHERE {c}{page})" for c in conditions]  # noqa: S608 - constants
    sql = f"""
        SELECT * FROM ({" UNION ALL ".join(parts)}) m
         ORDER BY at {order}, movement_id {order}
         LIMIT %(limit)s + 1"""  # noqa: S608 - constants
    return tx.all(sql, query)


# OFFSET 0: found by its own index. In the order of time, each part of the ledger would be read up
# to the accumulator's first movement there.
_OF_ACCUMULATOR = """(
        SELECT * FROM movements
         WHERE accumulator_id = %(accumulator_id)s
           AND at >= coalesce(%(since)s::timestamptz, '-infinity')
           AND at < coalesce(%(until)s::timestamptz, 'infinity') OFFSET 0) one"""


def _parts(query: Mapping[str, Any]) -> list[str]:
    """Return conditions that split the movements of a place: each part follows an index.

    Messages move accumulators into their cabinet, and out of it to where it has no cells.
    """
    if query["reported_by"] is not None:
        into = "to_cabinet_id = %(reported_by)s"
        out = "from_cabinet_id = %(reported_by)s AND to_cabinet_id IS NULL"
        return [
            f"{into} AND cause IN ('reported', 'returned', 'not_collected')",
            f"{out} AND cause IN ('reported', 'issued')",
        ]
    for place in ("scooter_id", "contractor_id", "cabinet_id"):
        if query[place] is not None:
            return [
                f"from_{place} = %({place})s",
                f"to_{place} = %({place})s AND from_{place} IS DISTINCT FROM to_{place}",
            ]
    return ["true"]


def last_movements(tx: Tx, accumulator_ids: Collection[str]) -> list[Row]:
    """Return the last movement of each of these accumulators."""
    sql = """
        SELECT m.*
          FROM accumulators a
         CROSS JOIN LATERAL (
               SELECT * FROM movements
                WHERE movements.accumulator_id = a.accumulator_id
                  AND movements.at >= coalesce(a.moved_at, '-infinity')
                ORDER BY movement_id DESC
                LIMIT 1) m
         WHERE a.accumulator_id = ANY (%(ids)s)"""
    return tx.all(sql, {"ids": [*accumulator_ids]})


def moved_by_swap(tx: Tx, swap_id: UUID) -> list[Row]:
    """Return the movements that a swap made."""
    sql = "SELECT * FROM movements WHERE swap_id = %(swap_id)s ORDER BY movement_id"
    return tx.all(sql, {"swap_id": swap_id})


def moved_by_transfer(tx: Tx, transfer_id: UUID) -> list[Row]:
    """Return the movements that a transfer made."""
    sql = "SELECT * FROM movements WHERE transfer_id = %(transfer_id)s ORDER BY movement_id"
    return tx.all(sql, {"transfer_id": transfer_id})


def moved_otherwise(tx: Tx, accumulator_ids: Collection[str]) -> set[str]:
    """Return those that have moved by anything but a registration and imports.

    A person may give the reason `imported` for a correction; that is a discrepancy, an import is
    not.
    """
    sql = """
        SELECT DISTINCT accumulator_id FROM movements
         WHERE accumulator_id = ANY (%(ids)s) AND cause <> 'registered'
           AND NOT (cause = 'corrected' AND reason = 'imported' AND NOT discrepancy)"""
    return {row["accumulator_id"] for row in tx.all(sql, {"ids": [*accumulator_ids]})}


def lock_scooter(tx: Tx, scooter_id: str) -> None:
    """Keep other swaps away from this scooter until the transaction ends."""
    sql = "SELECT pg_advisory_xact_lock(hashtextextended(%(scooter_id)s, 0))"
    tx.execute(sql, {"scooter_id": scooter_id})


def in_scooter(tx: Tx, scooter_id: str) -> list[str]:
    """Return the accumulators that are recorded in a scooter."""
    sql = "SELECT accumulator_id FROM accumulators WHERE scooter_id = %(scooter_id)s"
    return [row["accumulator_id"] for row in tx.all(sql, {"scooter_id": scooter_id})]


def booked(tx: Tx, accumulator_id: str) -> bool:
    """Whether an unfinished booking holds it."""
    sql = "SELECT EXISTS (SELECT FROM holds WHERE accumulator_id = %(id)s) AS booked"
    return bool(tx.one(sql, {"id": accumulator_id})["booked"])
