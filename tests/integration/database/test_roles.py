"""What each database user can and cannot do.

Every attack is a valid statement: its owner can run it, and so could the functions while they
connected as the owner.
"""

from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from typing import Any

import psycopg2
import pytest
from psycopg2.errors import InsufficientPrivilege

from functions.migrate import main
from local.postgres import FUNCTIONS_USER, OWNER, READER_USER, USERS, Postgres, url_for
from shared import config
from shared.repo import grants
from tests.support.cloud import Context
from tests.support.database import cloned, for_functions, query
from tests.support.service import Service

LEAVES_A_FILE = "COPY accumulators TO '/tmp/stolen'"

REWRITING_HISTORY = [
    "UPDATE movements SET reason = 'never happened'",
    "UPDATE movements SET at = now()",
    "DELETE FROM movements",
    "TRUNCATE movements",
    "UPDATE events SET resource = '{}'",
    "UPDATE events SET position = position + 1000",
    "DELETE FROM events",
    "TRUNCATE events",
    (
        "INSERT INTO events SELECT position + 99, event_id, type, subject, cabinet_id, at,"
        " caused_by, resource FROM events"
    ),
    "UPDATE event_outbox SET resource = '{}'",
    "DELETE FROM event_outbox",
    "TRUNCATE event_outbox",
    "INSERT INTO event_outbox (type, subject, caused_by, resource) VALUES ('x', 'x', 'x', '{}')",
    "SELECT add_event('accumulator.moved', 'A-1', 'C-1', '{}')",
    "UPDATE feed SET position = 0",
    "UPDATE feed SET keep_days = 1",
    "DELETE FROM feed",
    "TRUNCATE accumulators CASCADE",
    # An erasure would write this "pseudonym", another contractor, into the ledger.
    (
        "INSERT INTO contractor_pseudonyms (contractor_id, pseudonym, erase_before)"
        " VALUES ('T-1', 'T-2', now())"
    ),
    "UPDATE contractor_pseudonyms SET pseudonym = 'T-2'",
]

CHANGING_THE_SCHEMA = [
    "DROP TABLE movements",
    "DROP VIEW stock CASCADE",
    "CREATE TABLE mine (n integer)",
    "CREATE SCHEMA mine",
    "CREATE FUNCTION mine() RETURNS integer LANGUAGE sql AS 'SELECT 1'",
    (
        "CREATE OR REPLACE FUNCTION add_event(type text, subject text, of_cabinet text,"
        " resource jsonb, of_device text DEFAULT NULL) RETURNS void LANGUAGE sql AS ''"
    ),
    "ALTER TABLE movements ADD COLUMN mine integer",
    "ALTER TABLE movements DISABLE TRIGGER event_of_movement",
    "ALTER TABLE movements OWNER TO CURRENT_USER",
    "CREATE INDEX ON movements (at)",
    "CREATE TRIGGER mine BEFORE INSERT ON movements FOR EACH ROW EXECUTE FUNCTION list_booking()",
    "CREATE RULE mine AS ON DELETE TO bookings DO INSTEAD NOTHING",
    "ALTER DATABASE {database} SET search_path = pg_temp",
    "DELETE FROM _yoyo_migration",
    "UPDATE yoyo_lock SET locked = 1",
]

BECOMING_SOMEBODY_ELSE = [
    f"SET ROLE {OWNER}",
    f"SET SESSION AUTHORIZATION {OWNER}",
    "SET session_replication_role = replica",
    "CREATE ROLE mine",
    f"ALTER ROLE {FUNCTIONS_USER} SUPERUSER",
    "SELECT rolpassword FROM pg_authid",
    "SELECT pg_read_file('postgresql.conf')",
    LEAVES_A_FILE,
    "COPY accumulators TO PROGRAM 'cat >/dev/null'",
]

ATTACKS_OF_A_READER = [
    *("SELECT body FROM idempotency_keys", "SELECT url FROM webhooks"),
    *("SELECT payload FROM anomalies", "SELECT * FROM anomalies"),
    *("SELECT resource FROM event_outbox", "SELECT * FROM feed", "SELECT * FROM _yoyo_log"),
    *("SELECT sequence_events(1)", "SELECT prune_events(1)"),
    "UPDATE cabinets SET lat = 1",
    "DELETE FROM commands",
    (
        "INSERT INTO movements (accumulator_id, cause) SELECT accumulator_id, 'corrected'"
        " FROM accumulators"
    ),
    "SELECT * FROM cabinets FOR UPDATE",
    *REWRITING_HISTORY,
    *CHANGING_THE_SCHEMA,
]


@pytest.fixture(scope="module")
def stocked_url(postgres: Postgres, template: str) -> Iterator[str]:
    """A database with an accumulator that has moved, and its events."""
    with cloned(postgres, template) as url, pytest.MonkeyPatch.context() as patch:
        from tests.support.service import running  # noqa: PLC0415 - imports the functions

        with running(url, patch) as service:
            service.add_cabinet(charges=[98])
            service.poll()
        yield url


@contextmanager
def trying(url: str, statement: str) -> Iterator[Callable[[], None]]:
    """A function that runs a statement in a transaction, which is rolled back."""
    database = url.rpartition("/")[2]
    with closing(psycopg2.connect(url)) as connection, connection.cursor() as cursor:
        yield lambda: cursor.execute(statement.replace("{database}", database))


@pytest.mark.parametrize(
    "statement",
    sorted({*ATTACKS_OF_A_READER, *BECOMING_SOMEBODY_ELSE} - {LEAVES_A_FILE}),
)
def test_the_owner_can_do_it(stocked_url: str, statement: str) -> None:
    with trying(stocked_url, statement) as run:
        run()


@pytest.mark.parametrize(
    "statement", [*REWRITING_HISTORY, *CHANGING_THE_SCHEMA, *BECOMING_SOMEBODY_ELSE]
)
def test_the_functions_user_cannot(stocked_url: str, statement: str) -> None:
    with (
        trying(for_functions(stocked_url), statement) as run,
        pytest.raises(InsufficientPrivilege),
    ):
        run()


def test_the_functions_user_cannot_give_itself_rights(stocked_url: str) -> None:
    query(for_functions(stocked_url), f"GRANT ALL ON movements TO {FUNCTIONS_USER}")  # a warning
    assert not _can_delete_movements(stocked_url)


@pytest.mark.parametrize("statement", [*ATTACKS_OF_A_READER, *BECOMING_SOMEBODY_ELSE])
def test_the_reader_cannot(stocked_url: str, statement: str) -> None:
    with (
        trying(url_for(READER_USER, stocked_url), statement) as run,
        pytest.raises(InsufficientPrivilege),
    ):
        run()


@pytest.mark.parametrize(
    ("table", "rights"), [(name, one.reader) for name, one in grants.TABLES.items() if one.reader]
)
def test_the_reader_can_read(stocked_url: str, table: str, rights: str) -> None:
    _, _, columns = rights.partition("(")
    statement = f"SELECT {columns.rstrip(')') or '*'} FROM {table}"  # noqa: S608 - names of ours
    query(url_for(READER_USER, stocked_url), statement)


def test_an_insert_into_the_ledger_is_followed_by_its_event(stocked_url: str) -> None:
    query(
        for_functions(stocked_url),
        "INSERT INTO movements (accumulator_id, cause) VALUES ('C-1.A-1', 'corrected')",
    )
    [(cause,)] = query(
        stocked_url,
        "SELECT resource ->> 'cause' FROM event_outbox ORDER BY number DESC LIMIT 1",
    )
    assert cause == "corrected"


@pytest.mark.parametrize("path", ["pg_temp, public", "decoy, public"])
def test_the_search_path_of_a_session_does_not_reach_the_owners_functions(
    stocked_url: str, path: str
) -> None:
    query(
        stocked_url,
        f"CREATE SCHEMA IF NOT EXISTS decoy; GRANT ALL ON SCHEMA decoy TO {FUNCTIONS_USER}",
    )
    statement = f"""
        CREATE TABLE IF NOT EXISTS decoy.events (LIKE public.events);
        SET LOCAL search_path = {path};
        SELECT prune_events(10); SELECT sequence_events(10);
        SELECT count(*) FROM decoy.events"""  # noqa: S608 - constants
    assert query(for_functions(stocked_url), statement) == [(0,)]


def test_every_table_and_view_has_an_entry(database_url: str) -> None:
    """If this fails, add what you have created to TABLES in shared/repo/grants.py."""
    found = query(
        database_url,
        """SELECT relname FROM pg_class WHERE relnamespace = 'public'::regnamespace
            AND relkind IN ('r', 'p', 'v', 'm', 'f') AND NOT relispartition""",
    )
    assert {name for (name,) in found} == set(grants.TABLES)


def test_every_function_that_runs_with_the_owners_rights_has_a_fixed_search_path(
    database_url: str,
) -> None:
    found = query(
        database_url,
        "SELECT proname, proconfig FROM pg_proc WHERE prosecdef"
        " AND pronamespace = 'public'::regnamespace",
    )
    assert len(found) > 10
    path = "search_path=public, pg_temp"
    assert [name for name, settings in found if path not in (settings or ())] == []


def test_only_granted_functions_can_be_executed(database_url: str) -> None:
    found = query(
        database_url,
        f"""SELECT oid::regprocedure::text FROM pg_proc WHERE pronamespace = 'public'::regnamespace
             AND has_function_privilege('{FUNCTIONS_USER}', oid, 'EXECUTE')
             AND proname NOT LIKE 'refuse_%'""",  # noqa: S608 - constants; the tests' own guard
    )
    assert {name for (name,) in found} == set(grants.FUNCTIONS)


# --- how `migrate` gives rights -----------------------------------------------------------------


@pytest.fixture
def migrate(
    database_url: str, monkeypatch: pytest.MonkeyPatch
) -> Iterator[Callable[..., dict[str, Any]]]:
    """The function `migrate`, with settings."""

    def invoke(**settings: str) -> dict[str, Any]:
        for name, value in {"DATABASE_URL": database_url, **USERS, **settings}.items():
            monkeypatch.setenv(name, value)
        config.settings.cache_clear()
        return main.handler({}, Context())

    yield invoke
    config.settings.cache_clear()


DUMP = """
    SELECT oid::regclass::text, relacl::text FROM pg_class
     WHERE relnamespace = 'public'::regnamespace AND relkind IN ('r', 'v')
    UNION ALL
    SELECT oid::regprocedure::text, proacl::text FROM pg_proc
     WHERE pronamespace = 'public'::regnamespace AND proname NOT LIKE 'refuse_%'
    ORDER BY 1"""


def _can_delete_movements(url: str) -> bool:
    [(can,)] = query(url, f"SELECT has_table_privilege('{FUNCTIONS_USER}', 'movements', 'DELETE')")
    return bool(can)


def test_rights_that_were_granted_by_hand_are_revoked_at_the_next_migration(
    migrate: Callable[..., Any], database_url: str
) -> None:
    before = query(database_url, DUMP)
    query(database_url, f"GRANT DELETE ON movements TO {FUNCTIONS_USER}")
    query(database_url, "GRANT UPDATE (resource) ON events TO PUBLIC")
    query(database_url, "GRANT EXECUTE ON ALL FUNCTIONS IN SCHEMA public TO PUBLIC")
    assert _can_delete_movements(database_url)

    migrate()

    assert not _can_delete_movements(database_url)
    assert query(database_url, DUMP) == before


def test_rights_that_are_missing_are_given_at_the_next_migration(
    migrate: Callable[..., Any], database_url: str
) -> None:
    before = query(database_url, DUMP)
    query(database_url, f"REVOKE ALL ON ALL TABLES IN SCHEMA public FROM {FUNCTIONS_USER}")

    migrate()

    assert query(database_url, DUMP) == before


def test_without_users_no_right_changes(migrate: Callable[..., Any], database_url: str) -> None:
    query(database_url, f"GRANT DELETE ON movements TO {FUNCTIONS_USER}")

    migrate(**dict.fromkeys(USERS, ""))

    assert _can_delete_movements(database_url)


def test_a_user_that_does_not_exist_is_named(migrate: Callable[..., Any]) -> None:
    with pytest.raises(grants.UserUnusable, match="no database user 'nobody-here'"):
        migrate(DATABASE_FUNCTIONS_USER="nobody-here")


def test_the_owner_is_not_accepted_as_a_user_with_limited_rights(
    migrate: Callable[..., Any], database_url: str
) -> None:
    with pytest.raises(grants.UserUnusable, match=f"'{OWNER}' has the owner's rights"):
        migrate(DATABASE_READER_USER=OWNER)
    query(database_url, "DELETE FROM movements")


def test_a_name_that_would_need_quoting_is_refused(migrate: Callable[..., Any]) -> None:
    with pytest.raises(config.SettingsInvalid, match="DATABASE_FUNCTIONS_USER"):
        migrate(DATABASE_FUNCTIONS_USER='x"; DROP TABLE movements; --')


# --- events -------------------------------------------------------------------------------------


def test_the_functions_remove_only_events_older_than_the_stored_retention(
    service: Service, database_url: str
) -> None:
    service.add_cabinet(charges=[98])
    service.poll()
    functions = for_functions(database_url)
    newest = query(database_url, "SELECT max(position) FROM events")
    service.advance_time(29 * 86400)
    assert query(functions, "SELECT prune_events(10000)") == [(0,)]

    service.advance_time(86400)
    [(removed,)] = query(functions, "SELECT prune_events(10000)")

    assert removed > 0
    assert query(database_url, "SELECT min(position) FROM events") == newest


def test_migrate_stores_how_long_events_are_kept(
    migrate: Callable[..., Any], database_url: str
) -> None:
    migrate(EVENT_KEEP_DAYS="7")
    assert query(database_url, "SELECT keep_days FROM feed") == [(7,)]


# --- an owner with no other power, as in a managed cluster --------------------------------------


def test_an_owner_without_other_powers_can_migrate_and_give_rights(
    plain_owner: str, migrate: Callable[..., Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    from tests.support.service import running  # noqa: PLC0415 - imports the functions

    migrate(DATABASE_URL=plain_owner)
    with running(plain_owner, monkeypatch) as service:
        service.add_cabinet(charges=[98])
        booking = service.book()
        assert service.unlock(booking).status == 200
        service.take(1)
        service.poll()
        assert service.movement_causes("C-1.A-1") == ["registered", "reported", "issued"]
        service.check_invariants()
    assert query(plain_owner, "SELECT count(*) > 0 FROM events") == [(True,)]
    # A clone of a database has not its rights, so the other tests cannot try the last one.
    for statement in [*REWRITING_HISTORY, "CREATE TEMPORARY TABLE movements (n integer)"]:
        with (
            trying(for_functions(plain_owner), statement) as run,
            pytest.raises(InsufficientPrivilege),
        ):
            run()
