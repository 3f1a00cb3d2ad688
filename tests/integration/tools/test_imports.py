"""`python -m tools import`, against a fake service over real HTTP."""

import io
import json
import re
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from tests.integration.tools.conftest import Run
from tests.integration.tools.fake_service import CUT, KEY, FakeService, Reply
from tests.support.command_line import environment
from tests.support.processes import ROOT
from tools import ToolError, imports
from tools.fleet.text import MAX_BYTES

EXAMPLE = ROOT / "examples" / "fleet.csv"
TABLE = """\
cabinet_id,lat,lon,cells_total,accumulator_id,battery_charge
C-1,55.75,37.62,12,,
C-2,95.75,37.62,12,,
,,,,A-1,97
,,,,A-2,high
"""


class Terminal(io.StringIO):
    """Standard input that is a terminal at which somebody types."""

    def isatty(self) -> bool:
        return True


@pytest.fixture
def table(tmp_path: Path) -> Path:
    """A file with a cabinet, an accumulator, and a mistake in one more of each."""
    path = tmp_path / "fleet.csv"
    path.write_text(TABLE)
    return path


def accumulators(path: Path, count: int) -> Path:
    path.write_text("accumulator_id\n" + "".join(f"A-{n}\n" for n in range(count)))
    return path


def imported(fake: FakeService) -> list[Any]:
    """Return the bodies of the imports that were not dry runs."""
    return [body for _, body in fake.requests if not body["dry_run"]]


def test_what_a_terminal_would_obey_is_escaped(
    fake: FakeService, run: Run, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "fleet.json"
    path.write_text('{"accumulators": [{"accumulator_id": "A-1", "\\u001b[31mcharge": 1}]}')
    assert run(imports, path, "--dry-run") == 1
    assert "\x1b" not in (shown := capsys.readouterr().out)
    assert "\\x1b[31mcharge: unknown field" in shown


def test_what_the_service_says_is_escaped(fake: FakeService, run: Run, tmp_path: Path) -> None:
    fake.planned = [Reply(400, json.dumps({"code": "\x1b[2J"}).encode())]
    with pytest.raises(ToolError) as refused:
        run(imports, accumulators(tmp_path / "a.csv", 1), "--yes")
    assert "\\x1b[2J" in str(refused.value)


def test_the_example_is_imported_after_a_dry_run_that_is_shown(
    fake: FakeService, run: Run, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(imports, EXAMPLE, "--yes") == 0
    assert [body["dry_run"] for _, body in fake.requests] == [True, False]
    assert len(fake.stored) == 46
    said = capsys.readouterr().out
    assert "CSV with commas, utf-8: 6 cabinets, 40 accumulators\n" in said
    assert re.search(r"create +update +unchanged +fail\ncabinets +6 +0 +0 +0\naccumu.* 40 ", said)
    assert re.search(r"created +updated +unchanged +failed\ncabinets +6 +0 +0 +0\n", said)
    assert re.search(r"imported in [0-9.]+ s\n", said)


def test_the_same_file_again_has_nothing_to_import(
    fake: FakeService, run: Run, capsys: pytest.CaptureFixture[str]
) -> None:
    run(imports, EXAMPLE, "--yes")
    assert run(imports, EXAMPLE, "--yes") == 0
    assert len(imported(fake)) == 1
    assert "nothing to import" in capsys.readouterr().out


@pytest.mark.parametrize(("typed", "count"), [("y\n", 46), ("n\n", 0), ("\n", 0), ("", 0)])
def test_it_asks_and_imports_only_after_a_yes(
    fake: FakeService, run: Run, monkeypatch: pytest.MonkeyPatch, typed: str, count: int
) -> None:
    monkeypatch.setattr("sys.stdin", Terminal(typed))
    assert run(imports, EXAMPLE) == 0
    assert len(fake.stored) == count


def test_without_a_terminal_and_without_yes_it_stops_after_the_dry_run(
    fake: FakeService, run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("sys.stdin", io.StringIO("y\n"))
    with pytest.raises(ToolError, match="add --yes to import"):
        run(imports, EXAMPLE)
    assert fake.stored == {}


def test_a_dry_run_imports_nothing(fake: FakeService, run: Run) -> None:
    assert run(imports, EXAMPLE, "--dry-run") == 0
    assert fake.stored == {}


def test_mistakes_do_not_stop_the_rest_and_are_written_to_a_file(
    fake: FakeService, run: Run, table: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(imports, table, "--yes") == 1
    assert [*fake.stored] == ["C-1", "A-1"]
    said = capsys.readouterr().out
    assert said.count("line 3 C-2: lat: Input should be less than or equal to 90, not 95.75") == 1
    assert "line 5 A-2: battery_charge: 'high' is not a whole number" in said
    failures = table.with_name("fleet.failures.csv")
    assert f"what failed: {failures}" in said
    mended = failures.read_text(encoding="utf-8-sig").replace("95.75", "55.75").replace("high", "9")
    failures.write_text(mended)
    assert run(imports, failures, "--yes") == 0
    assert [*fake.stored] == ["C-1", "A-1", "C-2", "A-2"]


def test_what_the_service_refuses_is_reported_with_line_and_column(
    fake: FakeService, run: Run, table: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    fake.refused = {
        "C-1": {
            "code": "invalid_request",
            "errors": [{"field": "coords.lon", "message": "is in the sea"}],
        },
        "A-1": {"code": "accumulator_in_use", "detail": "It is booked.", "errors": []},
    }
    assert run(imports, table, "--yes") == 1
    said = capsys.readouterr().out
    assert "line 2 C-1: lon: is in the sea\n" in said
    assert "line 4 A-1: It is booked.\n" in said
    written = table.with_name("fleet.failures.csv").read_text(encoding="utf-8-sig")
    assert "C-1,55.75,37.62,12,,,lon: is in the sea\n" in written


def test_failures_go_to_the_named_file_and_never_to_the_file_itself(
    fake: FakeService, run: Run, table: Path, tmp_path: Path
) -> None:
    assert run(imports, table, "--yes", "--failures", tmp_path / "mend.csv") == 1
    assert (tmp_path / "mend.csv").read_text(encoding="utf-8-sig").count("\n") == 3
    with pytest.raises(ToolError, match="must be another file"):
        run(imports, table, "--yes", "--failures", tmp_path / "." / "fleet.csv")
    assert table.read_text() == TABLE


def test_json_is_all_that_is_on_standard_output(
    fake: FakeService, run: Run, table: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(imports, table, "--yes", "--json") == 1
    result = json.loads(capsys.readouterr().out)
    assert result.pop("seconds") >= 0
    assert result == {
        "dry_run": False,
        "counts": {"created": 2, "updated": 0, "unchanged": 0, "failed": 2},
        "cabinets": {"created": 1, "updated": 0, "unchanged": 0, "failed": 1},
        "accumulators": {"created": 1, "updated": 0, "unchanged": 0, "failed": 1},
        "failures": [
            {
                "where": "line 3",
                "kind": "cabinet",
                "id": "C-2",
                "column": "lat",
                "code": "invalid_request",
                "message": "Input should be less than or equal to 90, not 95.75",
            },
            {
                "where": "line 5",
                "kind": "accumulator",
                "id": "A-2",
                "column": "battery_charge",
                "code": "invalid_request",
                "message": "'high' is not a whole number",
            },
        ],
        "failures_file": str(table.with_name("fleet.failures.csv")),
    }


def test_a_large_file_is_sent_in_chunks(fake: FakeService, run: Run, tmp_path: Path) -> None:
    assert run(imports, accumulators(tmp_path / "many.csv", 2500), "--yes") == 0
    assert [len(body["accumulators"]) for body in imported(fake)] == [1000, 1000, 500]
    assert len(fake.stored) == 2500


def test_a_connection_that_is_cut_in_the_middle_doubles_nothing(
    fake: FakeService, run: Run, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    fake.before = lambda number: fake.planned.append(CUT) if number == 3 else None
    assert run(imports, accumulators(tmp_path / "many.csv", 1500), "--yes") == 0
    assert (len(fake.requests), fake.executed) == (5, 4)
    said = capsys.readouterr()
    assert re.search(r"accumulators +1,500 +0 +0 +0\n\nimported", said.out)
    assert "trying again (1 of 7)" in said.err


def test_an_import_that_stopped_in_the_middle_is_finished_by_the_same_command(
    fake: FakeService, run: Run, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = accumulators(tmp_path / "many.csv", 1500)
    fake.before = lambda number: fake.planned.append(Reply(403)) if number == 4 else None
    with pytest.raises(ToolError, match="was refused: 403"):
        run(imports, path, "--yes")
    assert "stopped after 1,000 of 1,500; run the same command again" in capsys.readouterr().err
    assert run(imports, path, "--yes") == 0
    assert re.search(r"accumulators +500 +0 +1,000 +0\n\nimported", capsys.readouterr().out)


def test_ctrl_c_ends_with_130_and_says_that_the_command_can_be_repeated(
    fake: FakeService, tmp_path: Path
) -> None:
    path = accumulators(tmp_path / "many.csv", 1500)
    fake.before = lambda number: process.send_signal(signal.SIGINT) if number == 4 else None
    settings = {"SCOOTER_ACCUMULATOR_URL": fake.url, "SCOOTER_ACCUMULATOR_KEY": KEY}
    process = subprocess.Popen(
        [sys.executable, "-m", "tools", "import", str(path), "--yes"],
        cwd=ROOT,
        env=environment(settings),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    _, said = process.communicate(timeout=60)
    assert process.returncode == 130
    assert "stopped after 1,000 of 1,500; run the same command again: nothing is imported" in said
    assert "Traceback" not in said


@pytest.mark.parametrize(
    ("answer", "message"),
    [
        (b"{}", "unexpected answer of POST /v1/imports: results: Field required"),
        (b'{"results": []}', "POST /v1/imports answered for 0 items of 46"),
        (
            b'{"results": [{"result": "perhaps"}]}',
            "unexpected answer of POST /v1/imports: results.0",
        ),
    ],
)
def test_an_answer_of_another_form_is_refused(
    fake: FakeService, run: Run, answer: bytes, message: str
) -> None:
    fake.planned = [Reply(200, answer)]
    with pytest.raises(ToolError) as refused:
        run(imports, EXAMPLE, "--yes")
    assert str(refused.value).startswith(message)


@pytest.mark.parametrize(
    ("file", "message"),
    [
        (("f.xlsx", b"PK\x03\x04rest"), "is a spreadsheet, not a CSV file; save it as CSV"),
        (("f.csv", b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1"), "is a spreadsheet, not a CSV file"),
        (("f.csv", b"\x89PNG\x00"), "is not a text file"),
        (("f.csv", b""), "the file has no header line"),
        (("f.csv", b"accumulator_id\n"), "has no cabinets and no accumulators"),
        (("f.csv", b"accumulatr_id\nA-1\n"), "unknown column 'accumulatr_id' (did you mean"),
        (("f.json", b'{"accumulators": [' + b"[" * 100_000), "nested too deeply"),
        (("f.csv", None), "cannot be read: No such file or directory"),
    ],
)
def test_a_file_that_cannot_be_imported_is_refused_before_anything_is_sent(
    fake: FakeService, run: Run, tmp_path: Path, file: tuple[str, bytes | None], message: str
) -> None:
    name, content = file
    path = tmp_path / name
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(ToolError) as refused:
        run(imports, path, "--yes")
    assert message in str(refused.value)
    assert str(path) in str(refused.value)
    assert "\n" not in str(refused.value)
    assert fake.requests == []


def test_a_file_of_50_mb_is_refused(fake: FakeService, run: Run, tmp_path: Path) -> None:
    path = tmp_path / "large.csv"
    with path.open("wb") as file:
        file.truncate(50_000_000)
    with pytest.raises(ToolError, match=f"larger than {MAX_BYTES // 1_000_000} MB; split it"):
        run(imports, path)
    assert fake.requests == []


def test_a_key_without_the_scope_is_refused_before_anything_is_sent(
    fake: FakeService, run: Run
) -> None:
    fake.scope = "backend"
    with pytest.raises(ToolError, match="has the scope backend; operator is needed"):
        run(imports, EXAMPLE, "--yes")
    assert fake.requests == []
