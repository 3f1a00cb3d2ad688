"""The generated documents match the code, and one command updates them."""

import shutil
from pathlib import Path

import pytest

from local import documents


@pytest.fixture
def pages(tmp_path: Path) -> Path:
    """A copy of the committed pages, without the documents that are generated as a whole."""
    for page in documents.DIRECTORY.glob("*.md"):
        shutil.copy(page, tmp_path)
    return tmp_path


def test_the_committed_documents_are_current() -> None:
    assert documents.check(documents.DIRECTORY) == [], "run: make documents"


def test_missing_documents_are_reported_and_written(pages: Path) -> None:
    assert documents.check(pages) == ["openapi.json", "asyncapi.json", "webhooks.asyncapi.json"]
    assert documents.main([], pages) == 0
    assert documents.main(["--check"], pages) == 0


@pytest.mark.parametrize("name", ["openapi.json", "how-it-works.md", "settings.md"])
def test_the_check_names_an_outdated_document_and_the_command_that_updates_it(
    name: str, pages: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    documents.write(pages)
    path = pages / name
    path.write_text(path.read_text().replace("booking", "reservation").replace("wait", "stay"))
    assert documents.main(["--check"], pages) == 1
    reported = capsys.readouterr().out
    assert name in reported
    assert "make documents" in reported
    assert "asyncapi.json" not in reported


def test_a_page_without_the_markers_of_a_section_is_an_error(pages: Path) -> None:
    (pages / "settings.md").write_text("# Settings\n")
    with pytest.raises(LookupError, match=r"settings\.md has no lines <!-- settings-functions"):
        documents.check(pages)
