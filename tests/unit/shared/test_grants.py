"""The rights of the functions' database user are what the statements of `shared/repo` need."""

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from shared.repo import grants

_NEEDS = {
    "SELECT": r"\b(?:FROM|JOIN|USING|UPDATE|DELETE FROM) {table}\b|\bINSERT INTO {table} AS\b",
    "INSERT": r"\bINSERT INTO {table}\b",
    "UPDATE": r"(?<!DO )(?<!FOR )\bUPDATE {table}\b|\bINSERT INTO {table}\b(?s:.)*\bDO UPDATE\b",
    "DELETE": r"\bDELETE FROM {table}\b",
}


def _constants(path: Path) -> Iterator[str]:
    """The text of every string in a module, without the values of f-strings."""
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.JoinedStr):
            parts = [part.value for part in node.values if isinstance(part, ast.Constant)]
            yield " ".join(map(str, parts))
        elif isinstance(node, ast.Constant) and isinstance(node.value, str):
            yield node.value


STATEMENTS = [
    text
    for path in Path(grants.__file__).parent.glob("*.py")
    if path.name != "grants.py"
    for text in _constants(path)
]


def _privileges(rights: str) -> set[str]:
    return set(re.findall(r"[A-Z]+", rights))


@pytest.mark.parametrize("table", grants.TABLES)
def test_the_functions_may_do_with_a_table_what_their_statements_do_and_no_more(
    table: str,
) -> None:
    needed = {
        privilege
        for privilege, pattern in _NEEDS.items()
        if any(re.search(pattern.format(table=table), text) for text in STATEMENTS)
    }
    assert _privileges(grants.TABLES[table].functions) == needed


def test_the_functions_may_execute_the_functions_that_their_statements_call() -> None:
    called = {
        name
        for name in (function.partition("(")[0] for function in grants.FUNCTIONS)
        if any(f"{name}(" in text for text in STATEMENTS)
    }
    assert called == {function.partition("(")[0] for function in grants.FUNCTIONS}


@pytest.mark.parametrize("table", ["movements", "events", "event_outbox"])
def test_the_ledger_and_the_events_are_append_only_for_the_functions(table: str) -> None:
    assert not _privileges(grants.TABLES[table].functions) - {"SELECT", "INSERT"}


@pytest.mark.parametrize("table", grants.TABLES)
def test_the_reader_only_reads(table: str) -> None:
    assert _privileges(grants.TABLES[table].reader) <= {"SELECT"}
