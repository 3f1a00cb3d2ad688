"""The ledger by month, and its archive: nothing is dropped that is not proved to be in a file."""

import gzip
import json
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from datetime import date
from pathlib import Path
from typing import Any

import psycopg2
import pytest

from functions.migrate.main import NoArchive
from local.postgres import FUNCTIONS_USER, READER_USER, url_for
from shared import archive, config
from tests.support.database import invoke_migrate, query
from tests.support.service import Service, running

PARTS = """
    ALTER TABLE movements DETACH PARTITION movements_first;
    ALTER TABLE movements ATTACH PARTITION movements_first
        FOR VALUES FROM (MINVALUE) TO ('2025-10-01Z');
    CALL add_movement_partition('movements_2025_10', '2025-10-01Z', '2025-11-01Z');
    CALL add_movement_partition('movements_2025_11', '2025-11-01Z', '2025-12-01Z')"""
"""Parts of the past: with the migrations, those of a database begin next month."""
AT = "UPDATE movements SET at = at - (now() - %(to)s::timestamptz)"
COUNTS = """
    SELECT tableoid::regclass::text AS part, count(*) AS n FROM movements GROUP BY 1 ORDER BY 1"""


@pytest.fixture
def ledger(service: Service, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Service]:
    monkeypatch.setenv("ARCHIVE_DIRECTORY", str(tmp_path))
    fill(service)
    yield service
    service.check_invariants()


def fill(service: Service) -> None:
    """T-1 took two of three accumulators in November 2025, and handed one to T-2 in October."""
    service.sql(PARTS)
    service.add_cabinet(charges=[95, 90, 85])
    for contractor in ("T-1", "T-2", "T-1"):
        place = {"contractor_id": contractor}
        service.patch("/v1/accumulators/C-1.A-1", {"place": place, "reason": "for T-1."})
    service.sql(AT, to="2025-10-20Z")
    service.unlock(service.book(2))
    for cell in (2, 3):
        service.take(cell)
    service.sql(AT + " WHERE at > now() - interval '1 day'", to="2025-11-20Z")
    service.sql("UPDATE accumulators SET moved_at = NULL")
    service.check_invariants()


def run(service: Service, **event: str) -> dict[str, Any]:
    return invoke_migrate(service.url, **event)


def lines(folder: Path, month: str) -> list[dict[str, Any]]:
    with gzip.open(folder / f"movements-{month}.jsonl.gz", "rt") as file:
        return [json.loads(line) for line in file]


def counts(service: Service) -> dict[str, int]:
    return {row["part"]: row["n"] for row in service.sql(COUNTS)}


def everything(service: Service) -> list[dict[str, Any]]:
    return service.sql("SELECT * FROM movements ORDER BY movement_id")


def test_a_month_is_archived_and_dropped_but_for_what_the_present_needs(
    ledger: Service, tmp_path: Path
) -> None:
    before, contractors = everything(ledger), ledger.get("/v1/contractors")
    done = run(ledger, archive="2025-11")
    assert done == {"archived": ["2025-10"], "dropped": ["movements_2025_10"]}
    archived = lines(tmp_path, "2025-10")
    assert [row["movement_id"] for row in archived] == [
        row["movement_id"] for row in before if row["at"].month == 10
    ]
    left = everything(ledger)
    assert len(left) < len(before)
    assert [row for row in before if row["at"].month == 11] == [
        row for row in left if row["at"].month == 11
    ]
    last = ledger.sql("SELECT max(movement_id) AS id FROM movements GROUP BY accumulator_id")
    assert {row["id"] for row in last} == {
        max(row["movement_id"] for row in before if row["accumulator_id"] == name)
        for name in ("C-1.A-1", "C-1.A-2", "C-1.A-3")
    }
    assert ledger.get("/v1/contractors") == contractors


def test_an_archived_month_is_not_archived_again(ledger: Service, tmp_path: Path) -> None:
    run(ledger, archive="2025-11")
    file = tmp_path / "movements-2025-10.jsonl.gz"
    before = file.stat().st_mtime_ns, everything(ledger)
    assert run(ledger, archive="2025-11") == {"archived": [], "dropped": []}
    assert (file.stat().st_mtime_ns, everything(ledger)) == before


class Killed(BaseException):
    """The function was ended at this moment."""


@contextmanager
def killed_at(step: int) -> Iterator[list[str]]:
    """A connection class whose nth statement, commit or line written ends the run."""
    seen: list[str] = []

    class Cursor(psycopg2.extensions.cursor):
        def execute(self, query: Any, vars: Any = None) -> None:  # noqa: A002 - the driver's name
            seen.append(str(query))
            if len(seen) == step:
                raise Killed
            super().execute(query, vars)

    connect: Callable[..., Any] = psycopg2.connect
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(psycopg2, "connect", lambda url: connect(url, cursor_factory=Cursor))
        yield seen


def test_a_run_that_is_killed_anywhere_is_completed_by_the_next(
    ledger: Service, tmp_path: Path
) -> None:
    before = everything(ledger)
    step = 0
    while True:
        step += 1
        try:
            with killed_at(step):
                run(ledger, archive="2025-12")
        except Killed:
            kept = {row["movement_id"] for row in everything(ledger)}
            archived = {
                row["movement_id"]
                for month in ledger.sql(
                    "SELECT to_char(month, 'YYYY-MM') AS m FROM archived_months"
                )
                for row in lines(tmp_path, month["m"])
            }
            assert {row["movement_id"] for row in before} <= kept | archived
            ledger.check_invariants()
            continue
        break
    assert step >= 10  # a month has nine statements
    assert len(lines(tmp_path, "2025-10") + lines(tmp_path, "2025-11")) == len(before)
    assert ledger.sql("SELECT count(*) AS n FROM archived_months WHERE dropped_at IS NULL") == [
        {"n": 0}
    ]


@pytest.mark.parametrize("damage", ["cut", "changed", "removed"])
def test_nothing_is_dropped_if_the_file_is_not_what_the_ledger_has(
    ledger: Service, tmp_path: Path, damage: str
) -> None:
    with closing(psycopg2.connect(ledger.url)) as connection, pytest.MonkeyPatch.context() as patch:
        patch.setattr(archive, "_verify", lambda *_: (_ for _ in ()).throw(Killed))
        with pytest.raises(Killed):
            archive.archive(connection, tmp_path, before=date(2025, 11, 1))
    before, file = everything(ledger), tmp_path / "movements-2025-10.jsonl.gz"
    if damage == "removed":
        file.unlink()
    elif damage == "cut":
        file.write_bytes(file.read_bytes()[:-20])
    else:
        ledger.sql("UPDATE movements SET battery_charge = 1 WHERE at < '2025-11-01Z'")
        before = everything(ledger)
    with pytest.raises(archive.ArchiveDiffers, match="movements-2025-10"):
        run(ledger, archive="2025-11")
    assert everything(ledger) == before


def test_files_name_no_contractor(ledger: Service, tmp_path: Path) -> None:
    run(ledger, archive="2025-12")
    for month in ("2025-10", "2025-11"):
        text = json.dumps(lines(tmp_path, month))
        assert "T-1" not in text
        assert "T-2" not in text
        assert "pseudonym:" in text


def test_an_archived_month_can_be_queried_again(ledger: Service) -> None:
    before = [row for row in everything(ledger) if row["at"].month == 10]
    run(ledger, archive="2025-11")
    for _ in range(2):
        assert run(ledger, restore="2025-10") == {"table": "restored_movements_2025_10"}
        restored = ledger.sql("SELECT * FROM restored_movements_2025_10 ORDER BY movement_id")
        assert restored == before


def test_an_owner_without_other_powers_archives_and_only_it_can_query_a_month_again(
    plain_owner: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    invoke_migrate(plain_owner)
    monkeypatch.setenv("ARCHIVE_DIRECTORY", str(tmp_path))
    with running(plain_owner, monkeypatch) as service:
        fill(service)
        before = [row for row in everything(service) if row["at"].month == 10]
        done = run(service, archive="2025-11")
        assert done == {"archived": ["2025-10"], "dropped": ["movements_2025_10"]}
        table = run(service, restore="2025-10")["table"]
        read = f"SELECT * FROM {table} ORDER BY movement_id"  # noqa: S608 - a name of ours
        assert service.sql(read) == before
        for user in (FUNCTIONS_USER, READER_USER):
            with pytest.raises(psycopg2.errors.InsufficientPrivilege):
                query(url_for(user, plain_owner), read)
        body = {"place": {"contractor_id": "T-2"}, "reason": "after the archive"}
        service.patch("/v1/accumulators/C-1.A-2", body)
        service.check_invariants()
        last = "SELECT reason FROM movements ORDER BY movement_id DESC LIMIT 1"
        assert query(url_for(READER_USER, plain_owner), last) == [("after the archive",)]


def test_a_month_that_is_not_over_and_a_missing_archive_are_refused(
    ledger: Service, monkeypatch: pytest.MonkeyPatch
) -> None:
    with pytest.raises(ValueError, match="2999-01 has not begun"):
        run(ledger, archive="2999-01")
    with pytest.raises(LookupError, match="2025-10 is not archived"):
        run(ledger, restore="2025-10")
    monkeypatch.setenv("ARCHIVE_DIRECTORY", "")
    config.settings.cache_clear()
    with pytest.raises(NoArchive):
        run(ledger, archive="2025-11")


def test_movements_of_a_month_without_a_part_go_to_the_default_and_then_to_their_month(
    service: Service,
) -> None:
    service.post("/v1/accumulators", {"accumulator_id": "A-1"})
    service.sql("UPDATE movements SET at = now() + interval '5 months'")
    assert counts(service) == {"movements_default": 1}
    before = everything(service)
    [added] = service.sql("SELECT add_movement_partitions(6) AS n")
    assert added["n"] == 3
    assert len(counts(service)) == 1
    assert "movements_default" not in counts(service)
    assert everything(service) == before
    service.check_invariants()
