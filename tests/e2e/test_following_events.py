"""Follow docs/following-events.md, and the events of docs/tools.md, against a local cloud."""

import json
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support import pages
from tests.support.local_cloud import Cabinet, LocalCloud
from tests.support.programs import needs
from tests.support.shell import Shell, shell_in
from tests.support.waiting import wait_until

pytestmark = needs("bash", "curl", "jq")

PAGE = "docs/following-events.md"
TOOLS = "docs/tools.md"


@pytest.fixture
def shell(stack: LocalCloud, tmp_path: Path) -> Iterator[Shell]:
    """A shell in which the tools know the local cloud."""
    with shell_in(tmp_path, stack) as shell:
        shell.run("export SCOOTER_ACCUMULATOR_URL=$URL SCOOTER_ACCUMULATOR_KEY=local-read")
        yield shell


def test_the_first_events_are_read_with_curl_and_with_the_tool(
    shell: Shell, cabinet: Cabinet
) -> None:
    get_cursor, book, read = pages.shell_blocks(PAGE, "From the first curl")
    [watch] = pages.shell_blocks(PAGE, "On the screen")
    [shown] = [one.text for one in pages.blocks(PAGE) if one.text.startswith("booking.created ")]
    shell.run(get_cursor)
    shell.run(book.replace("C-001", cabinet.cabinet_id))
    output = shell.run(read.replace("limit=1000", f"limit=1000&cabinet_id={cabinet.cabinet_id}"))
    assert without_ids(output) == without_ids(shown) + "\n"
    printed = shell.run(f"{watch} --cabinet {cabinet.cabinet_id}")
    assert re.fullmatch(r"\S+Z +booking.created +[0-9a-f-]{36}  issue  by local-backend\n", printed)


def without_ids(text: str) -> str:
    return re.sub(r"\b[0-9a-f-]{36}\b", "(id)", text)


@pytest.mark.slow
def test_the_program_of_the_page_continues_after_it_was_killed(
    shell: Shell, cabinet: Cabinet, tmp_path: Path
) -> None:
    start, kill, start_again = pages.shell_blocks(PAGE, "A program that survives restarts")
    output = tmp_path / "events.jsonl"
    shell.run(start)
    wait_until((tmp_path / "cursor.txt").exists)
    first = cabinet.book()["booking_id"]
    wait_until(lambda: created(output, cabinet) == [first])
    shell.run(kill)
    second = cabinet.book()["booking_id"]
    shell.run(start_again)
    wait_until(lambda: created(output, cabinet)[-1] == second)
    shell.run(kill)
    assert created(output, cabinet) in ([first, second], [first, first, second])


def created(output: Path, cabinet: Cabinet) -> list[str]:
    """Return the bookings of this cabinet that the program has printed."""
    whole, _, _ = output.read_text().rpartition("\n")
    events = [json.loads(line) for line in whole.splitlines()]
    return [
        event["subject"]
        for event in events
        if (event["type"], event["cabinet_id"]) == ("booking.created", cabinet.cabinet_id)
    ]


def test_the_tool_prints_what_has_happened_since_its_last_run(
    shell: Shell, cabinet: Cabinet
) -> None:
    [block] = pages.shell_blocks(TOOLS, "Events")
    first, export, last = block.replace("C-001", cabinet.cabinet_id).splitlines()
    assert shell.run(first) == ""
    shell.run(export)
    cabinet.act("pry", cell=1)
    wait_until(cabinet.anomalies)
    assert re.fullmatch(r"\S+ +anomaly.raised .*\n", shell.run(last))
