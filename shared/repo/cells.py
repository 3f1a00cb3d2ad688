"""Cells: what evidence and people say of them."""

from collections.abc import Collection

from shared.db import Row, Tx


def of_cabinets(tx: Tx, cabinet_ids: Collection[str]) -> list[Row]:
    """Every cell of these cabinets, as evidence left it."""
    sql = """
        SELECT cabinet_id, cell_number, door, content, reported_id, fault, health, health_reason,
               boot_no, seq, opened_by
          FROM cells
         WHERE cabinet_id = ANY (%(cabinet_ids)s)"""
    return tx.all(sql, {"cabinet_ids": [*cabinet_ids]})


def describe(tx: Tx, cabinet_id: str, cell_number: int | None = None) -> list[Row]:
    """One cabinet's cells, or one of them, with contents and holds, by number."""
    sql = """
        SELECT s.cell_number, s.door, s.content, s.accumulator_id, s.battery_charge, s.health,
               s.health_reason, s.booking_id, greatest(s.reported_at, c.reported_at) AS reported_at
          FROM stock s
          JOIN cabinets c USING (cabinet_id)
         WHERE s.cabinet_id = %(cabinet_id)s
           AND (%(cell_number)s::integer IS NULL OR s.cell_number = %(cell_number)s)
         ORDER BY s.cell_number"""
    return tx.all(sql, {"cabinet_id": cabinet_id, "cell_number": cell_number})


def set_health(tx: Tx, cabinet_id: str, cells: Collection[int], health: str, reason: str) -> int:
    """Say that cells are ok, faulty or disabled; how many there were."""
    sql = """
        UPDATE cells
           SET health = %(health)s,
               health_reason = CASE WHEN %(health)s = 'ok' THEN NULL ELSE %(reason)s END
         WHERE cabinet_id = %(cabinet_id)s AND cell_number = ANY (%(cells)s)"""
    params = {"cabinet_id": cabinet_id, "cells": [*cells], "health": health, "reason": reason}
    return tx.execute(sql, params)


def save(tx: Tx, rows: list[Row]) -> None:
    """What evidence changed, for many cells at once."""
    sql = """
        UPDATE cells c
           SET door = t.door, content = t.content, reported_id = t.reported_id, fault = t.fault,
               health = t.health, health_reason = t.health_reason, boot_no = t.boot_no, seq = t.seq,
               opened_by = t.opened_by, reported_at = now()
          FROM jsonb_to_recordset(%(rows)s::jsonb)
               AS t (cabinet_id text, cell_number smallint, door text, content text,
                     reported_id text, fault text, health text, health_reason text,
                     boot_no integer, seq bigint, opened_by uuid)
         WHERE c.cabinet_id = t.cabinet_id AND c.cell_number = t.cell_number"""
    tx.write_batch(sql, rows)
