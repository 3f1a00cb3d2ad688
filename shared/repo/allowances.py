"""Allowances: how many units each API key may still spend, filled up as time passes."""

from shared.db import Tx


def spend(tx: Tx, caller: str, *, cost: int, per_second: float, most: int) -> bool:
    """Take `cost` units from the caller's allowance; False, and nothing is taken, if it has less.

    The allowance grows by `per_second` up to `most`, which it begins with.
    """
    sql = """
        INSERT INTO allowances AS a (caller, units, at)
        VALUES (%(caller)s, %(most)s - %(cost)s, now())
        ON CONFLICT (caller) DO UPDATE
           SET units = least(%(most)s, a.units
                             + greatest(0, extract(epoch FROM now() - a.at)) * %(per_second)s)
                       - %(cost)s,
               at = greatest(a.at, now())
         WHERE a.units + greatest(0, extract(epoch FROM now() - a.at)) * %(per_second)s >= %(cost)s
        RETURNING units"""
    given = {"caller": caller, "cost": cost, "per_second": per_second, "most": most}
    return tx.first(sql, given) is not None
