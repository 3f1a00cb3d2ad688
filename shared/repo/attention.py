"""What needs a person: unfinished business of cabinets, commands, accumulators and anomalies."""

from collections.abc import Mapping
from typing import Any

from shared.db import Row, Tx
from shared.models.attention import KINDS, AttentionKind

# Items of each kind: since when, the ids that apply, and a detail. Whatever grows with the years
# is found through an index.
_ITEMS: dict[AttentionKind, str] = {
    "cabinet_alarm": """
        SELECT alarms_since AS since, jsonb_build_object('cabinet_id', cabinet_id) AS ids,
               array_to_string(alarms, ', ') AS detail
          FROM cabinets
         WHERE status = 'active' AND alarms <> '{}'""",
    "cabinet_suspect": """
        SELECT suspect_since AS since, jsonb_build_object('cabinet_id', cabinet_id) AS ids,
               suspect_reason || CASE held WHEN 0 THEN '' ELSE '; held back: ' || held END AS detail
          FROM cabinets
         CROSS JOIN LATERAL (
               SELECT count(*) AS held FROM cells
                WHERE cells.cabinet_id = cabinets.cabinet_id AND held_back) h
         WHERE suspect_since IS NOT NULL""",
    "cabinet_offline": """
        SELECT last_seen_at AS since, jsonb_build_object('cabinet_id', cabinet_id) AS ids,
               CASE WHEN last_seen_at IS NULL THEN 'never seen'
                    WHEN signed_off THEN 'its connection was lost'
                    ELSE 'silent' END AS detail
          FROM cabinets
         WHERE status = 'active' AND (signed_off OR last_seen_at IS NULL OR last_seen_at
                   <= now() - make_interval(secs => %(offline_after)s))""",
    "command_unresolved": """
        SELECT created_at AS since,
               jsonb_build_object('command_id', command_id, 'cabinet_id', cabinet_id,
                                  'contractor_id', contractor_id) AS ids,
               CASE count(*) WHEN 1 THEN 'cell ' ELSE 'cells ' END
               || string_agg(cell_number::text, ', ' ORDER BY cell_number) AS detail
          FROM in_doubt
         GROUP BY command_id, cabinet_id, contractor_id, created_at""",
    "accumulator_missing": """
        SELECT status_since AS since, jsonb_build_object(
                   'accumulator_id', accumulator_id, 'cabinet_id', cabinet_id,
                   'cell_number', cell_number, 'contractor_id', contractor_id) AS ids,
               'missing' AS detail
          FROM accumulators
         WHERE status = 'missing'""",
    "anomaly": """
        SELECT first_at AS since, jsonb_build_object(
                   'anomaly_id', anomaly_id, 'cabinet_id', cabinet_id,
                   'accumulator_id', accumulator_id) AS ids,
               reason || CASE WHEN detail = '' THEN '' ELSE ': ' || detail END AS detail
          FROM (SELECT * FROM anomalies WHERE open AND reason <> 'inserted_without_booking'
                 ORDER BY first_at, anomaly_id LIMIT %(most)s) oldest""",
    "held_too_long": """
        SELECT min(at) AS since, jsonb_build_object('contractor_id', contractor_id) AS ids,
               count(*) || CASE count(*) WHEN 1 THEN ' accumulator' ELSE ' accumulators' END
               AS detail
          FROM accumulators a
         CROSS JOIN LATERAL (
               SELECT at FROM movements m
                WHERE m.accumulator_id = a.accumulator_id
                  AND m.at >= coalesce(a.moved_at, '-infinity')
                ORDER BY movement_id DESC LIMIT 1) last
         WHERE contractor_id IS NOT NULL
           AND at < now() - make_interval(secs => 3600 * %(held_hours)s)
         GROUP BY contractor_id""",
    "accumulator_quarantined": """
        SELECT status_since AS since, jsonb_build_object(
                   'accumulator_id', accumulator_id, 'cabinet_id', cabinet_id,
                   'cell_number', cell_number, 'contractor_id', contractor_id) AS ids,
               CASE WHEN is_unknown THEN 'unknown: nobody has registered it'
                    ELSE 'quarantined' END AS detail
          FROM accumulators
         WHERE status = 'quarantined'""",
    "cell_faulty": """
        SELECT health_since AS since, jsonb_build_object(
                   'cabinet_id', cabinet_id, 'cell_number', cell_number) AS ids,
               CASE WHEN health = 'ok' THEN fault ELSE health_reason END AS detail
          FROM cells
         WHERE (health <> 'ok' OR fault IS NOT NULL) AND health <> 'disabled'""",
    "cell_disabled": """
        SELECT health_since AS since, jsonb_build_object(
                   'cabinet_id', cabinet_id, 'cell_number', cell_number) AS ids,
               health_reason AS detail
          FROM cells c
         WHERE (health <> 'ok' OR fault IS NOT NULL) AND health = 'disabled'
           AND NOT EXISTS (SELECT FROM in_doubt d WHERE d.cabinet_id = c.cabinet_id
                              AND d.cell_number = c.cell_number)""",
}

# Cells that are disabled because of an unlock without a known outcome, with the last such command.
_IN_DOUBT = """
        SELECT c.cabinet_id, c.cell_number, m.command_id, m.created_at, m.contractor_id
          FROM cells c
         CROSS JOIN LATERAL (
               SELECT m.command_id, m.created_at,
                      coalesce(m.contractor_id, b.contractor_id) AS contractor_id
                 FROM commands m
                 LEFT JOIN bookings b USING (booking_id)
                WHERE m.cabinet_id = c.cabinet_id AND m.status = 'unresolved'
                  AND m.kind = ANY (%(opening)s)
                  AND m.payload -> 'cells' @> to_jsonb(c.cell_number)
                ORDER BY m.created_at DESC, m.command_id
                LIMIT 1) m
         WHERE (health <> 'ok' OR fault IS NOT NULL) AND health = 'disabled'
           AND health_reason = 'unresolved'"""


def find(tx: Tx, query: Mapping[str, Any]) -> Row:
    """Return `counts` by kind, and `items`: most urgent first, the oldest of a kind first.

    `query`: kind (None: all), limit, offline_after (seconds), held_hours, opening (the kinds of
    commands that open cells), most (of one kind).
    """
    of_kinds = [
        f"(SELECT {urgency} AS urgency, '{kind}' AS kind, t.* FROM ({_ITEMS[kind]}) t"  # noqa: S608 - constants
        " ORDER BY since NULLS FIRST, ids LIMIT %(most)s)"
        for urgency, kind in enumerate(KINDS)
    ]
    sql = f"""
        WITH in_doubt AS MATERIALIZED ({_IN_DOUBT}),
        item AS MATERIALIZED ({" UNION ALL ".join(of_kinds)})
        SELECT (SELECT coalesce(jsonb_object_agg(kind, n), '{{}}')
                  FROM (SELECT kind, count(*) AS n FROM item GROUP BY kind) counted) AS counts,
               (SELECT coalesce(jsonb_agg(jsonb_build_object(
                           'kind', kind, 'since', since, 'detail', detail) || ids
                           ORDER BY urgency, since NULLS FIRST, ids), '[]')
                  FROM (SELECT * FROM item
                         WHERE %(kind)s::text IS NULL OR kind = %(kind)s
                         ORDER BY urgency, since NULLS FIRST, ids
                         LIMIT %(limit)s) shown) AS items"""  # noqa: S608 - constants
    return tx.one(sql, query)
