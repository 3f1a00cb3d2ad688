"""The rehearsal of a deployment names each fault in it.

Needs Terraform with the stand-in provider of `make topology`, and Mosquitto; skipped without.
"""

import base64
import copy
import json
import re
import shutil
import subprocess
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import pytest

from local import CannotStart
from local.rehearsal import rehearsal
from local.rehearsal.wiring import cron_fault
from tests.support.console import skip_without_files
from tests.support.programs import skip_without

_PROJECT = Path(__file__).parents[3]
LISTENER = "rehearsal-listener"
"""The device that listens to what the rehearsed cabinets are sent."""

pytestmark = [pytest.mark.slow, pytest.mark.timeout(600)]


@dataclass(frozen=True)
class Applied:
    """What Terraform has applied."""

    shown: dict[str, Any]
    packages: Path

    def rehearse(self, plant: Callable[["Deployment"], None], directory: Path) -> tuple[int, str]:
        """Rehearse a copy with a planted fault; return the exit code and the output."""
        shown = copy.deepcopy(self.shown)
        packages = shutil.copytree(self.packages, directory / "packages")
        plant(Deployment(shown, packages))
        file = directory / "topology.json"
        file.write_text(json.dumps(shown))
        lines: list[str] = []
        code = rehearsal.main(topology=file, packages=packages, say=lines.append)
        return code, "\n".join(lines)

    def all(self, kind: str) -> list[dict[str, Any]]:
        """Return the values of all resources of this type."""
        resources = self.shown["values"]["root_module"]["resources"]
        return [one["values"] for one in resources if one["type"] == kind]

    def values(self, address: str) -> dict[str, Any]:
        """Return a resource's values."""
        return Deployment(self.shown, self.packages).values(address)

    def functions(self) -> list[dict[str, Any]]:
        """Return the functions that use the database, without migrate."""
        return [
            one
            for one in self.all("yandex_function")
            if "DATABASE_URL" in one["environment"] and not one["name"].endswith("-migrate")
        ]

    def faults(self, plant: Callable[["Deployment"], None], directory: Path) -> list[str]:
        """Return the lines in which the rehearsal says why it fails."""
        code, screen = self.rehearse(plant, directory)
        begin = "The rehearsal fails: "
        assert code == 1, screen
        return [x.removeprefix(begin) for x in screen.splitlines() if x.startswith(begin)]


@dataclass(frozen=True)
class Deployment:
    """A copy of what was applied, into which tests plant faults."""

    shown: dict[str, Any]
    packages: Path

    def values(self, address: str) -> dict[str, Any]:
        """Return a resource's values."""
        resources = self.shown["values"]["root_module"]["resources"]
        values: dict[str, Any] = next(
            one["values"] for one in resources if one["address"] == address
        )
        return values

    def function(self, name: str) -> dict[str, Any]:
        """Return a function's values."""
        return self.values(f'yandex_function.this["{name}"]')

    def edit_file(self, name: str, old: str, new: str) -> None:
        """Change a file that cloud-init installs."""
        metadata = self.values("yandex_compute_instance.broker[0]")["metadata"]

        def edited(match: re.Match[str]) -> str:
            text = base64.b64decode(match[2]).decode()
            assert old in text
            return match[1] + base64.b64encode(text.replace(old, new).encode()).decode()

        pattern = rf'(path: \S*/{re.escape(name)},[^\n]*content: ")([^"]*)'
        metadata["user-data"], count = re.subn(pattern, edited, metadata["user-data"])
        assert count == 1


@pytest.fixture(scope="module")
def applied() -> Iterator[Applied]:
    """Terraform's own apply on the stand-in provider."""
    skip_without("make", "mosquitto")
    skip_without_files()
    with TemporaryDirectory() as directory:
        command = ["make", "--silent", "topology", f"REHEARSAL={directory}/rehearsal"]
        done = subprocess.run(command, cwd=_PROJECT, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stderr
        home = Path(directory) / "rehearsal"
        if not (home / "topology.json").exists():
            pytest.skip(done.stdout.strip())
        yield Applied(json.loads((home / "topology.json").read_text()), home / "packages")


def test_the_rehearsal_of_what_was_applied_succeeds(applied: Applied, tmp_path: Path) -> None:
    code, screen = applied.rehearse(lambda _: None, tmp_path)

    assert code == 0, screen
    assert "audits the invariants" in screen


def _plant_console_without_its_entry_point(deployment: Deployment) -> None:
    for file in (deployment.packages / "console").glob("*/app/main.js"):
        file.unlink()


def test_a_console_without_its_entry_point_is_found(applied: Applied, tmp_path: Path) -> None:
    faults = applied.faults(_plant_console_without_its_entry_point, tmp_path)

    assert "FAIL the console's files are served, to be kept: HTTPError: HTTP Error 404" in faults[0]


def _plant_wrong_functions(deployment: Deployment) -> None:
    deployment.function("unlock")["entrypoint"] = "main.handle"
    del deployment.function("cabinets")["environment"]["MQTT_USERNAME"]
    deployment.function("swap")["secrets"][0]["environment_variable"] = "PGPASS"
    deployment.function("booking")["environment"]["BOOKING_SECOND"] = "60"


def test_a_wrong_entry_point_and_variables_that_are_missing_or_misspelt_are_named(
    applied: Applied, tmp_path: Path
) -> None:
    faults = applied.faults(_plant_wrong_functions, tmp_path)

    seen = [fault.removeprefix("yandex_function.this").partition(": Attr")[0] for fault in faults]
    assert seen == [
        '["booking"]: it is given the variable BOOKING_SECOND, which its code does not read',
        '["cabinets"]: it needs the variable MQTT_USERNAME, which Terraform does not give it',
        '["swap"]: it needs the variable PGPASSWORD, which Terraform does not give it',
        '["swap"]: it is given the variable PGPASS, which its code does not read',
        '["unlock"]: its entry point main.handle cannot be loaded',
    ]


def _plant_missing_rights(deployment: Deployment) -> None:
    deployment.edit_file("acl", "topic write $devices/+/commands\n", "")
    deployment.edit_file("acl", "pattern read $registries/+/commands\n", "")
    deployment.edit_file("acl", "pattern write $devices/%u/events\n", "")


def test_a_missing_right_on_a_topic_is_named(applied: Applied, tmp_path: Path) -> None:
    faults = applied.faults(_plant_missing_rights, tmp_path)

    to_all = "$registries/scooter-accumulator/commands"
    assert [fault.partition(":")[0] for fault in faults] == [
        f"messages from service on $devices/{LISTENER}/commands do not reach {LISTENER}",
        f"messages from service on {to_all} do not reach {LISTENER}",
        f"messages from {LISTENER} on $devices/{LISTENER}/events do not reach bridge",
    ]


def _plant_route_without_function(deployment: Deployment) -> None:
    gateway = deployment.values("yandex_api_gateway.main")
    spec = json.loads(gateway["spec"])
    integration = spec["paths"]["/v1/swaps"]["post"]["x-yc-apigateway-integration"]
    integration["function_id"] = "d4enowhere"
    gateway["spec"] = json.dumps(spec)


def _plant_trigger_without_function(deployment: Deployment) -> None:
    deployment.values("yandex_function_trigger.poll_cabinets")["function"][0]["id"] = "d4enowhere"


def _plant_wrong_cron(deployment: Deployment) -> None:
    timer = deployment.values("yandex_function_trigger.poll_cabinets")["timer"][0]
    timer["cron_expression"] = "* * * * *"


def _plant_gateway_that_may_not_invoke(deployment: Deployment) -> None:
    deployment.values('yandex_function_iam_binding.invoker["booking"]')["members"] = []


def _plant_function_that_may_not_read_its_secret(deployment: Deployment) -> None:
    member = deployment.values('yandex_lockbox_secret_iam_member.function["authorizer/api_keys"]')
    member["role"] = "lockbox.viewer"


def _plant_account_that_reads_another_functions_secret(deployment: Deployment) -> None:
    members = "yandex_lockbox_secret_iam_member.function"
    keys = deployment.values(f'{members}["authorizer/api_keys"]')
    swap = deployment.values(f'{members}["swap/database_functions_password"]')
    added = {**keys, "member": swap["member"]}
    kind = "yandex_lockbox_secret_iam_member"
    deployment.shown["values"]["root_module"]["resources"].append(
        {"address": "added", "type": kind, "mode": "managed", "values": added}
    )


def _plant_shared_account(deployment: Deployment) -> None:
    account = deployment.function("booking")["service_account_id"]
    deployment.function("swap")["service_account_id"] = account


def _plant_user_without_permission(deployment: Deployment) -> None:
    deployment.values('yandex_mdb_postgresql_user.limited["functions"]')["permission"] = []


def _plant_functions_without_their_rights(deployment: Deployment) -> None:
    del deployment.values("yandex_function.migrate")["environment"]["DATABASE_FUNCTIONS_USER"]


def _plant_bridge_without_function(deployment: Deployment) -> None:
    metadata = deployment.values("yandex_compute_instance.broker[0]")["metadata"]
    settings = json.loads(metadata["broker"])
    del settings["bridge_environment"]["BRIDGE_FUNCTION_ID"]
    metadata["broker"] = json.dumps(settings)


def _plant_route_without_bucket(deployment: Deployment) -> None:
    deployment.values("yandex_storage_bucket.console")["bucket"] = "another"


def _plant_gateway_that_may_not_read_the_bucket(deployment: Deployment) -> None:
    grant = deployment.values("yandex_storage_bucket_grant.console")["grant"][0]
    grant["permissions"] = ["READ_ACP"]


def _plant_another_package(deployment: Deployment) -> None:
    with (deployment.packages / "swap.zip").open("ab") as package:
        package.write(b"changed after the apply")


@pytest.mark.parametrize(
    ("plant", "named"),
    [
        (_plant_route_without_function, "POST /v1/swaps invokes function d4enowhere, which does"),
        (_plant_trigger_without_function, "poll_cabinets invokes function d4enowhere, which does"),
        (_plant_wrong_cron, "cron '* * * * *': 5 fields instead of 6"),
        (_plant_gateway_that_may_not_invoke, 'invoker may not invoke yandex_function.this["book'),
        (
            _plant_function_that_may_not_read_its_secret,
            'account.function["authorizer"] may not read the secret of API_',
        ),
        (
            _plant_account_that_reads_another_functions_secret,
            'function["swap"] may read yandex_lockbox_secret.this["api_keys"], which yandex_fun',
        ),
        (
            _plant_shared_account,
            'function["booking"] is the account of yandex_function.this["booki',
        ),
        (_plant_user_without_permission, "a registration is refused: POST /v1/cabinets: 503"),
        (
            _plant_functions_without_their_rights,
            "a registration is refused: POST /v1/cabinets: 500",
        ),
        (_plant_bridge_without_function, "the bridge invokes function None, which does not exist"),
        (_plant_route_without_bucket, "GET / reads bucket scooter-accumulator-console-none, which"),
        (
            _plant_gateway_that_may_not_read_the_bucket,
            "GET /: yandex_iam_service_account.console may not read bucket scooter-accumulator-c",
        ),
        (_plant_another_package, "swap.zip is not the applied package"),
    ],
)
def test_a_missing_target_or_permission_is_named(
    applied: Applied, tmp_path: Path, plant: Callable[[Deployment], None], named: str
) -> None:
    assert named in applied.faults(plant, tmp_path)[0]


def test_each_functions_account_can_read_its_secrets_and_nothing_else(applied: Applied) -> None:
    used = {
        f"serviceAccount:{one['service_account_id']}": {given["id"] for given in one["secrets"]}
        for one in applied.all("yandex_function")
    }
    readable: dict[str, set[str]] = {account: set() for account in used}
    for member in applied.all("yandex_lockbox_secret_iam_member"):
        readable.setdefault(member["member"], set()).add(member["secret_id"])

    assert len(used) == 10
    assert {account: readable[account] for account in used} == used


def test_only_migrate_has_the_owners_password(applied: Applied) -> None:
    owners = applied.values('yandex_lockbox_secret.this["database_password"]')["id"]
    migrate = applied.values('yandex_iam_service_account.function["migrate"]')["id"]
    readers = [
        one["member"]
        for one in applied.all("yandex_lockbox_secret_iam_member")
        if one["secret_id"] == owners
    ]
    assert readers == [f"serviceAccount:{migrate}"]
    users = {one["environment"]["DATABASE_URL"].partition("@")[0] for one in applied.functions()}
    assert users == {"postgresql://functions"}


def test_functions_have_roles_in_the_folder_only_for_the_network_and_for_metrics(
    applied: Applied,
) -> None:
    names = {
        f"serviceAccount:{one['id']}": one["name"].removeprefix("scooter-accumulator-")
        for one in applied.all("yandex_iam_service_account")
    }
    roles = {
        (names[one["member"]], one["role"])
        for one in applied.all("yandex_resourcemanager_folder_iam_member")
    }
    others = {("dead-letters", "ymq.writer"), ("queues", "ymq.admin")}
    in_network = {name for name, role in roles if role == "vpc.user"}
    assert "authorizer" not in in_network
    assert roles - others == {
        ("poll-cabinets", "monitoring.editor"),
        *((name, "vpc.user") for name in in_network),
    }


def test_a_plan_without_the_gateways_document_cannot_be_rehearsed(
    tmp_path: Path,
) -> None:
    gateway = {"address": "a.gateway", "type": "yandex_api_gateway", "mode": "managed"}
    planned = {"root_module": {"resources": [{**gateway, "values": {"name": "new"}}]}}
    file = tmp_path / "plan.json"
    file.write_text(json.dumps({"planned_values": planned}))

    with pytest.raises(CannotStart, match=r"the values of a\.gateway are not known yet"):
        rehearsal.main(topology=file, packages=tmp_path)


@pytest.mark.parametrize("expression", ["* * * * ? *", "*/5 0 ? * MON-FRI *", "0 1,13 1-7 JAN ? *"])
def test_a_cron_expression_of_the_cloud_is_accepted(expression: str) -> None:
    assert cron_fault(expression) == ""


@pytest.mark.parametrize(
    "expression", ["* * * * *", "* * * * * *", "60 * * * ? *", "* * ? * FOO *", "*/0 * * * ? *"]
)
def test_a_cron_expression_that_the_cloud_refuses_is_not_accepted(expression: str) -> None:
    assert cron_fault(expression) != ""
