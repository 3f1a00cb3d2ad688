"""Look for known vulnerabilities of all pinned packages: make audit.

Exits with 1 if there are any. Without internet it says so in one line, and exits with 0.
"""

import json
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parent.parent
DATABASE = "PyPI's vulnerability database"
UNREACHABLE = re.compile(r"ConnectionError|ProxyError|SSLError|Timeout|Could not connect|HTTPError")
IGNORED: dict[str, str] = {}
"""Vulnerabilities that do not matter here: id, reason."""


def main() -> int:
    """Ask the database about the development list, which has every deployed package."""
    command = [sys.executable, "-m", "pip_audit", "--format", "json", "--progress-spinner", "off"]
    command += ["--vulnerability-service", "pypi", "--timeout", "15"]
    command += ["--require-hashes", "--disable-pip", "--requirement", "requirements-dev.txt"]
    for vulnerability in IGNORED:
        command += ["--ignore-vuln", vulnerability]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    status, text = conclusion(done.stdout, done.stderr)
    sys.stdout.write(f"{text}\n")
    return status


def conclusion(output: str, errors: str) -> tuple[int, str]:
    """Return the exit status and the text for what pip-audit wrote."""
    try:
        packages: list[dict[str, Any]] = json.loads(output)["dependencies"]
    except ValueError:
        if UNREACHABLE.search(errors):
            return 0, f"audit skipped: {DATABASE} cannot be reached"
        return 1, f"audit failed: {errors.strip()}"
    known = [package for package in packages if "skip_reason" not in package]
    if not known:
        return 0, f"audit skipped: {DATABASE} has no answer for any of {len(packages)} packages"
    found = [
        f"{package['name']} {package['version']}: {one['id']}, fixed in"
        f" {', '.join(one['fix_versions']) or 'no version yet'}"
        for package in known
        for one in package["vulns"]
    ]
    summary = f"audit: {len(known)} of {len(packages)} packages in {DATABASE}"
    if not found:
        return 0, f"{summary}, no known vulnerability"
    advice = "Upgrade them (CONTRIBUTING.md), or name an id with its reason in .ci/audit.py."
    return 1, "\n".join([f"{summary}, {len(found)} vulnerabilities:", *found, advice])


if __name__ == "__main__":
    sys.exit(main())
