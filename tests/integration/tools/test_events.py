"""`python -m tools events` and `examples/follow_events.py`, against the real service over HTTP."""

import argparse
import json
import signal
import subprocess
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import pytest

from local.children import free_port
from local.gateway import Gateway
from shared import cursor
from tests.integration.events.following import Follower
from tests.integration.tools.conftest import Run
from tests.integration.tools.fake_service import FakeService
from tests.support.command_line import environment
from tests.support.processes import ROOT
from tests.support.service import KEYS, ROUTES, Service
from tests.support.waiting import wait_until
from tools import ToolError, events
from tools.service import Service as Client

EXAMPLE = ["examples/follow_events.py"]
TOOL = ["-m", "tools", "events", "--follow", "--json", "--cursor-file"]
FOREIGN = cursor.encode(7, "00000000-0000-4000-8000-000000000000")


@pytest.fixture
def feed(service: Service, monkeypatch: pytest.MonkeyPatch) -> Iterator[Service]:
    """The service at a URL that the environment names."""
    gateway = Gateway(ROUTES, service.pool, port=0)
    gateway.start()
    monkeypatch.setenv("SCOOTER_ACCUMULATOR_URL", gateway.url)
    monkeypatch.setenv("SCOOTER_ACCUMULATOR_KEY", KEYS["read"])
    yield service
    gateway.stop()


@pytest.fixture
def follower(service: Service) -> Follower:
    return Follower(service)


def printed(run: Run, capsys: pytest.CaptureFixture[str], *arguments: object) -> tuple[str, str]:
    """Return what the tool prints on standard output, and on standard error."""
    capsys.readouterr()  # the log of the functions
    assert run(events, *arguments) == 0
    return capsys.readouterr()


def register(service: Service, *accumulator_ids: str) -> None:
    """Make two events for each: `accumulator.changed` and `accumulator.moved`."""
    for accumulator_id in accumulator_ids:
        service.post("/v1/accumulators", {"accumulator_id": accumulator_id})


@contextmanager
def following(command: Sequence[str], file: Path, output: Path) -> Iterator[subprocess.Popen[str]]:
    """A program that follows the feed; it appends to `output`."""
    with output.open("a") as stream:
        process = subprocess.Popen(
            [sys.executable, *command, str(file)],
            cwd=ROOT,
            env=environment({}),
            stdout=stream,
            stderr=subprocess.PIPE,
            text=True,
        )
    with process:
        try:
            yield process
        finally:
            process.kill()


def subjects(output: Path) -> list[str]:
    """Return the subjects of the moves that were printed."""
    whole, _, _ = output.read_text().rpartition("\n")
    found = [json.loads(line) for line in whole.splitlines()]
    return [event["subject"] for event in found if event["type"] == "accumulator.moved"]


# --- the tool -----------------------------------------------------------------------------------


def test_events_are_printed_to_the_end_and_the_cursor_continues(
    feed: Service, follower: Follower, run: Run, capsys: pytest.CaptureFixture[str]
) -> None:
    register(feed, "A-1", "A-2")
    expected = follower.page()
    out, err = printed(run, capsys, "--after", follower.cursor, "--json")
    assert [json.loads(line) for line in out.splitlines()] == expected["events"]
    assert err == f"to continue: --after {expected['cursor']}\n"


def test_without_a_cursor_nothing_is_printed_but_the_cursor_of_now(
    feed: Service, run: Run, capsys: pytest.CaptureFixture[str]
) -> None:
    register(feed, "A-1")
    now = feed.get("/v1/events")["cursor"]
    assert printed(run, capsys) == ("", f"to continue: --after {now}\n")


def test_a_line_of_text_says_what_happened_to_what_and_who_caused_it(
    feed: Service, follower: Follower, run: Run, capsys: pytest.CaptureFixture[str]
) -> None:
    register(feed, "A-1")
    place = {"contractor_id": "T-1"}
    feed.patch("/v1/accumulators/A-1", {"place": place, "reason": "in his van"})
    first, second = (move["at"] for move in follower.page(types="accumulator.moved")["events"])
    options = ["--after", follower.cursor, "--types", "accumulator.moved"]
    assert printed(run, capsys, *options)[0].splitlines() == [
        f"{first:<27}  accumulator.moved            A-1  registered  by operator",
        f"{second:<27}  accumulator.moved            A-1  corrected  in his van  by operator",
    ]


def test_only_events_of_the_types_and_of_the_cabinet_are_printed(
    feed: Service, follower: Follower, run: Run, capsys: pytest.CaptureFixture[str]
) -> None:
    feed.add_cabinet("C-1", charges=[90])
    feed.add_cabinet("C-2", charges=[90])
    options = ["--types", "accumulator.moved", "--cabinet", "C-2"]
    [line] = printed(run, capsys, "--after", follower.cursor, *options)[0].splitlines()
    assert line.split()[1:3] == ["accumulator.moved", "C-2.A-1"]


def test_the_cursor_file_continues_where_the_last_run_ended(
    feed: Service, run: Run, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = tmp_path / "cursor.txt"
    for names in ((), ("A-1", "A-2"), (), ("A-3",)):
        register(feed, *names)
        options = ["--cursor-file", file, "--types", "accumulator.moved"]
        out, err = printed(run, capsys, *options)
        assert [line.split()[2] for line in out.splitlines()] == [*names]
        assert err == f"to continue: --cursor-file {file}\n"


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--after", FOREIGN], "are not kept any more; start without it, from now on"),
        (["--after", "nonsense"], "400 invalid_request: [{'field': 'after'"),
        (["--types", "booking.begun"], "no such type: 'booking.begun'"),
        (["--cursor-file", "/"], "the cursor file / cannot be read"),
        (["--cursor-file", "/no/such/folder/c"], "cannot be written: No such file"),
    ],
)
def test_what_cannot_be_followed_is_said(
    feed: Service, run: Run, arguments: list[str], message: str
) -> None:
    with pytest.raises(ToolError) as refused:
        run(events, *arguments)
    assert message in str(refused.value)


def test_ctrl_c_ends_the_tool_with_the_cursor_that_continues(
    feed: Service, follower: Follower, tmp_path: Path
) -> None:
    output = tmp_path / "events.jsonl"
    register(feed, "A-1")
    command = ["-m", "tools", "events", "--follow", "--json", "--after"]
    with following(command, Path(follower.cursor), output) as process:
        wait_until(lambda: subjects(output) == ["A-1"])
        process.send_signal(signal.SIGINT)
        assert process.wait(60) == 130
        assert process.stderr is not None
        end = feed.get("/v1/events")["cursor"]
        assert process.stderr.read() == f"to continue: --after {end}\ninterrupted\n"


def test_a_reader_that_has_enough_may_close_the_pipe(feed: Service, follower: Follower) -> None:
    register(feed, *(f"A-{n}" for n in range(1, 120)))
    process = subprocess.Popen(
        [sys.executable, "-m", "tools", "events", "--json", "--after", follower.cursor],
        cwd=ROOT,
        env=environment({}),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    assert process.stdout is not None
    assert process.stderr is not None
    with process:
        assert json.loads(process.stdout.readline())["type"].startswith("accumulator.")
        process.stdout.close()
        assert process.stderr.read() == ""
    assert process.returncode == 0


def test_the_tool_waits_for_the_service_longer_than_one_request_is_tried(
    service: Service, follower: Follower
) -> None:
    register(service, "A-1")
    port = free_port()
    gateway = Gateway(ROUTES, service.pool, port=port)
    said: list[str] = []

    def start_at_last(line: str) -> None:
        said.append(line)
        if "tried 8 times" in line:
            gateway.start()

    url = f"http://127.0.0.1:{port}"
    args = argparse.Namespace(
        follow=True, types="accumulator.moved", cabinet=None, requested_by=None
    )
    with Client(url, KEYS["read"], sleep=lambda _: None, notify=start_at_last) as client:
        page = next(events._pages(client, follower.cursor, args))
    gateway.stop()
    assert [event["subject"] for event in page.events] == ["A-1"]
    assert len(said) == 8


# --- the tool and the example --------------------------------------------------------------------


@pytest.mark.parametrize("command", [TOOL, EXAMPLE], ids=["tool", "example"])
def test_a_program_that_is_killed_continues_where_it_was(
    feed: Service, tmp_path: Path, command: list[str]
) -> None:
    file, output = tmp_path / "cursor.txt", tmp_path / "events.jsonl"
    with following(command, file, output):
        wait_until(file.exists)
        register(feed, "A-1", "A-2")
        wait_until(lambda: subjects(output) == ["A-1", "A-2"] and at_end(feed, file))
    register(feed, "A-3")
    with following(command, file, output):
        wait_until(lambda: subjects(output)[2:] == ["A-3"])


def at_end(service: Service, file: Path) -> bool:
    return bool(file.read_text().strip() == service.get("/v1/events")["cursor"])


@pytest.mark.parametrize("command", [TOOL, EXAMPLE], ids=["tool", "example"])
def test_only_what_was_processed_and_not_yet_saved_comes_again(
    feed: Service, tmp_path: Path, command: list[str]
) -> None:
    """The reader of a pipe stops in the middle of a page, so the program waits there."""
    register(feed, "B-1")
    follower = Follower(feed)
    file = tmp_path / "cursor.txt"
    file.write_text(follower.cursor)
    feed.sql(
        "INSERT INTO movements (accumulator_id, cause) SELECT 'B-1', 'reported'"
        " FROM generate_series(1, 900)"
    )
    process = subprocess.Popen(
        [sys.executable, *command, str(file)],
        cwd=ROOT,
        env=environment({}),
        stdout=subprocess.PIPE,
        text=True,
    )
    assert process.stdout is not None
    with process:
        processed = process.stdout.readline()
        process.kill()
    assert file.read_text() == follower.cursor
    output = tmp_path / "events.jsonl"
    with following(command, file, output):
        wait_until(lambda: output.read_text().count("\n") == 900)
    assert output.read_text().startswith(processed)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (FOREIGN, "cursor.txt has expired: events are missing. Delete it, start again, then read"),
        ("nonsense", '"invalid_request"'),
    ],
)
def test_the_example_ends_with_a_clear_line_if_the_cursor_is_of_no_use(
    feed: Service, tmp_path: Path, content: str, message: str
) -> None:
    file = tmp_path / "cursor.txt"
    file.write_text(content)
    assert message in last_line(file)
    assert file.read_text() == content


def test_the_example_ends_with_a_clear_line_if_the_key_is_unknown(
    feed: Service, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SCOOTER_ACCUMULATOR_KEY", "unknown")
    file = tmp_path / "cursor.txt"
    assert '"forbidden"' in last_line(file)
    assert not file.exists()


def last_line(file: Path) -> str:
    """Run the example until it ends; return the only line that it prints."""
    output = file.with_name("events.jsonl")
    with following(EXAMPLE, file, output) as process:
        assert process.wait(60) == 1
        assert process.stderr is not None
        [line] = process.stderr.read().splitlines()
    assert output.read_text() == ""
    return line


def test_the_tool_says_that_a_key_is_unknown(fake: FakeService, run: Run) -> None:
    with pytest.raises(ToolError, match="does not know the key"):
        run(events, "--key", "wrong")
