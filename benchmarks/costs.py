"""What a month costs: the formulae and the assumed prices of docs/deploying.md, "Costs"."""

from dataclasses import dataclass

MILLION_SECONDS = 2.63
"""A month."""
HOURS = 730
GIGABYTES = 0.25
"""Memory of a function."""
LABEL_VALUES = 1000
"""Cabinets whose metrics are written, at most (shared/monitoring.py)."""


@dataclass(frozen=True, kw_only=True)
class Load:
    """What there is to pay for."""

    requests: float
    """A second."""
    batches: float
    """Calls of mqtt_trigger, millions a month."""
    function_seconds: float
    """A second, all functions together: how many instances are busy at once, on average."""
    cabinets: int
    log_gigabytes: float = 2
    hosts: int = 2
    cores: int = 2
    """Of a database host, with four gigabytes each."""
    disk_gigabytes: float = 20


def monthly(load: Load) -> dict[str, float]:
    """Roubles by what they are paid for."""
    calls = 2 * MILLION_SECONDS * load.requests + 0.044 + load.batches
    gigabyte_hours = load.function_seconds * MILLION_SECONDS * 1e6 / 3600 * GIGABYTES
    host = HOURS * load.cores * (1.7 + 4 * 0.45) + load.disk_gigabytes * 20
    metrics = 4 * min(load.cabinets, LABEL_VALUES) * HOURS * 60 / 1e6
    return {
        "gateway": max(0, MILLION_SECONDS * load.requests - 0.1) * 120,
        "function calls": max(0, calls - 1) * 18,
        "function time": max(0, gigabyte_hours - 10) * 6,
        "database": load.hosts * host,
        "broker": HOURS * (2 * 0.8 + 2 * 0.3 + 0.26) + 20 * 15,
        "logs": load.log_gigabytes * 15,
        "metrics": metrics * 5,
        "Lockbox, snapshots, queues": 100,
    }
