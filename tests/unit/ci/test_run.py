"""CI runs the test command that README.md names, and no test is left out there."""

import re

from tests.support import pages
from tests.support.processes import ROOT

CI = (ROOT / ".ci" / "run").read_text(encoding="utf-8")


def test_ci_runs_the_command_of_the_readme_for_all_tests() -> None:
    readme = pages.read("README.md")
    [command] = re.findall(r"^(\S+ \S+) +# all tests, as CI runs them", readme, re.MULTILINE)
    assert re.search(rf"^{command} \|\|", CI, re.MULTILINE)


def test_only_the_quick_command_leaves_tests_out() -> None:
    makefile = (ROOT / "Makefile").read_text(encoding="utf-8")
    recipes = dict(re.findall(r"^([\w-]+):.*\n((?:\t.*\n)+)", makefile, re.MULTILINE))
    assert [name for name, recipe in recipes.items() if "not slow" in recipe] == ["test"]
