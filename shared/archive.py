"""The archive of the ledger: a file for each month, verified before its movements are dropped.

A file has the movements of a calendar month (UTC) in the order of their numbers, one JSON object on
each line, compressed by gzip. It names contractors by pseudonyms, so that an erasure needs no
access to it (docs/decisions/0025). The archive is a bucket that the platform mounts, or any
directory.
"""

import gzip
import hashlib
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import UTC, date, datetime
from itertools import groupby, islice
from operator import attrgetter
from pathlib import Path
from typing import Any, NamedTuple

from shared import log

Connection = Any
"""Of the driver, with the owner's rights."""

_MONTHS = """
    SELECT p.name, m.month::date AS month,
           m.month AT TIME ZONE 'UTC' AS from_at,
           (m.month + interval '1 month') AT TIME ZONE 'UTC' AS until_at
      FROM movement_partitions p
     CROSS JOIN LATERAL generate_series(
           date_trunc('month', greatest(p.from_at, coalesce((SELECT min(at) FROM movements),
                                                     p.until_at))
                               AT TIME ZONE 'UTC'),
           p.until_at AT TIME ZONE 'UTC' - interval '1 day', interval '1 month') m (month)
      LEFT JOIN archived_months a ON a.month = m.month
     WHERE p.until_at <= %(before)s AND a.dropped_at IS NULL
     ORDER BY m.month"""

# Of the contractors that a month names; "handed over by …": shared/services/transfers.py.
_PSEUDONYMS = """
    INSERT INTO contractor_pseudonyms (contractor_id)
    SELECT DISTINCT named
      FROM movements m
     CROSS JOIN LATERAL (VALUES (from_contractor_id), (to_contractor_id),
                (CASE cause WHEN 'transferred' THEN
                     substring(reason FROM '^handed over by ([^ ]{1,64})$') END)) n (named)
     WHERE at >= %(from_at)s AND at < %(until_at)s
       AND named IS NOT NULL AND named NOT LIKE 'pseudonym:%%'
    ON CONFLICT DO NOTHING"""

_ROWS = """
    SELECT jsonb_strip_nulls(to_jsonb(m) || jsonb_build_object(
               'from_contractor_id', coalesce(f.pseudonym, m.from_contractor_id),
               'to_contractor_id', coalesce(t.pseudonym, m.to_contractor_id),
               'reason', renamed(renamed(renamed(m.reason, f.contractor_id, f.pseudonym),
                                         t.contractor_id, t.pseudonym),
                                 g.contractor_id, g.pseudonym)))::text
      FROM movements m
      LEFT JOIN contractor_pseudonyms f ON f.contractor_id = m.from_contractor_id
      LEFT JOIN contractor_pseudonyms t ON t.contractor_id = m.to_contractor_id
      LEFT JOIN contractor_pseudonyms g ON m.cause = 'transferred'
                AND g.contractor_id = substring(m.reason FROM '^handed over by ([^ ]{1,64})$')
     WHERE m.at >= %(from_at)s AND m.at < %(until_at)s
     ORDER BY m.movement_id"""

_LOAD = """
    INSERT INTO {table} SELECT r.*
      FROM unnest(%(lines)s::text[]) AS l (line),
           jsonb_populate_record(NULL::movements, l.line::jsonb) r"""

_NAME = """
    UPDATE {table} r SET {side}_contractor_id = p.contractor_id
      FROM contractor_pseudonyms p WHERE p.pseudonym = r.{side}_contractor_id"""

_NAME_IN_REASONS = """
    UPDATE {table} r SET reason = renamed(r.reason, p.pseudonym, p.contractor_id)
      FROM contractor_pseudonyms p
     WHERE p.pseudonym = substring(r.reason FROM 'pseudonym:[0-9a-f]{{32}}')"""


class ArchiveDiffers(RuntimeError):
    """A file in the archive is damaged, or is not what the ledger has; nothing was dropped."""


class Month(NamedTuple):
    """A calendar month (UTC), and the part of the ledger that has its movements."""

    part: str
    month: date
    from_at: datetime
    until_at: datetime

    @property
    def name(self) -> str:
        """As 2026-11."""
        return f"{self.month:%Y-%m}"


@dataclass(frozen=True)
class Content:
    """The lines of a file: how many, and the SHA-256 of all."""

    movements: int
    sha256: str


def archive(connection: Connection, directory: Path, *, before: date) -> dict[str, list[str]]:
    """Archive the months that end before the month of `before`; drop their movements.

    Return {"archived": months, "dropped": parts}. It may be stopped at any moment and run again.
    A part of the ledger is dropped once each of its months is archived, and its file, read again,
    has exactly what the ledger has. Raises ArchiveDiffers, ValueError for a month that has not
    begun, OSError if a file cannot be written.
    """
    done: dict[str, list[str]] = {"archived": [], "dropped": []}
    limit = datetime(before.year, before.month, 1, tzinfo=UTC)
    if limit > datetime.now(UTC):
        raise ValueError(f"{before:%Y-%m} has not begun: name a month up to this one")
    with connection, connection.cursor() as cursor:
        cursor.execute("SET timezone = 'UTC'")
        cursor.execute(_MONTHS, {"before": limit})
        months = [Month(*row) for row in cursor.fetchall()]
    for part, group in groupby(months, attrgetter("part")):
        of_part = list(group)
        done["archived"] += [
            month.name for month in of_part if _store(connection, directory, month)
        ]
        for month in of_part:
            _verify(connection, directory, month)
        _drop(connection, part, of_part)
        done["dropped"].append(part)
    return done


def restore(connection: Connection, directory: Path, *, month: date) -> str:
    """Load an archived month into a table of its own; return the table's name.

    Contractors have their ids again, unless they were erased since. A table of an earlier restore
    is replaced. Raises LookupError if the month is not archived, ArchiveDiffers.
    """
    table = f"restored_movements_{month:%Y_%m}"
    with connection, connection.cursor() as cursor:
        path, recorded = _record(cursor, directory, month)
        if read(path) != recorded:
            raise ArchiveDiffers(f"{path} is not what was archived: restore it from a copy")
        cursor.execute(f"DROP TABLE IF EXISTS {table}")
        cursor.execute(f"CREATE TABLE {table} (LIKE movements)")
        with gzip.open(path, "rt", encoding="utf-8") as lines:
            while batch := [*islice(lines, 10_000)]:
                cursor.execute(_LOAD.format(table=table), {"lines": batch})
        for side in ("from", "to"):
            cursor.execute(_NAME.format(table=table, side=side))
        cursor.execute(_NAME_IN_REASONS.format(table=table))
    return table


def read(path: Path) -> Content:
    """Return what a file has. Raises ArchiveDiffers if it cannot be read."""
    try:
        with gzip.open(path, "rb") as lines:
            return _content(lines)
    except (OSError, EOFError) as error:
        raise ArchiveDiffers(f"{path} cannot be read: {error}") from error


def _store(connection: Connection, directory: Path, month: Month) -> bool:
    """Write the file of a month, read it, and record it; False if it is recorded already."""
    with connection, connection.cursor() as cursor:
        cursor.execute("SELECT FROM archived_months WHERE month = %(month)s", month._asdict())
        if cursor.fetchone() is not None:
            return False
        cursor.execute(_PSEUDONYMS, month._asdict())
    path = directory / f"movements-{month.name}.jsonl.gz"
    with gzip.open(path, "wb") as file:
        written = _content(_copied(_lines(connection, month), file))
    if read(path) != written:
        raise ArchiveDiffers(f"{path} has not what was written to it: run again")
    with connection, connection.cursor() as cursor:
        cursor.execute(
            "INSERT INTO archived_months (month, until_at, file, movements, sha256)"
            " VALUES (%(month)s, %(until_at)s, %(file)s, %(movements)s, %(sha256)s)",
            {**month._asdict(), **vars(written), "file": path.name},
        )
    log.info("month archived", month=month.name, movements=written.movements)
    return True


def _verify(connection: Connection, directory: Path, month: Month) -> None:
    """Compare the file of a month with the record of it and with the ledger as it is now."""
    with connection, connection.cursor() as cursor:
        path, recorded = _record(cursor, directory, month.month)
    if not read(path) == recorded == _content(_lines(connection, month)):
        raise ArchiveDiffers(
            f"{path} differs from the ledger; to write it anew, delete the row of {month.month} in"
            " archived_months and run again"
        )


def _record(cursor: Any, directory: Path, month: date) -> tuple[Path, Content]:
    """Return the file of an archived month, and what it should have."""
    sql = "SELECT file, movements, sha256 FROM archived_months WHERE month = %(month)s"
    cursor.execute(sql, {"month": month})
    row = cursor.fetchone()
    if row is None:
        raise LookupError(f"{month:%Y-%m} is not archived; archived_months lists what is")
    return directory / row[0], Content(*row[1:])


def _drop(connection: Connection, part: str, months: list[Month]) -> None:
    """Replace a part of the ledger by what is kept of it, in one transaction."""
    with connection, connection.cursor() as cursor:
        sql = "CALL empty_movement_partition(%(part)s, %(months)s)"
        cursor.execute(sql, {"part": part, "months": [month.month for month in months]})
    log.info("movements dropped", part=part)


def _lines(connection: Connection, month: Month) -> Iterator[bytes]:
    """Read the movements of a month from the ledger, as lines of a file."""
    with connection, connection.cursor(name="movements") as cursor:
        cursor.itersize = 10_000
        cursor.execute(_ROWS, month._asdict())
        for (line,) in cursor:
            yield line.encode() + b"\n"


def _copied(lines: Iterable[bytes], file: Any) -> Iterator[bytes]:
    for line in lines:
        file.write(line)
        yield line


def _content(lines: Iterable[bytes]) -> Content:
    digest, count = hashlib.sha256(), 0
    for line in lines:
        digest.update(line)
        count += 1
    return Content(movements=count, sha256=digest.hexdigest())
