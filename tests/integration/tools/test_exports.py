"""`python -m tools export`, against the real service over HTTP."""

import csv
import io
import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from local.gateway import Gateway
from tests.integration.tools.conftest import Run
from tests.integration.tools.fake_service import FakeService
from tests.support.command_line import environment
from tests.support.processes import ROOT
from tests.support.service import KEYS, ROUTES, Service
from tests.unit.tools.fleet_files import bodies
from tools import ToolError, exports


@pytest.fixture
def fleet(service: Service, monkeypatch: pytest.MonkeyPatch) -> Iterator[Service]:
    """The service at a URL that the environment names: a cabinet with two accumulators."""
    service.add_cabinet(charges=[98, 40])
    service.patch("/v1/cabinets/C-1", {"address": "Москва, Тверская улица, 1"})
    service.post("/v1/accumulators", {"accumulator_id": "B-1", "contractor_id": "T-1"})
    gateway = Gateway(ROUTES, service.pool, port=0)
    gateway.start()
    monkeypatch.setenv("SCOOTER_ACCUMULATOR_URL", gateway.url)
    monkeypatch.setenv("SCOOTER_ACCUMULATOR_KEY", KEYS["read"])
    yield service
    gateway.stop()


def rows(text: str, delimiter: str = ",") -> list[dict[str, Any]]:
    return [*csv.DictReader(io.StringIO(text), delimiter=delimiter)]


def exported(run: Run, capsys: pytest.CaptureFixture[str], *arguments: object) -> str:
    assert run(exports, *arguments) == 0
    return capsys.readouterr().out


def test_cabinets_are_written_with_their_stock(
    fleet: Service, run: Run, capsys: pytest.CaptureFixture[str]
) -> None:
    [row] = rows(exported(run, capsys, "cabinets"))
    assert {name: row[name] for name in ("cabinet_id", "lat", "lon", "address", "cells_total")} == {
        "cabinet_id": "C-1",
        "lat": "55.75",
        "lon": "37.62",
        "address": "Москва, Тверская улица, 1",
        "cells_total": "6",
    }
    assert (row["accumulators"], row["available"], row["free_cells"]) == ("2", "1", "4")
    assert (row["online"], row["status_reason"]) == ("true", "")


@pytest.mark.parametrize(
    ("body", "message"),
    [
        (b'{"cabinets": 5, "next_cursor": null}', "no list of cabinets"),
        (b'{"cabinets": [5], "next_cursor": null}', "no list of cabinets"),
        (b'{"cabinets": [{"a": 1}], "next_cursor": null}', "{'a': 1}"),
        (b'{"cabinets": [], "next_cursor": "x"}', "the same page again"),
        (b"[" * 100_000, "no list of cabinets"),
    ],
)
def test_an_answer_that_is_no_page_ends_in_one_line(
    fake: FakeService, run: Run, body: bytes, message: str
) -> None:
    fake.lists["/v1/cabinets"] = body
    with pytest.raises(ToolError, match=f"unexpected answer of GET /v1/cabinets: {message}"):
        run(exports, "cabinets")


@pytest.mark.parametrize("excel", [[], ["--excel"]], ids=["plain", "for Excel"])
def test_an_export_can_be_imported(
    fleet: Service, run: Run, capsys: pytest.CaptureFixture[str], excel: list[str]
) -> None:
    [cabinet] = bodies(exported(run, capsys, "cabinets", *excel))
    assert cabinet == {
        "cabinet_id": "C-1",
        "device_id": "C-1",
        "coords": {"lat": 55.75, "lon": 37.62},
        "address": "Москва, Тверская улица, 1",
        "cells_total": 6,
        "protocol": "native.v1",
    }
    assert bodies(exported(run, capsys, "accumulators", *excel)) == [
        {"accumulator_id": "B-1", "contractor_id": "T-1"},
        {"accumulator_id": "C-1.A-1", "battery_charge": 98},
        {"accumulator_id": "C-1.A-2", "battery_charge": 40},
    ]


def test_an_export_for_excel_has_semicolons_a_mark_and_decimal_commas(
    fleet: Service, run: Run, capsys: pytest.CaptureFixture[str]
) -> None:
    text = exported(run, capsys, "cabinets", "--excel")
    assert text.startswith("\ufeffcabinet_id;device_id;")
    assert rows(text, ";")[0]["lat"] == "55,75"


def test_json_lines_are_what_the_api_returns(
    fleet: Service, run: Run, capsys: pytest.CaptureFixture[str]
) -> None:
    lines = exported(run, capsys, "accumulators", "--format", "jsonl").splitlines()
    assert [json.loads(line) for line in lines] == fleet.get("/v1/accumulators")["accumulators"]


def test_all_pages_are_written(
    fleet: Service, run: Run, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    fleet.sql(
        "INSERT INTO movements (accumulator_id, cause) SELECT 'B-1', 'reported'"
        " FROM generate_series(1, 2500)"
    )
    output = tmp_path / "movements.jsonl"
    exported(run, capsys, "movements", "--output", output)
    ids = [json.loads(line)["movement_id"] for line in output.read_text().splitlines()]
    assert len(ids) == len({*ids}) == 2505


def test_the_movements_of_a_period_are_written(
    fleet: Service, run: Run, capsys: pytest.CaptureFixture[str]
) -> None:
    fleet.sql("UPDATE movements SET at = '2026-10-31T23:59:59Z'")
    fleet.sql("UPDATE movements SET at = '2026-11-01' WHERE to_contractor_id = 'T-1'")
    november = ["--from", "2026-11-01", "--to", "2026-12-01"]
    [row] = rows(exported(run, capsys, "movements", *november))
    assert (row["accumulator_id"], row["cause"], row["to_contractor_id"]) == (
        "B-1",
        "registered",
        "T-1",
    )
    moscow = ["--from", "2026-11-01T00:00+03:00", "--to", "2026-11-01T03:00+03:00"]
    assert len(rows(exported(run, capsys, "movements", *moscow))) == 4


def test_a_file_gets_its_name_when_it_is_complete(
    fleet: Service, run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    output = tmp_path / "accumulators.csv"
    output.write_text("from yesterday\n")

    def fail(*_: object, **__: object) -> Iterator[list[Any]]:
        yield [{"accumulator_id": "A-1"}]
        assert output.read_text() == "from yesterday\n"
        raise ToolError("the service is gone")

    monkeypatch.setattr(exports, "pages", fail)
    with pytest.raises(ToolError, match="the service is gone"):
        run(exports, "accumulators", "--output", output)
    assert output.read_text() == "from yesterday\n"
    assert [*tmp_path.iterdir()] == [output]


def test_a_file_that_exists_is_replaced(fleet: Service, run: Run, tmp_path: Path) -> None:
    output = tmp_path / "accumulators.csv"
    output.write_text("from yesterday\n")
    assert run(exports, "accumulators", "--output", output) == 0
    assert [row["accumulator_id"] for row in rows(output.read_text())] == [
        "B-1",
        "C-1.A-1",
        "C-1.A-2",
    ]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["cabinets", "--from", "2026-11-01"], "--from and --to are for movements"),
        (["movements", "--from", "2026-11-02", "--to", "2026-11-01"], "the period is empty"),
        (["cabinets", "--format", "jsonl", "--excel"], "--excel is for CSV"),
        (["cabinets", "--output", "/no/such/folder/c.csv"], "cannot be written: No such file"),
        (["cabinets", "--output", "/"], "cannot be written"),
    ],
)
def test_arguments_that_make_no_sense_are_refused(
    fleet: Service, run: Run, arguments: list[str], message: str
) -> None:
    with pytest.raises(ToolError, match=message):
        run(exports, *arguments)


def test_a_reader_that_has_enough_may_close_the_pipe(fleet: Service) -> None:
    fleet.sql(
        "INSERT INTO movements (accumulator_id, cause) SELECT 'B-1', 'reported'"
        " FROM generate_series(1, 3000)"
    )
    process = subprocess.Popen(
        [sys.executable, "-m", "tools", "export", "movements"],
        cwd=ROOT,
        env=environment({}),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    assert process.stdout is not None
    assert process.stderr is not None
    with process:
        assert process.stdout.readline().startswith("movement_id,at,accumulator_id,cause,")
        process.stdout.close()
        assert process.stderr.read() == ""
    assert process.returncode == 0
