"""`python -m tools`: help, exit codes, and what a terminal shows."""

import io
import subprocess
import sys

import pytest

from tests.support.command_line import run
from tools.progress import counting


def tools(*arguments: str, **settings: str) -> subprocess.CompletedProcess[str]:
    return run([sys.executable, "-m", "tools", *arguments], settings)


def test_the_help_lists_the_tools() -> None:
    shown = tools("--help")
    assert shown.returncode == 0
    assert "  import " in shown.stdout
    assert "  export " in shown.stdout
    assert "  events " in shown.stdout


@pytest.mark.parametrize("tool", ["import", "export", "events"])
def test_the_help_of_a_tool_has_examples_and_says_how_to_name_the_service(tool: str) -> None:
    shown = tools(tool, "--help").stdout
    assert f"examples:\n  python -m tools {tool} " in shown
    assert "SCOOTER_ACCUMULATOR_URL" in shown
    assert "other users of this machine can see it" in " ".join(shown.split())


@pytest.mark.parametrize(
    "arguments",
    [
        ["import", "no-such-file.csv", "--key", "k"],
        ["export", "cabinets", "--key", "k", "--url", "http://127.0.0.1:1"],
        ["export", "cabinets", "--url", "nonsense", "--key", "k"],
        ["export", "cabinets", "--key-file", "no-such-file"],
        ["events", "--follow", "--key", "k", "--url", "http://127.0.0.1:1"],
    ],
)
def test_what_cannot_be_done_ends_with_2_and_one_line_that_says_why(arguments: list[str]) -> None:
    done = tools(*arguments)
    assert done.returncode == 2
    lines = [line for line in done.stderr.splitlines() if "trying again" not in line]
    assert len(lines) == 1
    assert lines[0].startswith("tools: ")
    assert done.stdout == ""


def test_a_terminal_without_cyrillic_letters_gets_them_as_codes() -> None:
    done = tools("import", "флот.csv", "--key", "k", PYTHONIOENCODING="ascii", PYTHONUTF8="0")
    assert done.returncode == 2
    assert done.stderr == (
        "tools: \\u0444\\u043b\\u043e\\u0442.csv cannot be read: No such file or directory\n"
    )


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


def test_a_terminal_shows_a_bar_and_a_log_gets_lines() -> None:
    terminal, log = Terminal(), io.StringIO()
    for stream in (terminal, log):
        with counting("importing", 2000, stream) as counter:
            counter.add(1000)
            counter.say("the connection is lost [1]")
            counter.add(1000)
    assert "2000/2000" in terminal.getvalue()
    assert "the connection is lost [1]\n" in terminal.getvalue()
    assert log.getvalue() == "the connection is lost [1]\n"
