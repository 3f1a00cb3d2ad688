"""The function `migrate` and the migrations."""

import re
import shutil
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from functions.migrate import main
from local.postgres import Postgres
from shared import config
from tests.support.cloud import Context
from tests.support.database import cloned, query

FILES = sorted(main.MIGRATIONS.glob("*.sql"))
NAMES = [path.stem for path in FILES]

DUMP = """
    SELECT 'column' AS what, concat_ws(' ', table_name, column_name, data_type, domain_name,
                                       is_nullable, column_default, is_identity,
                                       generation_expression) AS it
      FROM information_schema.columns WHERE table_schema = 'public'
    UNION ALL
    SELECT 'constraint', concat_ws(' ', conrelid::regclass, contypid::regtype, conname,
                                   pg_get_constraintdef(oid))
      FROM pg_constraint WHERE connamespace = 'public'::regnamespace
    UNION ALL
    SELECT 'index', indexdef FROM pg_indexes WHERE schemaname = 'public'
    UNION ALL
    SELECT 'view', concat_ws(' ', viewname, definition) FROM pg_views WHERE schemaname = 'public'
    UNION ALL
    SELECT 'options', concat_ws(' ', relname, reloptions) FROM pg_class
     WHERE relnamespace = 'public'::regnamespace
     ORDER BY 1, 2"""

Migrate = Callable[..., dict[str, Any]]


@pytest.fixture
def empty_url(postgres: Postgres) -> Iterator[str]:
    """An empty database."""
    with cloned(postgres, "template0") as url:
        yield url


@pytest.fixture
def migrate(empty_url: str, monkeypatch: pytest.MonkeyPatch) -> Iterator[Migrate]:
    """A function that migrates the empty database with the migrations of a folder."""
    monkeypatch.setenv("DATABASE_URL", empty_url)
    monkeypatch.setattr(main, "LOCK_SECONDS", 0.2)
    config.settings.cache_clear()

    def invoke(folder: Path = main.MIGRATIONS, **event: Any) -> dict[str, Any]:
        with pytest.MonkeyPatch.context() as patch:
            if folder != main.MIGRATIONS:
                patch.setattr(main, "_store_settings", lambda _settings: None)  # since 0018
            patch.setattr(main, "MIGRATIONS", folder)
            return main.handler(event, Context())

    yield invoke
    config.settings.cache_clear()


def copy_first(count: int, folder: Path) -> Path:
    """Copy the first `count` migrations into a new folder; return it."""
    folder.mkdir()
    for path in FILES[:count]:
        shutil.copy(path, folder)
    return folder


def test_all_migrations_are_applied_in_order_to_an_empty_database(migrate: Migrate) -> None:
    assert migrate() == {"applied": NAMES, "version": NAMES[-1]}


def test_a_second_run_does_nothing(migrate: Migrate, empty_url: str) -> None:
    migrate()
    before = query(empty_url, DUMP)
    assert migrate() == {"applied": [], "version": NAMES[-1]}
    assert query(empty_url, DUMP) == before


@pytest.mark.parametrize(
    "count",
    [
        1,
        *(pytest.param(count, marks=pytest.mark.slow) for count in range(2, len(FILES) - 1)),
        len(FILES) - 1,
    ],
)
def test_every_earlier_version_is_migrated_to_the_same_schema(
    migrate: Migrate, empty_url: str, database_url: str, tmp_path: Path, count: int
) -> None:
    assert migrate(copy_first(count, tmp_path / "earlier"))["applied"] == NAMES[:count]
    assert migrate()["applied"] == NAMES[count:]
    assert query(empty_url, DUMP) == query(database_url, DUMP)


def test_cabinets_that_are_online_at_the_upgrade_to_the_feed_have_no_event(
    migrate: Migrate, empty_url: str, tmp_path: Path
) -> None:
    before_feed = next(n for n, name in enumerate(NAMES) if name.endswith("_events"))
    migrate(copy_first(before_feed, tmp_path / "earlier"))
    query(
        empty_url,
        """INSERT INTO cabinets (cabinet_id, device_id, lat, lon, protocol, cells_total,
                                 last_seen_at, signed_off)
           VALUES ('online', 'D-1', 0, 0, 'native.v1', 1, now(), false),
                  ('signed-off', 'D-2', 0, 0, 'native.v1', 1, now(), true),
                  ('silent', 'D-3', 0, 0, 'native.v1', 1, now() - interval '1 hour', false),
                  ('new', 'D-4', 0, 0, 'native.v1', 1, NULL, false)""",
    )
    migrate()
    announced = query(empty_url, "SELECT cabinet_id FROM cabinets WHERE announced_online")
    assert announced == [("online",)]
    assert query(empty_url, "SELECT FROM event_outbox") == []


def test_a_failing_migration_is_named_and_keeps_those_before_it(
    migrate: Migrate, empty_url: str, tmp_path: Path
) -> None:
    folder = copy_first(1, tmp_path / "broken")
    broken = "-- depends: 0001_places\nCREATE TABLE half ();\nSELECT no_such_function();\n"
    (folder / "0002_broken.sql").write_text(broken)
    with pytest.raises(main.MigrationFailed, match=r"^0002_broken: .*no_such_function"):
        migrate(folder)
    tables = {name for (name,) in query(empty_url, "SELECT tablename FROM pg_tables")}
    assert "cabinets" in tables
    assert "half" not in tables


def test_a_corrected_migration_is_applied_after_a_failure(migrate: Migrate, tmp_path: Path) -> None:
    folder = copy_first(1, tmp_path / "broken")
    (folder / "0002_broken.sql").write_text("-- depends: 0001_places\nSELECT broken;\n")
    with pytest.raises(main.MigrationFailed):
        migrate(folder)
    (folder / "0002_broken.sql").write_text("-- depends: 0001_places\nSELECT 1;\n")
    assert migrate(folder)["applied"] == ["0002_broken"]


def test_an_abandoned_lock_is_reported_and_can_be_broken(migrate: Migrate, empty_url: str) -> None:
    migrate()
    query(empty_url, "INSERT INTO yoyo_lock (locked, ctime, pid) VALUES (1, now(), 4711)")
    with pytest.raises(main.MigrationRunning, match=r'invoke with \{"break_lock": true\}'):
        migrate()
    assert migrate(break_lock=True)["applied"] == []
    assert migrate()["applied"] == []


def test_a_failed_migration_leaves_no_lock(
    migrate: Migrate, empty_url: str, tmp_path: Path
) -> None:
    folder = copy_first(1, tmp_path / "broken")
    (folder / "0002_broken.sql").write_text("-- depends: 0001_places\nSELECT broken;\n")
    with pytest.raises(main.MigrationFailed):
        migrate(folder)
    assert query(empty_url, "SELECT pid FROM yoyo_lock") == []


def test_simultaneous_runs_apply_each_migration_once(
    migrate: Migrate, empty_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(main, "LOCK_SECONDS", 10)
    with ThreadPoolExecutor(2) as both:
        results = list(both.map(lambda _: main.handler({}, Context()), range(2)))
    assert sorted(result["applied"] for result in results) == [[], NAMES]
    assert len(query(empty_url, "SELECT migration_id FROM _yoyo_migration")) == len(NAMES)


def test_every_migration_is_numbered_and_depends_on_the_previous_one() -> None:
    for number, path in enumerate(FILES, start=1):
        assert re.fullmatch(rf"{number:04}_[a-z_]+", path.stem)
        if number > 1:
            assert f"-- depends: {NAMES[number - 2]}\n" in path.read_text()
