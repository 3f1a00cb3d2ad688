"""CSV files as spreadsheets, scripts and people write them."""

import pytest

from tests.unit.tools.fleet_files import CABINET, HEADER, ROW, bodies, checked, faults, form
from tools import ToolError
from tools.fleet.check import check

CYRILLIC = "\u0421"  # looks like a C
ID = "an id has only A-Z a-z 0-9 . _ : -"

TOO_MANY = (
    "the row has more values than the header has columns; a value with a comma, also a decimal"
    " comma, is written in quotes"
)

NASTY = {
    "plain": f"{HEADER}\n{ROW}\n",
    "no newline at the end": f"{HEADER}\n{ROW}",
    "CRLF": f"{HEADER}\r\n{ROW}\r\n",
    "CR": f"{HEADER}\r{ROW}\r",
    "semicolons": f"{HEADER}\n{ROW}".replace(",", ";"),
    "tabs": f"{HEADER}\n{ROW}".replace(",", "\t"),
    "decimal commas": "cabinet_id;lat;lon;cells_total\nC-1;55,75;37,62;12",
    "decimal commas in quotes": f'{HEADER}\nC-1,"55,75","37,62",12',
    "a line for Excel": "sep=;\ncabinet_id;lat;lon;cells_total\nC-1;55.75;37.62;12",
    "that line as Excel saves it": f"sep=,,,\n{HEADER}\n{ROW}",
    "another separator, named": "SEP=|\ncabinet_id|lat|lon|cells_total\nC-1|55.75|37.62|12",
    "blank lines": f"\n \n{HEADER}\n\n{ROW}\n\n,,,\n",
    "trailing empty columns": f"{HEADER},,\n{ROW},,\n",
    "empty values to the right of the header": f"{HEADER}\n{ROW},,,\n",
    "a short row": f"{HEADER},address,protocol\n{ROW}\n",
    "another order": "lon,cells_total,lat,cabinet_id\n37.62,12,55.75,C-1",
    "a header as people write it": f"Cabinet ID,LAT, Lon ,Cells-Total\n{ROW}",
    "a header in quotes": f'"cabinet_id","lat","lon","cells_total"\n{ROW}',
    "spaces around values": f"{HEADER}\n C-1 , 55.75,37.62\xa0,\t12 ",
    "a whole number with a point": f"{HEADER}\nC-1,55.75,37.62,12.0",
    "columns of an export": f"{HEADER},status,online,free_cells\n{ROW},active,true,3",
    "a column of errors": f"{HEADER},error\n{ROW},lat: is missing",
}


@pytest.mark.parametrize("content", NASTY.values(), ids=NASTY)
def test_the_same_cabinet_is_read_from_every_kind_of_table(content: str) -> None:
    assert bodies(content) == [CABINET]


def test_a_row_with_an_accumulator_id_is_an_accumulator() -> None:
    content = "cabinet_id,accumulator_id,battery_charge,contractor_id\n,a-1,97,VAN-1\n,A-2,,"
    assert bodies(content) == [
        {"accumulator_id": "A-1", "battery_charge": 97, "contractor_id": "VAN-1"},
        {"accumulator_id": "A-2"},
    ]


def test_cabinets_are_sent_before_accumulators() -> None:
    content = f"{HEADER},accumulator_id\n,,,,A-1\n{ROW},\n,,,,A-2"
    assert [item.item_id for item in checked(content).items] == ["C-1", "A-1", "A-2"]


def test_quotes_commas_and_line_breaks_in_quoted_values_are_kept() -> None:
    content = f'{HEADER},address\n{ROW},"Кафе ""Пушкинъ"",\n(Тверской бульвар, 26)"\n'
    assert bodies(content)[0]["address"] == 'Кафе "Пушкинъ",\n(Тверской бульвар, 26)'


def test_the_cabinet_of_an_accumulator_is_not_imported_and_the_user_is_told() -> None:
    found = checked("accumulator_id,cabinet_id,cell_number\nA-1,C-1,3")
    assert [dict(item.body) for item in found.items] == [{"accumulator_id": "A-1"}]
    assert found.ignored == ["cabinet_id", "cell_number"]


@pytest.mark.parametrize(
    ("content", "expected"),
    [
        (
            f"{HEADER}\nC-1,5x,37.62,12",
            ("line 2", "lat: '5x' is not a number; an example: 55.7558"),
        ),
        (
            f"{HEADER}\nC-1,55.7.5,3,12",
            ("line 2", "lat: '55.7.5' is not a number; an example: 55.7558"),
        ),
        (
            f"{HEADER}\nC-1,95.1,37.62,12",
            ("line 2", "lat: Input should be less than or equal to 90, not 95.1"),
        ),
        (f"{HEADER}\nC-1,,37.62,12", ("line 2", "lat: is missing")),
        (f"{HEADER}\nC-1,,,12", ("line 2", "lat: is missing")),
        (f"{HEADER}\nC-1,1,2,", ("line 2", "cells_total: is missing")),
        (f"{HEADER}\nC-1,1,2,1.5", ("line 2", "cells_total: '1.5' is not a whole number")),
        (
            f"{HEADER}\nC-1,1,2,0",
            ("line 2", "cells_total: Input should be greater than or equal to 1, not 0"),
        ),
        (
            "accumulator_id,battery_charge\nA-1,101",
            ("line 2", "battery_charge: Input should be less than or equal to 100, not 101"),
        ),
        (
            "accumulator_id,battery_charge\nA-1,97%",
            ("line 2", "battery_charge: '97%' is not a whole number"),
        ),
        (
            f"{HEADER}\n{ROW.replace('C', CYRILLIC)}",
            (
                "line 2",
                "cabinet_id: '\u0421-1' has '\u0421' (Cyrillic capital letter es); " + ID,
            ),
        ),
        (
            f"accumulator_id\n{'A' * 65}",
            ("line 2", f"accumulator_id: '{'A' * 59}… has 65 characters; an id has 1 to 64"),
        ),
        (f"{HEADER}\n,1,2,3", ("line 2", "neither cabinet_id nor accumulator_id is given")),
        (
            f"{HEADER},accumulator_id\n{ROW},A-1",
            ("line 2", "cells_total: is of cabinets, but the row has an accumulator_id"),
        ),
        (
            f"{HEADER},battery_charge\n{ROW},90",
            ("line 2", "battery_charge: is of accumulators, but the row has no accumulator_id"),
        ),
        (
            "accumulator_id,contractor_id,scooter_id\nA-1,T-1,S-1",
            ("line 2", "name contractor_id or scooter_id, not both"),
        ),
        (f"{HEADER}\n{ROW}\n\n{ROW}", ("line 4", "cabinet_id: 'C-1' is on line 2, too")),
        ("accumulator_id\nA-1\na-1", ("line 3", "accumulator_id: 'a-1' is on line 2, too")),
        (
            f"{HEADER},device_id\n{ROW},D-1\n{ROW.replace('C-1', 'C-2')},D-1",
            ("line 3", "device_id: 'D-1' is on line 2, too"),
        ),
        (
            f"{HEADER}\n{ROW},x",
            ("line 2", TOO_MANY),
        ),
        (
            f"{HEADER},\n{ROW},x",
            ("line 2", TOO_MANY),
        ),
    ],
)
def test_a_mistake_is_reported_with_its_line_and_column(
    content: str, expected: tuple[str, str]
) -> None:
    assert faults(content) == [expected]


def test_the_line_of_a_row_is_counted_in_the_file_and_not_in_rows() -> None:
    content = f'sep=,\n{HEADER},address\n{ROW},"two\nlines"\n\nC-2,x,1,2,\n'
    assert [where for where, _ in faults(content)] == ["line 6"]


def test_a_row_with_a_mistake_does_not_stop_the_others() -> None:
    found = checked(f"{HEADER}\nC-0,x,1,2\n{ROW}\n")
    assert [item.item_id for item in found.items] == ["C-1"]
    assert [failure.item_id for failure in found.failures] == ["C-0"]


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (
            "cabinet_id,lat,lon,cells\n",
            "line 1: unknown column 'cells' (did you mean cells_total?)",
        ),
        ("cabinet_id,latitude\n", "line 1: unknown column 'latitude' (did you mean lat?)"),
        ("cabinet_id,lat,LAT\n", "line 1: the column lat is there twice"),
        ("sep=;\n\n шкаф;lat\n", "line 3: unknown column 'шкаф'; known: cabinet_id, "),
        ("", "the file has no header line"),
        ("\n,,\n", "the file has no header line"),
        (f'{HEADER},address\n{ROW},"open\nC-2,1,2,3,\n', "line 2: unexpected end of data"),
        (f'{HEADER},address\n{ROW},"a" b\n', "line 2: ',' expected after '\"'"),
        (f"{HEADER},address\n{ROW},{'x' * 200_000}\n", "line 2: field larger than field limit"),
    ],
)
def test_a_file_that_cannot_be_understood_is_refused_with_the_line(
    content: str, message: str
) -> None:
    with pytest.raises(ToolError) as refused:
        form(content)
    assert str(refused.value).startswith(message)


def test_failures_are_a_table_that_can_be_mended_and_read_again() -> None:
    content = f"{HEADER.replace(',', ';')};;\nC-1;x;37,62;12;;\nC-2;1;2;3;;\nC-3;1;;;;\n"
    table = form(content)
    failed = table.failed(check(table.records).failures)
    assert failed.splitlines() == [
        "cabinet_id;lat;lon;cells_total;error",
        "C-1;x;37,62;12;\"lat: 'x' is not a number; an example: 55.7558\"",
        'C-3;1;;;"lon: is missing; cells_total: is missing"',
    ]
    mended = failed.replace("C-1;x;", "C-1;55,75;").replace("C-3;1;;;", "C-3;1;2;3;")
    assert [body["cabinet_id"] for body in bodies(mended)] == ["C-1", "C-3"]


@pytest.mark.parametrize("delimiter", [",", ";", "|"])
def test_a_row_with_too_many_values_fails_again_until_it_is_mended(delimiter: str) -> None:
    content = f"sep=,\n{HEADER}\nC-1,55,75,37,62,12\n".replace(",", delimiter)
    table = form(content)
    failed = table.failed(check(table.records).failures)
    assert [fault for _, fault in faults(failed)] == [TOO_MANY]
