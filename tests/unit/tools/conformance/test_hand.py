"""Who does what the kit cannot: a person, a program, nobody."""

import io
import shlex
import sys
from collections.abc import Callable

import pytest

from tools.conformance.hand import Nobody, Person, Rig


def after(looks: int) -> Callable[[float], bool]:
    """Return an `is_seen` that sees the change at the last of so many looks, without waiting."""
    left = [looks]

    def is_seen(_seconds: float) -> bool:
        left[0] -= 1
        return left[0] <= 0

    return is_seen


def rig(program: str, said: list[str]) -> Rig:
    return Rig(f"{shlex.quote(sys.executable)} -c {shlex.quote(program)}", said.append, seconds=20)


@pytest.fixture(autouse=True)
def _no_keyboard(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "stdin", io.StringIO())


def test_a_person_is_done_when_the_cabinet_reports_the_change() -> None:
    said: list[str] = []
    assert Person(said.append, seconds=5).do("close", 3, after(2)) == "done"
    assert "Close the door of cell 3." in said[0]


def test_a_person_has_a_limited_time() -> None:
    assert Person(lambda _: None, seconds=1).do("close", 3, after(100)) == "not_done"


def test_nobody_skips_everything() -> None:
    assert Nobody().do("power", None, after(1)) == "skipped"


def test_a_program_gets_the_action_and_the_cell() -> None:
    program = "import sys; sys.exit(sys.argv[1:] != ['take', '3'])"
    assert rig(program, []).do("take", 3, after(100)) == "done"
    assert rig(program, []).do("power", None, after(100)) == "not_done"


def test_what_a_program_complains_about_is_shown() -> None:
    said: list[str] = []
    rig("import sys; sys.exit('the robot is busy')", said).do("close", 1, after(100))
    assert "the robot is busy" in said[-1]


def test_a_program_that_does_not_exist_is_no_hand() -> None:
    said: list[str] = []
    assert Rig("/no/such/program", said.append, seconds=1).do("close", 1, after(1)) == "not_done"
    assert "/no/such/program" in said[-1]
