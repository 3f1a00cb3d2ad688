"""Follow the pages: their shell commands, in order, against a local cloud."""

import json
import re
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, get_args

import pytest

from local.cabinet.actions import ACTIONS, ReplyMode
from tests.support import pages
from tests.support.command_line import local
from tests.support.console import skip_without_files
from tests.support.database import fast_directory
from tests.support.local_cloud import Cabinet, LocalCloud, check_invariants, running
from tests.support.programs import needs
from tests.support.shell import Shell, responses, shell_in
from tests.support.waiting import wait_until

pytestmark = [pytest.mark.slow, needs("bash", "curl")]

OPERATING = "docs/operating.md"
OWN_CABINET_PAGE = "docs/your-own-cabinet.md"
PREPARE_TERMINAL = pages.shell_blocks(OPERATING, "Prepare the terminal")
CALLS = [span for span in pages.spans(OPERATING) if span.text.startswith("call ")]


@contextmanager
def shell_on(stack: LocalCloud) -> Iterator[Shell]:
    with fast_directory() as directory, shell_in(directory, stack) as shell:
        yield shell


# --- README.md, api.md, local-cloud.md ----------------------------------------------------------


def without_times(text: str) -> Any:
    return json.loads(re.sub(r"\d{4}-\d\d-\d\dT[\d:.]+Z", "(time)", text))


def test_a_new_local_cloud_answers_as_readme_shows_and_a_shift_can_be_played_with_curl() -> None:
    [example] = pages.shell_blocks("README.md", "Run it")
    command, _, shown = example.removeprefix("$ ").partition("\n")
    [shift] = pages.shell_blocks("docs/api.md", "A shift with curl")
    with running(settings={}) as stack, shell_on(stack) as shell:
        assert without_times(shell.run(command)) == without_times(shown)

        near, unlocked, swapped, opened, returned, ledger, handed_over = responses(shell.run(shift))
        check_invariants(stack)
    assert near["cabinets"][0]["cabinet_id"] == "C-001"
    assert unlocked["status"] == "completed"
    assert swapped["installed"]["place"] == {"scooter_id": "S-1"}
    assert opened["status"] == "returning"
    assert returned["status"] == "completed"
    causes = [movement["cause"] for movement in ledger["movements"]]
    assert causes == ["returned", "swapped", "registered"]
    assert [one["place"] for one in handed_over["accumulators"]] == [{"contractor_id": "VAN-1"}]


def test_a_refusal_has_the_fields_and_the_texts_that_the_page_shows(cabinet: Cabinet) -> None:
    blocks = [one for one in pages.blocks("docs/api.md") if one.section == "Problems"]
    [shown] = [one.text for one in blocks if one.language == "json"]
    body = {"cabinet_id": cabinet.cabinet_id, "contractor_id": "T", "kind": "issue", "count": 12}
    refused = cabinet.stack.backend.call("POST", "/v1/bookings", body).body
    varying = ("request_id", "requested", "available")
    assert {**refused, **dict.fromkeys(varying)} == {**json.loads(shown), **dict.fromkeys(varying)}
    assert all(name in refused for name in varying)


def test_simulated_cabinets_obey_the_commands_of_the_page(stoppable: LocalCloud) -> None:
    [block] = pages.shell_blocks("docs/local-cloud.md", "Simulated cabinets")
    with shell_on(stoppable) as shell:
        output = shell.run(block)
        cabinets = stoppable.control.cabinets()
    assert "the lock of cell 3 is jammed\nC-001 replies: late, after 20 s\n" in output
    assert [one["online"] for one in cabinets] == [False] * 12
    stoppable.control.act("C-001", "unjam", cell=3)
    stoppable.control.act("C-001", "answer", how="normal")
    for one in cabinets:
        stoppable.control.act(one["cabinet_id"], "online")


def test_servers_stop_and_start_with_the_effects_that_the_page_states(
    stoppable: LocalCloud,
) -> None:
    [block] = pages.shell_blocks("docs/local-cloud.md", "Outages")
    show, stop_database, start_database, stop_broker, start_broker = block.splitlines()
    report = {"kind": "report_state", "reason": "a test"}
    with shell_on(stoppable) as shell:
        assert re.search(r"^database +up, process \d+$", shell.run(show), re.MULTILINE)

        shell.run(stop_database)
        assert result(stoppable, "GET", "/v1/cabinets") in stop_database
        shell.run(start_database)
        wait_until(lambda: result(stoppable, "GET", "/v1/cabinets") == "200")

        shell.run(stop_broker)
        assert result(stoppable, "POST", "/v1/cabinets/C-001/commands", report) in stop_broker
        assert result(stoppable, "GET", "/v1/cabinets") == "200"
        shell.run(start_broker)
        wait_until(
            lambda: result(stoppable, "POST", "/v1/cabinets/C-001/commands", report) == "200"
        )


def result(stack: LocalCloud, method: str, path: str, body: Any = None) -> str:
    """Return the status of a response, and the code of a refusal, as the pages write them."""
    response = stack.operator.call(method, path, body)
    return f"{response.status} {response.body.get('code', '')}".rstrip()


def test_the_page_names_every_option_and_every_action_of_the_local_cloud() -> None:
    spans = pages.spans("docs/local-cloud.md")
    options = {span.text for span in spans if span.text.startswith("--")}
    listed = re.findall(r"^  (--[\w-]+)", local("up", "--help").stdout, re.MULTILINE)
    assert set(listed) <= {option.split()[0] for option in options}
    actions = [span.text for span in spans if span.section == "Simulated cabinets"]
    words = set(" ".join(actions).split())
    assert ACTIONS.keys() | set(get_args(ReplyMode)) <= words | {"show", "once"}


# --- deploying.md, operating.md, monitoring.md --------------------------------------------------


@contextmanager
def own_cabinet(
    shell: Shell, cabinet_id: str, inside: dict[int, tuple[str, int]]
) -> Iterator[None]:
    """The cabinet in Python of docs/your-own-cabinet.md, with another id and other content."""
    [script] = [one.text for one in pages.blocks(OWN_CABINET_PAGE) if one.language == "python"]
    script = re.sub(r"^inside = .*$", f"inside = {inside!r}", script, flags=re.MULTILINE)
    command = [sys.executable, "-c", script]
    settings = shell.environment | {"DEVICE": cabinet_id}
    with subprocess.Popen(command, env=settings, stdout=subprocess.DEVNULL) as process:
        try:
            yield
        finally:
            process.terminate()


def test_the_first_unlock_works_as_written() -> None:
    define, accumulators, cabinet, look, put_in_service, book, unlock = pages.shell_blocks(
        "docs/deploying.md", "The first unlock"
    )
    inside = {1: ("A-0001", 90), 2: ("A-0002", 95), 3: ("A-0003", 97)}
    with running("--cabinets", "0", settings={}) as stack, shell_on(stack) as shell:
        for block in (define, accumulators, cabinet):
            shell.run(block)
        with own_cabinet(shell, "C-001", inside):
            wait_until(lambda: '"online":true' in shell.run(look))
            quarantined = stack.operator.get("/v1/accumulators?status=quarantined")
            assert [one["accumulator_id"] for one in quarantined["accumulators"]] == ["A-0003"]
            assert responses(shell.run(put_in_service))[0]["status"] == "in_service"
            shell.run(book)
            [unlocked] = responses(shell.run(unlock))
        check_invariants(stack)
    assert unlocked["status"] == "completed"
    assert [cell["accumulator_id"] for cell in unlocked["cells"]] == ["A-0003"]


@needs("make")
def test_the_smoke_test_before_the_first_unlock_passes(stack: LocalCloud) -> None:
    skip_without_files()
    command = next(
        span.text
        for span in pages.spans("docs/deploying.md")
        if span.section == "The first unlock" and span.text.startswith("make ")
    )
    with shell_on(stack) as shell:
        assert "the audit passes" in shell.run(command)


@pytest.mark.parametrize("section", sorted({call.section for call in CALLS}))
@needs("jq")
def test_the_calls_of_a_section_of_the_operating_page_succeed(
    section: str, cabinet: Cabinet
) -> None:
    stack = cabinet.stack
    empty = next(
        cell["cell_number"]
        for cell in stack.operator.get(f"/v1/cabinets/{cabinet.cabinet_id}")["cells"]
        if cell["content"] == "empty"
    )
    accumulator_id = f"A-{cabinet.cabinet_id}"
    stack.operator.post("/v1/accumulators", {"accumulator_id": accumulator_id})
    command_id = cabinet.send("report_state").body["command_id"]
    booking_id = cabinet.book()["booking_id"]
    stack.control.act(cabinet.cabinet_id, "say", text="not a message")
    anomalies = f"/v1/anomalies?cabinet_id={cabinet.cabinet_id}"
    wait_until(lambda: stack.operator.get(anomalies)["anomalies"])
    [anomaly] = stack.operator.get(anomalies)["anomalies"]
    names = {
        "A-0007": accumulator_id,
        "C-001/cells/7": f"{cabinet.cabinet_id}/cells/{empty}",
        '"cell_number": 7': f'"cell_number": {empty}',
        "C-001": cabinet.cabinet_id,
        "C-666": cabinet.cabinet_id,
        "T-7": cabinet.technician,
        "commands/<id>": f"commands/{command_id}",
        "<command_id>": command_id,
        "bookings/<id>": f"bookings/{booking_id}",
        "<booking_id>": booking_id,
        "<anomaly_id>": str(anomaly["anomaly_id"]),
        '"reason": …': '"reason": "a test"',
    }
    calls = [call.text for call in CALLS if call.section == section]
    with shell_on(stack) as shell:
        for block in PREPARE_TERMINAL:
            shell.run(block)
        for call in calls:
            for shown, actual in names.items():
                call = call.replace(shown, actual)  # noqa: PLW2901 - step by step
            assert not {"<", "…"} & set(call)
            shell.run(call)


@needs("jq")
def test_the_shortcuts_of_the_operating_page_call_terraform_and_yc(stack: LocalCloud) -> None:
    queries = [span.text for span in pages.spans(OPERATING) if span.text.startswith("since=")]
    with shell_on(stack) as shell:
        for block in PREPARE_TERMINAL:
            shell.run(block)
        arguments = [shell.run(query).splitlines() for query in queries]
    assert [one[-1] for one in arguments] == [
        'resource_id = "id-of-mqtt_trigger" AND level >= ERROR',
        'json_payload.code = "rate_limited"',
        'message = "unknown API key"',
    ]
    assert {one[one.index("--since") + 1] for one in arguments} == {"15m"}


@needs("jq")
def test_the_checks_from_outside_name_an_offline_cabinet(cabinet: Cabinet) -> None:
    [check] = pages.shell_blocks("docs/monitoring.md", "Checks from outside")
    [audit] = [
        span.text for span in pages.spans("docs/monitoring.md") if span.text.startswith("curl ")
    ]
    with shell_on(cabinet.stack) as shell:

        def named_as_offline() -> set[str]:  # also cabinets of other tests
            output = shell.run(check)
            assert re.fullmatch(r"(offline:( [\w-]+)+\n)?", output), output
            return set(output.removeprefix("offline:").split())

        shell.run("url=$URL read_key=local-read")
        assert cabinet.cabinet_id not in named_as_offline()
        cabinet.stack.sql(
            "UPDATE cabinets SET last_seen_at = now() - interval '1 day' WHERE cabinet_id = %(id)s",
            id=cabinet.cabinet_id,
        )
        assert cabinet.cabinet_id in named_as_offline()
        cabinet.catch_up()
        assert cabinet.cabinet_id not in named_as_offline()
        assert shell.run(audit) == "true\n"
