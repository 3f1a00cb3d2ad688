"""Terraform, run in a copy of the checkout with the provider that it finds."""

import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

from local.rehearsal import Fault

_PROJECT = Path(__file__).parents[2]
_LEFT_OUT = shutil.ignore_patterns(
    ".*",
    "*.tfstate*",
    "*.tfvars",
    "*.tfplan",
    "pki",
    "dist",
    "node_modules",
    "__pycache__",
    "htmlcov",
)
"""Not copied: caches, and what a deployment of the user has: state, secrets and settings."""
_OVERRIDE = 'terraform {\n  backend "local" {}\n}\n'
"""Keeps the rehearsal from the state of a deployment, wherever terraform/backend.tf has it."""
_CREDENTIALS = re.compile(r"YC_.*|TF_VAR_.*|TF_CLI_ARGS.*|TF_WORKSPACE|TF_DATA_DIR|AWS_.*")
_PLAN = "rehearsal.tfplan"
_LINES_SHOWN = 12
_CHANGES = 2


class Terraform:
    """Runs Terraform's commands; the environment has no credentials of the user."""

    def __init__(self, checkout: Path) -> None:
        """`checkout`: made by `copy_checkout`."""
        self.checkout = checkout
        self._directory = checkout / "terraform"
        self.environment = {
            name: value
            for name, value in os.environ.items()  # noqa: TID251 - for the programs
            if not _CREDENTIALS.fullmatch(name)
        }
        self.environment |= {"CHECKPOINT_DISABLE": "1", "TF_IN_AUTOMATION": "1", "TF_INPUT": "0"}

    def reason_without_provider(self) -> str:
        """Return why Terraform does not find the provider; empty if it does.

        With dev_overrides it finds the provider although `terraform init` fails.
        """
        if shutil.which("terraform") is None:
            return "terraform is not installed"
        done = self._run("init", "-no-color")
        if done.returncode and self._run("validate", "-no-color").returncode:
            return _first_error(done.stdout + done.stderr)
        return ""

    def prepare(self) -> None:
        """Build the packages and the console, and make secrets and the broker's CA."""
        self._program(sys.executable, "-m", "terraform.package")
        self._program(sys.executable, "-m", "console.build")
        self._program(sys.executable, "terraform/secret_files.py")
        for login in ("service", "bridge"):  # at a broker of one's own
            file = self._directory / ".secrets" / f"mqtt_{login}_password"
            file.write_text(f"password-of-{login}")
        self._program("terraform/broker/certificates", "authority")

    def apply(self) -> None:
        """Apply the configuration. Raises Fault."""
        self._succeed("apply", "-auto-approve", "-no-color")

    def apply_changes(self) -> None:
        """Apply what `changes` has returned. Raises Fault."""
        self._succeed("apply", "-no-color", _PLAN)

    def changes(self) -> dict[str, list[str]]:
        """Return the addresses that a plan would change, with the arguments that differ.

        Raises Fault.
        """
        done = self._run("plan", "-detailed-exitcode", "-no-color", f"-out={_PLAN}")
        if done.returncode not in (0, _CHANGES):
            raise _fault("plan", done)
        planned = json.loads(self._succeed("show", "-json", _PLAN))
        changed = {
            one["address"]: _different(one["change"])
            for one in planned["resource_changes"]
            if one["change"]["actions"] not in (["no-op"], ["read"])
        }
        return changed or ({"outputs": []} if done.returncode else {})

    def outputs(self) -> dict[str, Any]:
        """Return the outputs by name, each with its `value`."""
        outputs: dict[str, Any] = json.loads(self._succeed("output", "-json"))
        return outputs

    def resources(self) -> list[str]:
        """Return the addresses in the state, without data sources."""
        lines = self._succeed("state", "list").splitlines()
        return [line for line in lines if not line.startswith("data.")]

    def destroy(self) -> None:
        """Destroy everything. Raises Fault."""
        self._succeed("destroy", "-auto-approve", "-no-color")

    def _succeed(self, *arguments: str) -> str:
        done = self._run(*arguments)
        if done.returncode:
            raise _fault(arguments[0], done)
        return done.stdout

    def _run(self, *arguments: str) -> "subprocess.CompletedProcess[str]":
        return subprocess.run(  # noqa: S603 - a command of ours
            ["terraform", *arguments],  # noqa: S607 - the one that the user has
            cwd=self._directory,
            env=self.environment,
            capture_output=True,
            text=True,
            check=False,
        )

    def _program(self, *command: str) -> None:
        done = subprocess.run(  # noqa: S603 - our own program
            command,
            cwd=self.checkout,
            env=self.environment,
            capture_output=True,
            text=True,
            check=False,
        )
        if done.returncode:
            raise Fault(f"{' '.join(command)} fails: {done.stderr.strip() or done.stdout.strip()}")


def copy_checkout(directory: Path) -> Path:
    """Copy the project, without anything of a deployment; return the copy."""
    copy = directory / "checkout"
    shutil.copytree(_PROJECT, copy, ignore=_LEFT_OUT, symlinks=True)
    (copy / "terraform" / "rehearsal_override.tf").write_text(_OVERRIDE)
    return copy


def _fault(command: str, done: "subprocess.CompletedProcess[str]") -> Fault:
    errors = [line for line in done.stderr.splitlines() if line.strip(" ╷│╵")]
    panics = [number for number, line in enumerate(errors) if line.startswith("panic:")]
    errors = errors[panics[0] :] if panics else errors  # the provider's; it explains the others
    return Fault("\n".join([f"terraform {command} fails:", *errors[:_LINES_SHOWN]]))


def _different(change: dict[str, Any]) -> list[str]:
    before, after = change["before"] or {}, change["after"] or {}
    names = sorted({*before, *after, *(change.get("after_unknown") or {})})
    return [name for name in names if before.get(name) != after.get(name)]


def _first_error(output: str) -> str:
    lines = [line.strip(" │") for line in output.splitlines()]
    return next((line for line in lines if line.startswith("Error:")), "terraform init fails")
