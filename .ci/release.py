"""Make a release: `make release VERSION=1.2.3`. Needs git, make and the standard library only.

Refuses, and changes nothing, unless everything is ready. Then moves the changelog's Unreleased
section to the new version, sets the version in pyproject.toml, commits and tags. Pushes nothing.
"""

import argparse
import re
import subprocess
import sys
from datetime import UTC, datetime
from pathlib import Path

CHANGELOG = Path("CHANGELOG.md")
PROJECT = Path("pyproject.toml")
_VERSION = re.compile(r"(0|[1-9]\d*)\.(0|[1-9]\d*)\.(0|[1-9]\d*)")
_PROJECT_VERSION = re.compile(r'^version = "([^"]*)"$', re.MULTILINE)
_UNRELEASED = re.compile(r"^## \[Unreleased\]\n(.*?)(?=^## \[|\Z)", re.MULTILINE | re.DOTALL)


class Refused(Exception):
    """The release cannot be made: why, and what to do."""


def main() -> int:
    """Make the release that the command line names; return the exit code."""
    parser = argparse.ArgumentParser(prog="make release VERSION=1.2.3")
    parser.add_argument("version")
    parser.add_argument(
        "--skip-tests", action="store_true", help="if CI has passed for this very commit"
    )
    arguments = parser.parse_args()
    version, tag = arguments.version, f"v{arguments.version}"
    try:
        check_version(version)
        check_repository(tag)
        changelog = with_release(CHANGELOG.read_text(encoding="utf-8"), version)
        run_checks(skip_tests=arguments.skip_tests)
        check_repository(tag)  # the checks take minutes
        commit(changelog, version, tag)
    except Refused as refusal:
        sys.stderr.write(f"not released: {refusal}\n")
        return 1
    sys.stdout.write(f"released {version}; now push it:\n\n  git push origin main {tag}\n")
    return 0


def check_version(version: str) -> None:
    """Refuse what is not a version, or not higher than the project's."""
    if not _VERSION.fullmatch(version):
        raise Refused(
            f"{version!r} is not a version; give three numbers: make release VERSION=1.2.3"
        )
    found = _PROJECT_VERSION.search(PROJECT.read_text(encoding="utf-8"))
    if found is None or not _VERSION.fullmatch(found[1]):
        raise Refused(f'{PROJECT} has no line version = "1.2.3"; add one')
    if _numbers(version) <= _numbers(found[1]):
        raise Refused(f"{version} is not higher than {found[1]} in {PROJECT}; give a higher one")


def check_repository(tag: str) -> None:
    """Refuse another branch than main, uncommitted changes, and a tag that exists."""
    branch = git("rev-parse", "--abbrev-ref", "HEAD")
    if branch != "main":
        raise Refused(f"the branch is {branch}; switch to main: git switch main")
    if changed := git("status", "--porcelain").splitlines():
        names = ", ".join(line[2:].strip() for line in changed[:3])
        raise Refused(f"{len(changed)} uncommitted changes ({names}); commit or stash them")
    if git("tag", "--list", tag):
        raise Refused(f"the tag {tag} exists already; give another version")


def with_release(changelog: str, version: str) -> str:
    """Return the changelog with the Unreleased section moved to the new version."""
    found = _UNRELEASED.search(changelog)
    if found is None:
        raise Refused(f"{CHANGELOG} has no section ## [Unreleased]; add one")
    # A heading alone says nothing about what changed.
    if not re.search(r"^[^#\s]", found[1], re.MULTILINE):
        raise Refused(f"the Unreleased section of {CHANGELOG} is empty; write what has changed")
    heading = f"## [Unreleased]\n\n## [{version}] - {datetime.now(UTC):%Y-%m-%d}\n"
    return changelog[: found.start()] + heading + found[1] + changelog[found.end() :]


def run_checks(*, skip_tests: bool) -> None:
    """Run `make check` and `make test-all`; refuse if one fails."""
    for target in ["check"] if skip_tests else ["check", "test-all"]:
        if subprocess.run(["make", target], check=False).returncode:
            raise Refused(f"make {target} failed; mend what it reports above")


def commit(changelog: str, version: str, tag: str) -> None:
    """Write the files, commit and tag; on a failure restore what was there."""
    before, files = git("rev-parse", "HEAD"), [str(CHANGELOG), str(PROJECT)]
    project = PROJECT.read_text(encoding="utf-8")
    try:
        CHANGELOG.write_text(changelog, encoding="utf-8")
        project = _PROJECT_VERSION.sub(f'version = "{version}"', project, count=1)
        PROJECT.write_text(project, encoding="utf-8")
        git("commit", "--quiet", "--message", f"release: {version}", "--", *files)
        git("tag", "--annotate", tag, "--message", f"release {version}")
    except Refused:
        git("reset", "--quiet", "--hard", before)
        raise


def git(*arguments: str) -> str:
    """Return what git prints; refuse with its message if it fails."""
    ran = subprocess.run(["git", *arguments], capture_output=True, text=True, check=False)
    if ran.returncode:
        reason = " ".join(ran.stderr.split()) or "no reason given"
        raise Refused(f"git {arguments[0]} failed: {reason}")
    return ran.stdout.strip("\n")


def _numbers(version: str) -> tuple[int, ...]:
    return tuple(int(number) for number in version.split("."))


if __name__ == "__main__":
    sys.exit(main())
