"""The Russian pages: each names its English source and is as new as it."""

import re
from hashlib import sha256
from pathlib import Path

import pytest

from tests.support.processes import ROOT

PAGES = [ROOT / "README.ru.md", *sorted((ROOT / "docs" / "ru").glob("*.md"))]
_FIRST_LINE = re.compile(r"<!-- source: (\S+) sha256:([0-9a-f]{16}) -->")


def name_of(page: Path) -> str:
    return str(page.relative_to(ROOT))


@pytest.mark.parametrize("page", PAGES, ids=name_of)
def test_a_russian_page_is_as_new_as_its_english_source(page: Path) -> None:
    first_line = page.read_text(encoding="utf-8").splitlines()[0]
    match = _FIRST_LINE.fullmatch(first_line)
    assert match, f"the first line of {name_of(page)} must name its source, e.g. {_FIRST_LINE}"
    source = ROOT / match[1]
    digest = sha256(source.read_bytes()).hexdigest()[:16]
    assert match[2] == digest, (
        f"{match[1]} has changed since {name_of(page)} was written. Bring the Russian page up to"
        f" date, then make its first line:\n<!-- source: {match[1]} sha256:{digest} -->"
    )
