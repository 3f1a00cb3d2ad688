"""Spectral and Redocly check the generated documents. A warning is an error."""

import json
from pathlib import Path

from local.documents import DIRECTORY
from tests.contract import tools


def lint(directory: Path = DIRECTORY) -> None:
    """Raises Failed if a linter reports a document in this directory."""
    programs = tools.node_modules() / ".bin"
    openapi, asyncapi = directory / "openapi.json", directory / "asyncapi.json"
    ruleset = tools.HERE / "spectral.yaml"
    tools.run(
        [
            *(programs / "spectral", "lint", "--fail-severity=warn", "-r", ruleset),
            *(openapi, asyncapi, directory / "webhooks.asyncapi.json"),
        ],
        tools.FOLDER,
    )
    # Redocly's exit code is 0 despite warnings.
    options = ["--extends=recommended", "--format=json"]
    report = tools.run([programs / "redocly", "lint", *options, openapi], tools.FOLDER)
    begin = report.index('{\n  "totals"')
    found, _ = json.JSONDecoder().raw_decode(report[begin:])
    if found["totals"]["errors"] or found["totals"]["warnings"]:
        raise tools.Failed(report)
    print(f"{openapi.name}, {asyncapi.name}: no errors, no warnings")
