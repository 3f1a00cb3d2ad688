"""The commands on the pages: a test runs each one, or a list says why none does."""

import json
import re

import pytest
from pydantic import BaseModel, ValidationError

from shared.models.accumulators import AccumulatorChange
from shared.models.cabinets import CabinetChange, CellChange
from tests.support import pages
from tests.support.pages import FOLLOWED, NOT_RUN
from tests.support.processes import ROOT

ENGLISH = [page for page in pages.pages() if pages.source_of(page) is None]
TRANSLATED = [page for page in pages.pages() if pages.source_of(page)]
BLOCKS = [block for page in ENGLISH for block in pages.blocks(page) if block.is_shell]
TARGETS = set(re.findall(r"^([a-z-]+):", (ROOT / "Makefile").read_text(), re.MULTILINE))

BODIES = sorted(
    {
        match[1]
        for page in pages.pages()
        for span in pages.spans(page)
        if (match := re.fullmatch(r'(?:PATCH … )?(\{"(?:status|health)": .*\})', span.text))
    }
)
"""Bodies of changes that are shown without their request."""

_OPERATOR_TEXT = re.compile(r'"(reason|status_reason)": ("[^"]*"|…)')


def commands(page: str) -> list[str]:
    """Return the lines of the shell blocks of a page, and its requests within the text."""
    lines = [
        line for block in pages.blocks(page) if block.is_shell for line in block.text.splitlines()
    ]
    requests = [span.text for span in pages.spans(page) if span.text.startswith("call ")]
    return [normalize(command) for command in lines + requests]


def normalize(command: str) -> str:
    """Return a command without prompt, comment, and what an operator writes as a reason."""
    command = re.sub(r"(^|\s+)# .*", "", command.removeprefix("$ "))
    return _OPERATOR_TEXT.sub(r'"\1": …', command)


def test_every_shell_block_is_run_by_a_test_or_listed_with_a_reason() -> None:
    assert [
        f"{block.page}, {block.section}: {block.text}"
        for block in BLOCKS
        if block.is_run and (block.page, block.section) not in FOLLOWED
    ] == []


def test_requests_within_the_text_are_only_on_the_pages_whose_test_sends_them() -> None:
    assert {
        page
        for page in ENGLISH
        for span in pages.spans(page)
        if span.text.startswith(("call ", "curl "))
    } == {"docs/operating.md", "docs/monitoring.md"}


def test_every_entry_of_the_lists_is_on_its_page() -> None:
    assert FOLLOWED.keys() - {(block.page, block.section) for block in BLOCKS} == set()
    assert [
        (page, words)
        for page, words in NOT_RUN
        if not any(block.page == page and block.text.startswith(words) for block in BLOCKS)
    ] == []


@pytest.mark.parametrize(("page", "section"), FOLLOWED)
def test_the_test_of_a_section_names_it(page: str, section: str) -> None:
    test = (ROOT / FOLLOWED[page, section]).read_text()
    assert f'"{page}"' in test
    assert f'"{section}"' in test


@pytest.mark.parametrize("page", TRANSLATED)
def test_every_command_of_a_translation_is_on_its_source(page: str) -> None:
    source = pages.source_of(page)
    assert source
    assert [one for one in commands(page) if one not in commands(source)] == []


@pytest.mark.parametrize("body", BODIES)
def test_the_body_of_a_change_on_a_page_is_valid(body: str) -> None:
    change = json.loads(body.replace("…", '"a reason"'))
    assert any(is_valid(change, model) for model in (AccumulatorChange, CabinetChange, CellChange))


def is_valid(change: object, model: type[BaseModel]) -> bool:
    try:
        model.model_validate(change)
    except ValidationError:
        return False
    return True


@pytest.mark.parametrize("page", pages.pages())
def test_every_make_command_of_a_page_is_a_target_of_the_makefile(page: str) -> None:
    code = [block.text for block in pages.blocks(page) if block.is_shell]
    code += [span.text for span in pages.spans(page)]
    named = re.findall(r"^make ([a-z-]+)", "\n".join(code), re.MULTILINE)
    assert set(named) <= TARGETS
