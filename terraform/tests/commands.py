"""Runs terraform for the checks of make terraform-check that tests in HCL cannot express."""
# ruff: noqa: S603, S607, INP001 - scripts that run terraform, found in PATH

import subprocess
import sys
from typing import NoReturn


def terraform(*arguments: str, status: int = 0) -> str:
    """Run terraform and expect this exit status; return its output, or its errors if it fails."""
    done = subprocess.run(["terraform", *arguments], check=False, capture_output=True, text=True)
    if done.returncode != status or "yandex_iot_core_registry.main[0]: " in done.stdout:
        fail(f"terraform {' '.join(arguments)} printed {done.stdout}{done.stderr}")
    return done.stdout if status == 0 else done.stderr


def expect_refusal(*words: str, **variables: str) -> None:
    """Expect that a plan with these variables fails with these words."""
    options = [f"-var={name}={value}" for name, value in variables.items()]
    refused = terraform("plan", "-no-color", *options, status=1)
    said = " ".join(refused.replace("│", " ").split())
    for part in words:
        if part not in said:
            fail(f"{variables}: expected {part!r} in {refused}")


def fail(what: str) -> NoReturn:
    """End with what was found."""
    sys.exit(f"terraform check: {what}")
