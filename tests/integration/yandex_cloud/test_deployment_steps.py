"""Steps of `make rehearse` that need no provider."""

from pathlib import Path

import pytest
from grpc import StatusCode

from local.rehearsal import by_hand, deployment
from local.rehearsal.terraform import Terraform, copy_checkout
from local.yandex_cloud import YandexCloud
from tests.support.processes import ROOT
from tests.support.yandex_api import Api, refused


@pytest.fixture(scope="module")
def checkout(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A copy of the project as the rehearsal makes it."""
    return copy_checkout(tmp_path_factory.mktemp("deployment"))


def test_copy_has_what_is_deployed_and_nothing_of_a_deployment(checkout: Path) -> None:
    for needed in ("terraform/broker/certificates", "functions", "shared", "docs/openapi.json"):
        assert (checkout / needed).exists()
    found = {path.relative_to(checkout).as_posix() for path in checkout.rglob("*")}
    kept = {name for name in found if "/." in f"/{name}" or name.endswith((".tfvars", ".tfstate"))}
    assert not kept
    assert not {"terraform/broker/pki", "dist", "local/node_modules"} & found


def test_copy_has_a_state_of_its_own_wherever_the_deployments_state_is(checkout: Path) -> None:
    override = (checkout / "terraform" / "rehearsal_override.tf").read_text()

    assert 'backend "local" {}' in override
    assert not (ROOT / "terraform" / "rehearsal_override.tf").exists()


def test_credentials_of_the_user_do_not_reach_terraform(
    checkout: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    given = ("YC_TOKEN", "YC_SERVICE_ACCOUNT_KEY_FILE", "TF_VAR_folder_id", "AWS_ACCESS_KEY_ID")
    for name in (*given, "TF_CLI_CONFIG_FILE"):
        monkeypatch.setenv(name, "of the user")

    environment = Terraform(checkout).environment

    assert not set(given) & set(environment)
    assert environment["TF_CLI_CONFIG_FILE"] == "of the user"


def test_reason_is_given_if_terraform_or_the_provider_is_missing(
    checkout: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    assert Terraform(checkout).reason_without_provider() == "terraform is not installed"

    program = tmp_path / "terraform"
    program.write_text("#!/bin/sh\necho 'Error: Failed to query packages' >&2; exit 1\n")
    program.chmod(0o755)
    assert Terraform(checkout).reason_without_provider() == "Error: Failed to query packages"
    with pytest.raises(deployment.NoProvider, match="packages: install the provider"):
        deployment.main()

    program.write_text('#!/bin/sh\n[ "$1" = validate ]\n')  # as with dev_overrides
    assert Terraform(checkout).reason_without_provider() == ""


def test_changes_by_hand_are_made_through_the_api(cloud: YandexCloud, api: Api) -> None:
    account = api.create("ServiceAccount", name="invoker")
    function = api.create("Function", name="accumulator-unlock")
    subject = {"id": account.id, "type": "serviceAccount"}
    api.call(
        "Function", "SetAccessBindings", resource_id=function.id,
        access_bindings=[{"role_id": "functions.functionInvoker", "subject": subject}],
    )  # fmt: skip
    fortnight = {"seconds": 14 * 86400}
    group = api.create("LogGroup", name="scooter-accumulator", retention_period=fortnight)
    invoked = {"function_id": function.id, "service_account_id": account.id}
    timer = {"cron_expression": "* * * * ? *", "invoke_function_with_retry": invoked}
    trigger = api.create("Trigger", name="accumulator-poll-cabinets", rule={"timer": timer})

    addresses = by_hand.change(cloud)

    assert "yandex_function_trigger.poll_cabinets" in addresses
    with refused(StatusCode.NOT_FOUND, trigger.id):
        api.call("Trigger", "Get", trigger_id=trigger.id)
    changed = api.call("LogGroup", "Get", log_group_id=group.id)
    assert changed.retention_period.seconds == 3 * 86400
    found = api.call("Function", "ListAccessBindings", resource_id=function.id)
    assert not found.access_bindings
