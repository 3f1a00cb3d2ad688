"""The committed documents are what the code says, and are mended by one command."""

from pathlib import Path

import pytest

from local import documents


def test_the_committed_documents_are_what_the_code_says() -> None:
    assert documents.check(documents.DIRECTORY) == [], "run: make documents"


def test_documents_are_written_and_then_current(tmp_path: Path) -> None:
    assert documents.check(tmp_path) == ["openapi.json", "asyncapi.json"]
    assert documents.main([], tmp_path) == 0
    assert documents.check(tmp_path) == []
    assert documents.main(["--check"], tmp_path) == 0


def test_the_check_names_what_is_out_of_date_and_how_to_mend_it(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    documents.write(tmp_path)
    (tmp_path / "openapi.json").write_text("{}")
    assert documents.main(["--check"], tmp_path) == 1
    told = capsys.readouterr().out
    assert "openapi.json" in told
    assert "make documents" in told
    assert "asyncapi.json" not in told
