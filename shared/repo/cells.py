"""Cells: their evidence and their health."""

from collections.abc import Collection, Mapping

from shared import states
from shared.db import Row, Tx


def of_cabinets(tx: Tx, cabinet_ids: Collection[str]) -> list[Row]:
    """Return every cell of these cabinets with its evidence."""
    sql = """
        SELECT cabinet_id, cell_number, door, content, reported_id, fault, health, health_reason,
               boot_no, seq, reported_at, opened_by, held_back
          FROM cells
         WHERE cabinet_id = ANY (%(cabinet_ids)s)"""
    return tx.all(sql, {"cabinet_ids": [*cabinet_ids]})


def describe(tx: Tx, cabinet_id: str, cell_number: int | None = None) -> list[Row]:
    """Return a cabinet's cells, or one of them, with contents and holds, by number."""
    sql = """
        SELECT s.cell_number, s.door, s.content, s.accumulator_id, s.battery_charge, s.health,
               s.health_reason, s.booking_id, x.requested_by,
               greatest(s.reported_at, c.reported_at) AS reported_at,
               CASE WHEN x.held_back THEN x.reported_id END AS held_back_id
          FROM stock s
          JOIN cabinets c USING (cabinet_id)
          JOIN cells x USING (cabinet_id, cell_number)
         WHERE s.cabinet_id = %(cabinet_id)s
           AND (%(cell_number)s::integer IS NULL OR s.cell_number = %(cell_number)s)
         ORDER BY s.cell_number"""
    return tx.all(sql, {"cabinet_id": cabinet_id, "cell_number": cell_number})


def set_health(tx: Tx, cabinet_id: str, cells: Collection[int], health: str, reason: str) -> int:
    """Set the health of cells: ok, faulty or disabled; return how many exist."""
    sql = """
        UPDATE cells
           SET health = %(health)s,
               health_since = CASE WHEN health = %(health)s THEN health_since ELSE now() END,
               health_reason = CASE WHEN %(health)s = 'ok' THEN NULL ELSE %(reason)s END,
               requested_by = CASE WHEN health = %(health)s
                                    AND (health = 'ok' OR health_reason = %(reason)s)
                                   THEN requested_by ELSE caller() END
         WHERE cabinet_id = %(cabinet_id)s AND cell_number = ANY (%(cells)s)"""
    params = {"cabinet_id": cabinet_id, "cells": [*cells], "health": health, "reason": reason}
    return tx.execute(sql, params)


def in_use_above(tx: Tx, totals: Mapping[str, int]) -> dict[str, list[int]]:
    """Return the cells above these numbers of cells that cannot be removed now, by cabinet.

    They are not closed and empty, are held, or may be opened by a command. A cell that the cabinet
    has never reported does not exist.
    """
    sql = """
        SELECT c.cabinet_id, array_agg(c.cell_number::integer ORDER BY c.cell_number) AS cells
          FROM jsonb_to_recordset(%(rows)s::jsonb) AS t (cabinet_id text, cells_total smallint)
          JOIN cells c USING (cabinet_id)
          LEFT JOIN accumulators a USING (cabinet_id, cell_number)
          LEFT JOIN holds h USING (cabinet_id, cell_number)
         WHERE c.cell_number > t.cells_total
           AND (a.accumulator_id IS NOT NULL OR h.booking_id IS NOT NULL
                OR NOT (c.reported_at IS NULL AND c.content = 'unknown'
                        OR c.door = 'closed' AND c.content = 'empty')
                OR EXISTS (SELECT FROM commands m
                            WHERE m.cabinet_id = c.cabinet_id AND m.status = ANY (%(unsettled)s)
                              AND m.payload -> 'cells' @> to_jsonb(c.cell_number)))
         GROUP BY c.cabinet_id"""
    found = tx.batch(sql, _rows(totals), unsettled=[*states.COMMAND_UNSETTLED])
    return {row["cabinet_id"]: row["cells"] for row in found}


def resize(tx: Tx, totals: Mapping[str, int]) -> None:
    """Add the cells that cabinets with these numbers of cells lack, and remove those above."""
    sql = """
        DELETE FROM cells c
         USING jsonb_to_recordset(%(rows)s::jsonb) AS t (cabinet_id text, cells_total smallint)
         WHERE c.cabinet_id = t.cabinet_id AND c.cell_number > t.cells_total"""
    tx.queue_batch(sql, _rows(totals))
    sql = """
        INSERT INTO cells (cabinet_id, cell_number)
        SELECT cabinet_id, generate_series(1, cells_total)
          FROM jsonb_to_recordset(%(rows)s::jsonb) AS t (cabinet_id text, cells_total smallint)
        ON CONFLICT DO NOTHING"""
    tx.queue_batch(sql, _rows(totals))


def _rows(totals: Mapping[str, int]) -> list[Row]:
    return [{"cabinet_id": id_, "cells_total": total} for id_, total in totals.items()]


def save(tx: Tx, rows: list[Row]) -> None:
    """Save the evidence of many cells."""
    sql = """
        UPDATE cells c
           SET door = t.door, content = t.content, reported_id = t.reported_id, fault = t.fault,
               health = t.health, health_reason = t.health_reason, boot_no = t.boot_no, seq = t.seq,
               opened_by = t.opened_by, held_back = t.held_back, reported_at = now(),
               health_since = CASE WHEN (c.health, c.fault IS NULL) = (t.health, t.fault IS NULL)
                                   THEN c.health_since ELSE now() END,
               requested_by = CASE WHEN c.health = t.health THEN c.requested_by END
          FROM jsonb_to_recordset(%(rows)s::jsonb)
               AS t (cabinet_id text, cell_number smallint, door text, content text,
                     reported_id text, fault text, health text, health_reason text,
                     boot_no integer, seq bigint, opened_by uuid, held_back boolean)
         WHERE c.cabinet_id = t.cabinet_id AND c.cell_number = t.cell_number"""
    tx.queue_batch(sql, rows)
