"""Relative links in the Markdown files: each leads to an existing file and an existing heading."""

import re
import subprocess
from collections import Counter
from functools import cache
from pathlib import Path

import pytest

from tests.support.processes import ROOT

_FENCED_CODE = re.compile(r"^ *(```|~~~).*?^ *\1 *$", re.DOTALL | re.MULTILINE)
_INLINE_CODE = re.compile(r"(`+)(?!`).+?(?<!`)\1(?!`)")
_LINKS = (
    re.compile(r"\]\(<?([^)\s>]+)"),  # [text](target) and ![text](target)
    re.compile(r"^ *\[[^\]]+\]: *<?([^\s>]+)", re.MULTILINE),  # [label]: target
    re.compile(r"<(?:a|img)\b[^>]*\b(?:href|src)=\"([^\"]+)\""),
)
_ABSOLUTE = re.compile(r"[a-z][a-z0-9+.-]*:|//")
_HEADING = re.compile(r"^ {0,3}#{1,6} +(.+?)(?: +#+)? *$", re.MULTILINE)
_EXPLICIT_ANCHOR = re.compile(r"<a\b[^>]*\b(?:id|name)=\"([^\"]+)\"")


def tracked_pages() -> list[Path]:
    command = ["git", "ls-files", "-z", "*.md"]
    listed = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True).stdout
    return [ROOT / name for name in listed.split("\0") if name]


def broken_links(page: Path) -> list[str]:
    text = _INLINE_CODE.sub("", _without_fenced_code(page))
    links = [link for pattern in _LINKS for link in pattern.findall(text)]
    return [
        link for link in links if not _ABSOLUTE.match(link) and not _leads_somewhere(page, link)
    ]


def _leads_somewhere(page: Path, link: str) -> bool:
    path, _, anchor = link.partition("#")
    target = page.parent / path if path else page
    return target.exists() and (not anchor or anchor in anchors(target.resolve()))


@cache
def anchors(page: Path) -> set[str]:
    """The anchors that GitHub gives a page: one for each heading, and the explicit ones."""
    if page.suffix != ".md":
        return set()
    text = _without_fenced_code(page)
    found, seen = set(_EXPLICIT_ANCHOR.findall(text)), Counter[str]()
    for heading in _HEADING.findall(text):
        slug = _slug(heading)
        found.add(f"{slug}-{seen[slug]}" if seen[slug] else slug)
        seen[slug] += 1
    return found


def _slug(heading: str) -> str:
    words = re.sub(r"!?\[([^\]]*)\]\([^)]*\)", r"\1", heading).lower()
    return re.sub(r"[^\w\- ]", "", words).replace(" ", "-")


def _without_fenced_code(page: Path) -> str:
    return _FENCED_CODE.sub("", page.read_text(encoding="utf-8"))


@pytest.mark.parametrize("page", tracked_pages(), ids=lambda page: str(page.relative_to(ROOT)))
def test_every_link_of_a_page_leads_to_a_file_and_a_heading(page: Path) -> None:
    assert broken_links(page) == []


def test_a_link_to_a_missing_file_or_heading_is_broken(tmp_path: Path) -> None:
    (tmp_path / "other.md").write_text('# Other\n\n## A `c_d`: one, two\n\n<a id="here"></a>\n')
    (tmp_path / "code.py").write_text("# Comment\n")
    page = tmp_path / "page.md"
    page.write_text(
        "# Page\n## Twice\n## Twice\n"
        "[1](other.md) [2](other.md#a-c_d-one-two) [3](other.md#here) [4](#twice-1) [5](code.py)\n"
        "[6](https://example.com/#x) `[7](missing.md)`\n"
        "```md\n# Only code\n[8](missing.md)\n```\n"
        "[9](missing.md) ![10](missing.png) [`11`](other.md#missing) [12](#twice-2)\n"
        "[13](#only-code) [14](code.py#comment)\n"
        "[15]: missing-too.md\n"
    )

    assert broken_links(page) == [
        "missing.md",
        "missing.png",
        "other.md#missing",
        "#twice-2",
        "#only-code",
        "code.py#comment",
        "missing-too.md",
    ]
