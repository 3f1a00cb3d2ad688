"""Logs: one JSON object per line, with the platform's level names."""

import io
import json
import logging
import threading
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from shared import log

LOGGER = logging.getLogger("scooter_accumulator")


@pytest.fixture
def stream() -> Iterator[io.StringIO]:
    before = LOGGER.handlers[:], LOGGER.level, LOGGER.propagate
    written = io.StringIO()
    log.begin("DEBUG")
    log.configure("DEBUG", written)
    yield written
    LOGGER.handlers[:], LOGGER.level, LOGGER.propagate = before


def lines(stream: io.StringIO) -> list[dict[str, Any]]:
    return [json.loads(line) for line in stream.getvalue().splitlines()]


def test_a_record_is_one_line_of_json(stream: io.StringIO) -> None:
    log.info("two\nlines", cell_number=3)
    assert stream.getvalue().count("\n") == 1
    assert lines(stream) == [{"message": "two\nlines", "level": "INFO", "cell_number": 3}]


@pytest.mark.parametrize("text", ["\u2028", "\x85", "\ud800", "Москва"], ids=ascii)
def test_unicode_line_separators_do_not_break_a_line(stream: io.StringIO, text: str) -> None:
    log.info("refused", field=text)
    assert lines(stream) == [{"message": "refused", "level": "INFO", "field": text}]


@pytest.mark.parametrize(
    ("write", "level"),
    [(log.debug, "DEBUG"), (log.info, "INFO"), (log.warning, "WARN"), (log.error, "ERROR")],
    ids=["debug", "info", "warning", "error"],
)
def test_levels_have_the_platforms_names(
    stream: io.StringIO, write: Callable[..., None], level: str
) -> None:
    write("something happened")
    assert lines(stream)[0]["level"] == level


def test_records_below_the_level_are_not_written(stream: io.StringIO) -> None:
    log.configure("WARNING", stream)
    log.info("unimportant")
    log.warning("important")
    assert [line["message"] for line in lines(stream)] == ["important"]


def test_fields_bound_to_an_invocation_are_in_all_its_records(stream: io.StringIO) -> None:
    log.begin("INFO", request_id="r-1")
    log.configure("INFO", stream)
    log.bind(caller="app")
    log.info("one")
    log.info("two", caller="other")
    assert [(line["request_id"], line["caller"]) for line in lines(stream)] == [
        ("r-1", "app"),
        ("r-1", "other"),
    ]


def test_fields_do_not_leak_into_the_next_invocation(stream: io.StringIO) -> None:
    log.begin("INFO", request_id="r-1")
    log.bind(caller="app")
    log.begin("INFO", request_id="r-2")
    log.configure("INFO", stream)
    log.info("one")
    assert lines(stream) == [{"message": "one", "level": "INFO", "request_id": "r-2"}]


def test_fields_do_not_leak_into_another_thread(stream: io.StringIO) -> None:
    log.bind(request_id="r-1")
    other = threading.Thread(target=log.info, args=("from another instance",))
    other.start()
    other.join()
    assert "request_id" not in lines(stream)[0]


def test_an_error_includes_the_exception_being_handled(stream: io.StringIO) -> None:
    try:
        raise LookupError("nothing there")  # noqa: TRY301 - it is what is logged
    except LookupError:
        log.error("request failed")
    [line] = lines(stream)
    assert "LookupError: nothing there" in line["exception"]
    assert "Traceback" in line["exception"]


def test_an_error_without_an_exception_has_none(stream: io.StringIO) -> None:
    log.error("metrics were not written")
    assert "exception" not in lines(stream)[0]


def test_any_value_can_be_logged(stream: io.StringIO) -> None:
    log.info("шкаф", id_=object, many={1, 2}.pop())
    assert lines(stream)[0]["message"] == "шкаф"
    assert lines(stream)[0]["id_"] == "<class 'object'>"


def test_records_do_not_reach_the_root_logger(stream: io.StringIO) -> None:
    platforms = logging.StreamHandler(elsewhere := io.StringIO())
    logging.getLogger().addHandler(platforms)
    try:
        log.error("ours")
    finally:
        logging.getLogger().removeHandler(platforms)
    assert elsewhere.getvalue() == ""


def test_records_are_written_to_standard_output_by_default(
    stream: io.StringIO, capsys: pytest.CaptureFixture[str]
) -> None:
    log.configure("INFO")
    log.info("here")
    captured = capsys.readouterr()
    assert json.loads(captured.out)["message"] == "here"
    assert captured.err == ""
