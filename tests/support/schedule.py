"""Which tests run in one worker, and in which order: longest first, so that all end together."""

LONGEST = (
    "integration/local/test_rehearsal.py",
    "e2e/console",
    "simulation/test_simulation.py",
    "e2e/test_up.py",
    "campaign/test_document.py",
    "e2e/conformance/test_mistakes.py",
    "e2e/test_walkthroughs.py",
    "e2e/test_refusals.py",
    "integration/deployment/test_packages.py",
    "faults/test_faults.py",
    "faults/test_following.py",
    "integration/webhooks/test_deliveries.py",
    "e2e/test_fleet_tools.py",
    "integration/imports/test_import_property.py",
    "e2e/conformance/test_command_line.py",
    "soak/test_soak.py",
    "e2e/test_lost_replies.py",
    "e2e/test_shift.py",
    "integration/deployment/test_deployment_logins.py",
    "integration/broker/test_command_expiry.py",
    "integration/deployment/test_deployment_access.py",
    "e2e/test_outages.py",
    "integration/local/test_postgres.py",
    "integration/evidence/test_evidence_property.py",
    "faults/test_storage.py",
    "integration/test_benchmarks.py",
    "campaign/test_injection.py",
)

IN_TWO_WORKERS = {"tests/e2e/console": "test_i"}
"""Folders whose files share a browser and a local cloud: one for those before this name, and one
for the others."""


def group(nodeid: str) -> str:
    """Return what the tests of one worker have in common: their file, or their half of a folder."""
    file = nodeid.partition("::")[0]
    folder, _, name = file.rpartition("/")
    second = IN_TWO_WORKERS.get(folder)
    if second is None:
        return file
    return folder if name < second else f"{folder}:{second}"


def rank(nodeid: str) -> int:
    """Return the position of a test's file; what is not listed comes last, in any order."""
    tests = group(nodeid).partition(":")[0].removeprefix("tests/")
    return LONGEST.index(tests) if tests in LONGEST else len(LONGEST)
