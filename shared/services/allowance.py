"""Fairness between API keys: each has an allowance for the routes that cost the database most.

It is a row in the database: function instances are many and short-lived, and share nothing else.
"""

import math

from shared.config import Settings
from shared.db import Tx
from shared.errors import RateLimited
from shared.repo import allowances


def spend(tx: Tx, caller: str, cost: int, settings: Settings) -> None:
    """Take `cost` units, a route's `cost`, from the caller's allowance.

    Raises RateLimited if less is left; `retry_after_s` is when there is enough, if the caller asks
    for nothing else until then.
    """
    per_second = settings.rate_limit_per_second
    if per_second == 0:
        return
    if not allowances.spend(
        tx, caller, cost=cost, per_second=per_second, most=settings.rate_limit_burst
    ):
        raise RateLimited(retry_after_s=math.ceil(cost / per_second))
