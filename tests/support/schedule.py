"""Which tests run in one worker, and in which order: longest first, so that all end together."""

LONGEST = (
    "e2e/console",
    "simulation/test_simulation.py",
    "faults/test_following.py",
    "integration/local/test_rehearsal.py",
    "e2e/test_up.py",
    "e2e/test_walkthroughs.py",
    "e2e/test_fleet_tools.py",
    "integration/deployment/test_deployment_logins.py",
    "e2e/test_refusals.py",
    "e2e/test_shift.py",
    "e2e/conformance/test_mistakes.py",
    "integration/webhooks/test_deliveries.py",
    "e2e/test_logins.py",
    "integration/deployment/test_deployment_access.py",
    "integration/deployment/test_packages.py",
    "campaign/test_document.py",
    "campaign/test_injection.py",
    "soak/test_soak.py",
    "e2e/test_fleet_in_an_hour.py",
    "integration/deployment/test_fleet_logins.py",
    "faults/test_faults.py",
    "integration/database/test_migrations.py",
    "integration/broker/test_command_expiry.py",
    "integration/test_benchmarks.py",
    "integration/tools/test_events.py",
    "integration/local/test_postgres.py",
    "e2e/conformance/test_command_line.py",
    "e2e/test_outages.py",
    "e2e/test_lost_replies.py",
    "integration/evidence/test_evidence_property.py",
    "integration/imports/test_import_property.py",
    "faults/test_storage.py",
)

IN_TWO_WORKERS = {"tests/e2e/console": "test_i"}
"""Folders whose files share a browser and a local cloud: one for those before this name, and one
for the others."""

CLUSTER = "rabbitmq"
"""In the name of each test that uses the three nodes, which start once in one worker."""


def group(nodeid: str) -> str:
    """Return what the tests of one worker have in common: their file, or what they share."""
    if CLUSTER in nodeid:
        return CLUSTER
    file = nodeid.partition("::")[0]
    folder, _, name = file.rpartition("/")
    second = IN_TWO_WORKERS.get(folder)
    if second is None:
        return file
    return folder if name < second else f"{folder}:{second}"


def rank(nodeid: str) -> int:
    """Return the position of a test's file; what is not listed comes last, in any order."""
    if CLUSTER in nodeid:
        return 0
    tests = group(nodeid).partition(":")[0].removeprefix("tests/")
    return LONGEST.index(tests) if tests in LONGEST else len(LONGEST)
