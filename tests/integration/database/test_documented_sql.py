"""The SQL on the pages: it runs on the schema as written."""

import re

import pytest

from tests.support import pages
from tests.support.database import query
from tests.support.processes import ROOT

MIGRATION_PAGE = "docs/adding-a-migration.md"
_QUERY = re.compile(r"(SELECT|DELETE FROM) .*\b(WHERE|pg_\w+)\b")
PAGES = [page for page in pages.pages() if page != MIGRATION_PAGE]
BLOCKS = [block for page in PAGES for block in pages.blocks(page) if block.language == "sql"]
SPANS = [span for page in PAGES for span in pages.spans(page) if _QUERY.match(span.text)]
STATEMENTS = sorted({block.text for block in BLOCKS} | {span.text for span in SPANS})
EXAMPLES = {
    "BETWEEN '…' AND '…'": "BETWEEN now() AND now()",
    "command_id = '…'": "command_id = gen_random_uuid()",
    "<pid>": "NULL",
}
"""What stands on the pages for a value, and a value."""


@pytest.mark.parametrize("statement", STATEMENTS)
def test_a_query_of_a_page_runs(statement: str, database_url: str) -> None:
    for shown, actual in EXAMPLES.items():
        statement = statement.replace(shown, actual)
    query(database_url, statement)


def test_the_migration_of_the_page_follows_the_newest_one_and_runs(database_url: str) -> None:
    [migration] = [one.text for one in pages.blocks(MIGRATION_PAGE) if one.language == "sql"]
    newest = max((ROOT / "functions" / "migrate" / "migrations").glob("*.sql")).stem
    assert f"-- depends: {newest}\n" in migration
    query(database_url, migration)
