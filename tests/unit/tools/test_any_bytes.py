"""Whatever is in a file: it is read, or refused with one line; never a traceback."""

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from tests.unit.tools.fleet_files import HEADER
from tools import ToolError
from tools.fleet.check import check
from tools.fleet.columns import IGNORED, IMPORTED
from tools.fleet.file import form_of
from tools.fleet.records import KINDS
from tools.fleet.text import decode

_FRAGMENTS = [
    *sorted({*IMPORTED, *IGNORED}),
    *(",", ";", "\t", "\n", "\r\n", "\r", '"', '""', " ", "sep=;", "sep=", "\ufeff", "\u2028"),
    *("C-1", "A-1", "a-1", "55.75", "55,75", "1e5", "-0", "9" * 400, "Москва", "\ud83d\ude00"),
    *('{"cabinets": [', '{"accumulators": [', '{"accumulator_id": ', "{", "}", "[", "]", ":"),
    *('"\\ud800"', "null", "NaN", "1e999", '{"lat": 1, "lon": 2}', "[" * 2000, '{"a":' * 300),
]
_texts = st.lists(st.sampled_from(_FRAGMENTS), max_size=40).map("".join)


def read(data: bytes, suffix: str) -> None:
    """Read a file as the command does, and write what failed in it."""
    text = decode(data)
    if text is None:
        return
    try:
        form = form_of(text.content, suffix)
        found = check(form.records)
        failed = form.failed(found.failures)
    except (ToolError, RecursionError):  # `FleetFile.load` refuses both with one line
        return
    assert len(found.items) + len(found.failures) == len(form.records)
    assert all(failure.faults for failure in found.failures)
    assert all(item.kind in KINDS for item in found.items)
    assert all("\n" not in str(fault) for one in found.failures for fault in one.faults)
    failed.encode(errors="backslashreplace")


@pytest.mark.parametrize("suffix", [".csv", ".jsonl"])
@given(data=st.binary(max_size=200))
def test_any_bytes_are_read_or_refused(suffix: str, data: bytes) -> None:
    read(data, suffix)


@pytest.mark.parametrize("suffix", [".csv", ".jsonl"])
@given(text=_texts)
@example(text='{"cabinets": [{"cabinet_id": "C-1", "coords": {"lat": [], "lon": {}}}]}')
@example(text='{"cabinets": [{"cabinet_id": "C-1", "coords": [], "cells_total": {}}]}')
@example(text='{"cabinets": [{"cabinet_id": [], "address": "\\ud800"}]}')
def test_pieces_of_files_in_any_order_are_read_or_refused(suffix: str, text: str) -> None:
    read(text.encode(errors="surrogatepass"), suffix)


@given(rows=st.lists(st.lists(st.text(max_size=8), max_size=8), max_size=8))
def test_any_values_under_a_header_are_read_or_refused(rows: list[list[str]]) -> None:
    lines = [HEADER, *(",".join(row) for row in rows)]
    read("\n".join(lines).encode(errors="surrogatepass"), ".csv")
