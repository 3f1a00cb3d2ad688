"""make release: commits and tags a version, or refuses with one line and changes nothing."""

import shutil
import subprocess
import sys
from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path

import pytest

from tests.support.command_line import environment
from tests.support.pages import blocks
from tests.support.processes import ROOT

GIT = shutil.which("git") or ""
pytestmark = pytest.mark.skipif(
    not GIT or not shutil.which("make"), reason="a release needs git and make"
)

PROJECT = '[project]\nname = "a"\nversion = "1.9.0"\n\n[tool.x]\nversion = "7"\n'
CHANGELOG = """# Changelog

## [Unreleased]

### Added

- A wheel.

## [1.9.0] - 2026-01-02

- An axle.
"""
MAKEFILE = "check test-all:\n\t@echo $@ >>.git/targets\n"
IDENTITY = {
    f"GIT_{role}_{what}": value
    for role in ("AUTHOR", "COMMITTER")
    for what, value in (("NAME", "A"), ("EMAIL", "a@example.org"))
}


class Repository:
    """A temporary git repository with a project that can be released."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        nowhere = {"GIT_CONFIG_GLOBAL": "/dev/null", "GIT_CONFIG_SYSTEM": "/dev/null"}
        self.environment = environment(IDENTITY | nowhere)
        self.git("init", "--quiet", "--initial-branch=main")
        files = {"pyproject.toml": PROJECT, "CHANGELOG.md": CHANGELOG, "Makefile": MAKEFILE}
        self.commit(files)

    def git(self, *arguments: str) -> str:
        return subprocess.run(
            [GIT, *arguments],
            cwd=self.directory,
            env=self.environment,
            check=True,
            capture_output=True,
            text=True,
        ).stdout

    def commit(self, files: Mapping[str, str]) -> None:
        for name, text in files.items():
            (self.directory / name).write_text(text)
        self.git("add", ".")
        self.git("commit", "--quiet", "--message", "a change")

    def read(self, name: str) -> str:
        return (self.directory / name).read_text()

    def targets(self) -> list[str]:
        """Return the Make targets that were run."""
        file = self.directory / ".git" / "targets"
        return file.read_text().split() if file.exists() else []

    def state(self) -> tuple[str, ...]:
        return (
            self.git("rev-parse", "HEAD"),
            self.git("status", "--porcelain"),
            self.git("tag"),
            self.read("CHANGELOG.md"),
            self.read("pyproject.toml"),
        )

    def release(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [sys.executable, str(ROOT / ".ci" / "release.py"), *arguments],
            cwd=self.directory,
            env=self.environment,
            check=False,
            capture_output=True,
            text=True,
        )

    def refusal(self, version: str = "1.10.0") -> str:
        """Return the line with which a release is refused, after checking that nothing changed."""
        before = self.state()
        ran = self.release(version)
        assert ran.returncode == 1
        assert self.state() == before
        [line] = [line for line in ran.stderr.splitlines() if not line.startswith("make")]
        return line


@pytest.fixture
def repository(tmp_path: Path) -> Repository:
    return Repository(tmp_path)


def test_a_release_moves_the_unreleased_section_and_sets_the_version(
    repository: Repository,
) -> None:
    before = datetime.now(UTC)
    ran = repository.release("1.10.0")
    after = datetime.now(UTC)
    assert (ran.returncode, ran.stderr) == (0, "")
    heading = "## [Unreleased]\n\n## [1.10.0] - {:%Y-%m-%d}\n"
    assert repository.read("CHANGELOG.md") in {
        CHANGELOG.replace("## [Unreleased]\n", heading.format(day)) for day in (before, after)
    }
    assert repository.read("pyproject.toml") == PROJECT.replace("1.9.0", "1.10.0")


def test_a_release_is_one_commit_with_a_tag_and_is_not_pushed(repository: Repository) -> None:
    before = repository.git("rev-parse", "HEAD")
    ran = repository.release("1.10.0")
    assert repository.git("log", "-1", "--format=%s") == "release: 1.10.0\n"
    assert repository.git("rev-parse", "HEAD~1") == before
    assert repository.git("rev-parse", "v1.10.0^{commit}") == repository.git("rev-parse", "HEAD")
    assert repository.git("status", "--porcelain") == ""
    [shown] = [one.text for one in blocks("CONTRIBUTING.md") if one.text.startswith("released")]
    assert ran.stdout.endswith(f"{shown.replace('1.2.3', '1.10.0')}\n")


def test_a_release_runs_the_checks_and_the_tests(repository: Repository) -> None:
    repository.release("1.10.0")
    assert repository.targets() == ["check", "test-all"]


def test_the_tests_can_be_skipped_but_not_the_checks(repository: Repository) -> None:
    assert repository.release("1.10.0", "--skip-tests").returncode == 0
    assert repository.targets() == ["check"]


@pytest.mark.parametrize("version", ["1.10", "v1.10.0", "1.10.0rc1", "01.10.0", ""])
def test_a_malformed_version_is_refused(repository: Repository, version: str) -> None:
    assert f"{version!r} is not a version" in repository.refusal(version)


@pytest.mark.parametrize("version", ["1.9.0", "1.8.9", "0.10.0"])
def test_a_version_that_is_not_higher_is_refused(repository: Repository, version: str) -> None:
    assert f"{version} is not higher than 1.9.0" in repository.refusal(version)


@pytest.mark.parametrize("project", ["[project]\n", '[project]\nversion = "1.9"\n'])
def test_a_project_without_a_version_is_refused(repository: Repository, project: str) -> None:
    repository.commit({"pyproject.toml": project})
    assert "pyproject.toml has no line version" in repository.refusal()


@pytest.mark.parametrize("name", ["pyproject.toml", "new.txt"])
def test_uncommitted_changes_are_refused_and_named(repository: Repository, name: str) -> None:
    with (repository.directory / name).open("a") as file:
        file.write("# change\n")
    assert f"1 uncommitted changes ({name}); commit or stash" in repository.refusal()


def test_another_branch_than_main_is_refused(repository: Repository) -> None:
    repository.git("switch", "--quiet", "--create", "side")
    assert "the branch is side; switch to main" in repository.refusal()


def test_a_tag_that_exists_is_refused(repository: Repository) -> None:
    repository.git("tag", "v1.10.0")
    assert "the tag v1.10.0 exists already" in repository.refusal()


@pytest.mark.parametrize("content", ["", "\n", "\n### Added\n\n"])
def test_an_empty_unreleased_section_is_refused(repository: Repository, content: str) -> None:
    repository.commit({"CHANGELOG.md": f"## [Unreleased]\n{content}## [1.9.0]\n\n- An axle.\n"})
    assert "the Unreleased section of CHANGELOG.md is empty" in repository.refusal()


def test_a_changelog_without_an_unreleased_section_is_refused(repository: Repository) -> None:
    repository.commit({"CHANGELOG.md": "## [1.9.0]\n\n- An axle.\n"})
    assert "CHANGELOG.md has no section ## [Unreleased]" in repository.refusal()


@pytest.mark.parametrize("target", ["check", "test-all"])
def test_a_failing_check_is_refused(repository: Repository, target: str) -> None:
    other = {"check": "test-all", "test-all": "check"}[target]
    repository.commit({"Makefile": f"{target}:\n\t@exit 1\n{other}:\n\t@true\n"})
    assert f"make {target} failed" in repository.refusal()


def test_files_that_the_checks_change_are_refused(repository: Repository) -> None:
    repository.commit({"Makefile": "check:\n\t@true\ntest-all:\n\t@echo >left_behind\n"})
    ran = repository.release("1.10.0")
    assert ran.returncode == 1
    assert "uncommitted changes (left_behind)" in ran.stderr
    assert repository.git("tag") == ""


def test_a_commit_that_git_refuses_is_rolled_back(repository: Repository) -> None:
    hook = repository.directory / ".git" / "hooks" / "pre-commit"
    hook.parent.mkdir(exist_ok=True)
    hook.write_text("#!/bin/sh\necho not today >&2\nexit 1\n")
    hook.chmod(0o755)
    assert "git commit failed: not today" in repository.refusal()
