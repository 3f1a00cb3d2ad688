"""make audit: what it says about what pip-audit wrote, with and without internet."""

import importlib.util
import json
from typing import Any

from tests.support.processes import ROOT

_SPEC = importlib.util.spec_from_file_location("audit", ROOT / ".ci" / "audit.py")
assert _SPEC
assert _SPEC.loader
audit = importlib.util.module_from_spec(_SPEC)
_SPEC.loader.exec_module(audit)


def _output(*packages: dict[str, Any]) -> str:
    return json.dumps({"dependencies": packages, "fixes": []})


SAFE = {"name": "idna", "version": "3.20", "vulns": []}
UNKNOWN = {"name": "six", "skip_reason": "Dependency not found on PyPI"}


def test_a_vulnerability_fails_and_is_named_with_the_version_that_fixes_it() -> None:
    bad = {"id": "PYSEC-2026-1", "fix_versions": ["3.1.7"], "aliases": [], "description": ""}
    status, text = audit.conclusion(
        _output(SAFE, {"name": "jinja2", "version": "3.1.6", "vulns": [bad]}), ""
    )
    assert status == 1
    assert "jinja2 3.1.6: PYSEC-2026-1, fixed in 3.1.7" in text


def test_without_a_vulnerability_it_names_the_database() -> None:
    assert audit.conclusion(_output(SAFE, UNKNOWN), "") == (
        0,
        "audit: 1 of 2 packages in PyPI's vulnerability database, no known vulnerability",
    )


def test_without_internet_it_is_skipped_with_one_line() -> None:
    trace = "Traceback\nrequests.exceptions.ConnectionError: Max retries exceeded"
    assert audit.conclusion("", trace) == (
        0,
        "audit skipped: PyPI's vulnerability database cannot be reached",
    )


def test_a_mirror_without_the_database_is_no_success() -> None:
    status, text = audit.conclusion(_output(UNKNOWN), "")
    assert (status, text.partition(":")[0]) == (0, "audit skipped")


def test_any_other_failure_of_the_audit_fails() -> None:
    assert audit.conclusion("", "ERROR: requirements-dev.txt: no hash")[0] == 1
