"""docs/edge-cases.md lists every edge case, and names only tests that exist."""

import ast
import re
from functools import cache
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[3]
INTEGRATION = ROOT / "tests" / "integration"
PAGE = (ROOT / "docs" / "edge-cases.md").read_text()
ROWS = dict(re.findall(r"^\| (E\d\d) (\|.*\|)$", PAGE, flags=re.MULTILINE))
NUMBERS = [f"E{n:02}" for n in (*range(1, 30), *range(31, 68), *range(71, 81))]
NAME = re.compile(r"`(\w+/test_\w+\.py)::(\w+)`")
NAMED = set(NAME.findall(PAGE))


@cache
def defined_in(file: str) -> set[str]:
    tree = ast.parse((INTEGRATION / file).read_text())
    return {node.name for node in tree.body if isinstance(node, ast.FunctionDef)}


def test_every_number_is_listed_once_and_in_order() -> None:
    assert re.findall(r"^\| (E\d\d) ", PAGE, flags=re.MULTILINE) == NUMBERS


@pytest.mark.parametrize("number", NUMBERS)
def test_a_number_has_a_test_or_a_reason_why_it_is_out_of_scope(number: str) -> None:
    _, situation, how, where, _ = ROWS[number].split("|")
    assert situation.strip()
    assert NAME.search(where) or how.strip().startswith("Out of scope: ")


def test_the_page_names_only_tests_that_exist() -> None:
    assert [(file, test) for file, test in NAMED if test not in defined_in(file)] == []


def test_the_page_names_every_test_of_a_number() -> None:
    files = [str(path.relative_to(INTEGRATION)) for path in INTEGRATION.rglob("test_*.py")]
    of_numbers = {(f, t) for f in files for t in defined_in(f) if re.match(r"test_e\d\d_", t)}
    assert len(of_numbers) > len(NUMBERS)
    assert of_numbers - NAMED == set()
