"""The service in numbers: for people (GET /v1/stats) and for Monitoring."""

from typing import Any

from shared import db, replica
from shared.config import Settings
from shared.db import Tx
from shared.models.stats import AnswerTimes, Audit, CabinetStock, Stats, Violation
from shared.monitoring import MAX_LABEL_VALUES, Metric
from shared.repo import events, stats, webhooks


def describe(tx: Tx, settings: Settings) -> Stats:
    """Return all statistics, with the audit of the invariants."""
    counts: dict[str, dict[str, int]] = {"bookings": {}, "commands": {}, "anomalies": {}}
    for row in stats.outcomes(tx):
        counts[row["what"]][row["name"]] = row["n"]
    violations = [Violation.model_validate(row) for row in stats.violations(tx)]
    return Stats(
        cabinets=[
            CabinetStock.model_validate(row) for row in stats.stocks(tx, settings.min_issue_charge)
        ],
        contractors=stats.contractors(tx),
        places=stats.places(tx),
        answer_times=AnswerTimes.model_validate(stats.answer_times(tx)),
        audit=Audit(ok=not violations, violations=violations),
        **counts,
    )


def metrics(settings: Settings) -> list[Metric]:
    """Return the product's gauges; cabinets and contractors up to the limit of a label's values."""
    with replica.reads() as tx:
        found = _metrics(tx, settings)
    with db.statements() as tx:  # of the primary: a replica counts no rows
        found.append(Metric("database_rows_written", stats.rows_written(tx)))
    return found


def _metrics(tx: Tx, settings: Settings) -> list[Metric]:
    found = [
        metric
        for row in stats.stocks(tx, settings.min_issue_charge, limit=MAX_LABEL_VALUES)
        for metric in _of_cabinet(row)
    ]
    for contractor_id, count in list(stats.contractors(tx).items())[:MAX_LABEL_VALUES]:
        found.append(Metric("contractor_accumulators", count, {"contractor_id": contractor_id}))
    found += [Metric("accumulators", n, {"place": kind}) for kind, n in stats.places(tx).items()]
    found += [Metric(row["what"], row["n"], {"outcome": row["name"]}) for row in stats.outcomes(tx)]
    times = stats.answer_times(tx)
    found += [
        Metric(f"answer_{name}", times[name])
        for name in ("median_ms", "p99_ms", "max_ms")
        if times[name] is not None
    ]
    found.append(Metric("feed_waiting_seconds", events.waiting_seconds(tx)))
    found += [
        Metric("webhook_lag_seconds", row["seconds"], {"webhook_id": str(row["webhook_id"])})
        for row in webhooks.lags(tx)
    ]
    return found


def _of_cabinet(row: dict[str, Any]) -> list[Metric]:
    label = {"cabinet_id": row["cabinet_id"]}
    counted = [
        Metric("cabinet_accumulators", row["accumulators"], label),
        Metric("cabinet_available", row["available"], label),
    ]
    if row["charge_mean"] is not None:
        counted.append(Metric("cabinet_charge_mean", row["charge_mean"], label))
        counted.append(Metric("cabinet_charge_min", row["charge_min"], label))
    return counted
