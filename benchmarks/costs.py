"""The cost of a month: the formulas and assumed prices of docs/deploying.md, "Costs"."""

from dataclasses import dataclass

MILLION_SECONDS = 2.63
"""Per month."""
HOURS = 730
GIGABYTES = 0.25
"""Memory of a function instance."""
LABEL_VALUES = 1000
"""Maximum number of cabinets with metrics (shared/monitoring.py)."""


@dataclass(frozen=True, kw_only=True)
class Load:
    """What the cost depends on."""

    requests: float
    """Per second."""
    batches: float
    """Calls of mqtt_trigger, millions per month."""
    function_seconds: float
    """Per second, all functions together; that is, the average number of busy instances."""
    cabinets: int
    log_gigabytes: float = 2
    hosts: int = 2
    cores: int = 2
    """Per database host, with four gigabytes of memory each."""
    disk_gigabytes: float = 20


def monthly(load: Load) -> dict[str, float]:
    """Roubles per month by item."""
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
