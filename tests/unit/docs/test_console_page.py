"""docs/console.md: it lists every file of the console, and its tables have the console's words."""

import re
import subprocess

import pytest

from tests.support.processes import ROOT

PAGES = {"en": "docs/console.md", "ru": "docs/ru/console.md"}
EXPLAINED = {
    "state",
    "door",
    "content",
    "health",
    "command_status",
    "booking_status",
    "cell_state",
    "accumulator_status",
    "place",
    "attention",
}
"""Groups of words that the page explains, each word of them."""
ACTIONS = {
    "acknowledge",
    "activate",
    "cancel_booking",
    "change_cells",
    "clear_suspect",
    "correct",
    "deactivate",
    "disable_cell",
    "enable_cell",
    "enrol",
    "lock",
    "mark_missing",
    "quarantine",
    "release",
    "report_state",
    "retire",
    "suspect_it",
    "undo_claims",
    "unlock",
}
_TEXT = re.compile(r'^  "?([\w.]+)"?:\s+"(.*)",$', re.MULTILINE)


def texts(language: str) -> dict[str, str]:
    source = (ROOT / "console/app/text" / f"{language}.js").read_text(encoding="utf-8")
    return dict(_TEXT.findall(source))


def explained(language: str) -> set[str]:
    return {
        text
        for name, text in texts(language).items()
        if name.split(".")[0] in EXPLAINED - {name} or name in ACTIONS
    }


@pytest.mark.parametrize("language", PAGES)
def test_the_page_has_every_word_of_a_state_and_of_an_action(language: str) -> None:
    page = (ROOT / PAGES[language]).read_text(encoding="utf-8")
    assert [word for word in sorted(explained(language)) if word not in page] == []


def test_both_languages_have_the_same_texts() -> None:
    assert list(texts("en")) == list(texts("ru"))


def test_the_page_lists_every_file_of_the_console() -> None:
    command = ["git", "ls-files", "console"]
    listed = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True).stdout
    files = {name for name in listed.splitlines() if not name.endswith("__init__.py")}
    page = (ROOT / PAGES["en"]).read_text(encoding="utf-8")
    rows = re.findall(r"^\| (`console/.*?`) \|", page, re.MULTILINE)
    assert {name for row in rows for name in re.findall(r"`(.*?)`", row)} == files
