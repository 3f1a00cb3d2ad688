"""The order of the test files: the longest first, so that all workers finish together."""

LONGEST = (
    "integration/local/test_rehearsal.py",
    "simulation/test_simulation.py",
    "e2e/test_up.py",
    "campaign/test_document.py",
    "e2e/console/test_accessibility.py",
    "e2e/conformance/test_mistakes.py",
    "e2e/test_walkthroughs.py",
    "e2e/test_refusals.py",
    "integration/deployment/test_packages.py",
    "e2e/console/test_bad_luck.py",
    "e2e/console/test_other_actions.py",
    "e2e/console/test_cabinet_actions.py",
    "faults/test_faults.py",
    "faults/test_following.py",
    "integration/webhooks/test_deliveries.py",
    "e2e/test_fleet_tools.py",
    "integration/imports/test_import_property.py",
    "e2e/conformance/test_command_line.py",
    "soak/test_soak.py",
    "e2e/test_lost_replies.py",
    "e2e/test_shift.py",
    "e2e/console/test_shift.py",
    "e2e/console/test_dialog.py",
    "e2e/console/test_import.py",
    "e2e/console/test_screenshots.py",
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


def rank(nodeid: str) -> int:
    """Return the position of a test's file; files that are not listed come last, in any order."""
    file = nodeid.partition("::")[0].removeprefix("tests/")
    return LONGEST.index(file) if file in LONGEST else len(LONGEST)
