"""A shell in which the commands of a page run against a local cloud."""

import json
import shutil
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from threading import Timer
from typing import Any

from tests.support.command_line import environment
from tests.support.local_cloud import LocalCloud
from tests.support.processes import ROOT

SECONDS_FOR_A_BLOCK = 100
_PAGE_URL = "http://127.0.0.1:8080"
_END = "-- end of block --"

_START = r"""
set -Eeuo pipefail
trap 'echo "failed: $BASH_COMMAND" >&2' ERR
curl() {  # the pages read a response of 400 and above; here it is a failure
    case " $* " in
        *" --fail"*|*" -fsS"*) command curl "$@" ;;
        *) command curl --fail-with-body "$@" ;;
    esac
}
"""

# What Terraform prints about a deployment. Here, the deployment is the local cloud.
_TERRAFORM = """#!/bin/sh
case "$*" in
    *" output -raw api_url") printf %s "$URL" ;;
    *" output -json function_ids") echo '{"mqtt_trigger": "id-of-mqtt_trigger"}' ;;
    *" output -raw log_group_id") printf %s id-of-the-log-group ;;
    *) echo "not here: terraform $*" >&2; exit 1 ;;
esac
"""
_YC = """#!/bin/sh
printf '%s\\n' "$@"
"""


class Shell:
    """A running bash in a folder like the project's, with the secrets of a deployment."""

    def __init__(self, directory: Path, stack: LocalCloud) -> None:
        self.directory = directory
        self._url = stack.url
        _link_project(directory, stack)
        programs = directory / "programs"
        programs.mkdir()
        for name, script in (("terraform", _TERRAFORM), ("yc", _YC)):
            (programs / name).write_text(script)
            (programs / name).chmod(0o755)
        path = f"{programs}:{Path(sys.executable).parent}:{environment({})['PATH']}"
        addresses = {"URL": stack.url, "MQTT_PORT": str(stack.addresses["mqtt_port"])}
        self.environment = environment({}) | addresses | {"PATH": path}
        self._errors = directory / "errors.txt"
        with self._errors.open("a") as errors:
            self._bash = subprocess.Popen(
                ["bash"],
                cwd=directory,
                env=self.environment,
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=errors,
                text=True,
            )
        self.run(_START)

    def run(self, block: str) -> str:
        """Run a block of a page; return its output. Fails if any of its commands fails."""
        assert self._bash.stdin is not None
        assert self._bash.stdout is not None
        block = block.replace(_PAGE_URL, self._url)
        timer = Timer(SECONDS_FOR_A_BLOCK, self._bash.kill)
        timer.start()
        try:
            self._bash.stdin.write(f"{{ {block}\n}} </dev/null\necho '{_END}'\n")
            self._bash.stdin.flush()
            output = ""
            for line in self._bash.stdout:
                output += line
                if output.endswith(f"{_END}\n"):
                    return output.removesuffix(f"{_END}\n")
        finally:
            timer.cancel()
        raise AssertionError(f"{block}\n{output}\n{self._errors.read_text()}")

    def close(self) -> None:
        self._bash.kill()
        self._bash.communicate()


@contextmanager
def shell_in(directory: Path, stack: LocalCloud) -> Iterator[Shell]:
    shell = Shell(directory, stack)
    try:
        yield shell
    finally:
        shell.close()


def responses(output: str) -> list[Any]:
    """Return the JSON documents of an output, which need not be separated."""
    decoder, found, position = json.JSONDecoder(), [], 0
    while (position := output.find("{", position)) >= 0:
        document, position = decoder.raw_decode(output, position)
        found.append(document)
    return found


def _link_project(directory: Path, stack: LocalCloud) -> None:
    """Link the project's files, the environment and the data of the local cloud."""
    for entry in ROOT.iterdir():
        if entry.name not in {".git", ".local", ".venv", "terraform"}:
            (directory / entry.name).symlink_to(entry)
    (directory / ".venv").symlink_to(sys.prefix)
    (directory / ".local").symlink_to(stack.data_dir)
    secrets = directory / "terraform" / ".secrets"
    secrets.mkdir(parents=True)
    (secrets / "operator_key").write_text("local-operator")
    (secrets.parent / "broker").symlink_to(ROOT / "terraform" / "broker")
    shutil.copy(ROOT / "terraform" / "smoke_test.py", secrets.parent)
