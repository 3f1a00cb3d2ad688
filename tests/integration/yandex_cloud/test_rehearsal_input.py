"""The rehearsal reads what the fake holds, and finds what does not fit together in it."""

import json
from pathlib import Path
from typing import Any, NamedTuple

import pytest

from local.rehearsal import Fault, from_cloud, wiring
from local.rehearsal.topology import Topology
from local.yandex_cloud import YandexCloud
from tests.support.yandex_api import Api
from tests.support.yandex_http import HttpApi

_BUCKET = "console-files"
_GRANTS = """\
<AccessControlPolicy><AccessControlList><Grant><Grantee \
xmlns:xsi="http://www.w3.org/2001/XMLSchema-instance" xsi:type="CanonicalUser"><ID>{}</ID>\
</Grantee><Permission>READ</Permission></Grant></AccessControlList></AccessControlPolicy>"""
_GIGABYTE = 1 << 30


class Deployed(NamedTuple):
    """Ids of what the fixture has made."""

    invoker: str
    account: str
    function: str
    secret: str
    version: str
    trigger: str


@pytest.fixture
def deployed(cloud: YandexCloud, api: Api) -> Deployed:
    """One function with a secret, a route, a timer, and a bucket with pages."""
    invoker, account = (api.create("ServiceAccount", name=name).id for name in ("invoker", "swap"))
    secret = api.create(
        "Secret", name="keys", version_payload_entries=[{"key": "api_keys", "text_value": "a"}]
    )
    used = {
        "id": secret.id, "version_id": secret.current_version.id, "key": "api_keys",
        "environment_variable": "API_KEYS",
    }  # fmt: skip
    function = api.create("Function", name="service-swap")
    api.call(
        "Function", "CreateVersion", function_id=function.id, runtime="python312",
        entrypoint="main.handler", content=b"a zip", resources={"memory": 128 << 20},
        execution_timeout={"seconds": 7}, service_account_id=account,
        environment={"LOG_LEVEL": "INFO"}, secrets=[used],
    )  # fmt: skip
    _bind(api, "Function", function.id, "functions.functionInvoker", invoker)
    _bind(api, "Secret", secret.id, "lockbox.payloadViewer", account)
    api.create("Bucket", name=_BUCKET)
    HttpApi(cloud).storage("PUT", _BUCKET, "?acl", body=_GRANTS.format(invoker))
    api.create("ApiGateway", name="service", openapi_spec=_document(function.id, invoker))
    retried = {"function_id": function.id, "service_account_id": invoker}
    timer = {"cron_expression": "* * * * ? *", "invoke_function_with_retry": retried}
    trigger = api.create("Trigger", name="every-minute", rule={"timer": timer})
    return Deployed(invoker, account, function.id, secret.id, secret.current_version.id, trigger.id)


def _document(function_id: str, account: str) -> str:
    kept = {"type": "cloud_functions", "function_id": function_id, "service_account_id": account}
    page = {
        "type": "object_storage", "bucket": _BUCKET, "object": "index.html",
        "service_account_id": account,
    }  # fmt: skip
    paths = {
        "/v1/swaps": {"post": {"x-yc-apigateway-integration": kept}},
        "/": {"get": {"x-yc-apigateway-integration": page}},
    }
    return json.dumps({"openapi": "3.0.0", "info": {"title": "a", "version": "1"}, "paths": paths})


def _bind(api: Api, service: str, resource_id: str, role: str, account: str) -> None:
    subject = {"id": account, "type": "serviceAccount"}
    bindings = [{"role_id": role, "subject": subject}] if account else []
    api.call(service, "SetAccessBindings", resource_id=resource_id, access_bindings=bindings)


def _topology(cloud: YandexCloud, deployed: Deployed, packages: Path) -> Topology:
    outputs = {"function_ids": {"value": {"swap": deployed.function}}}
    return Topology(from_cloud.show(cloud.state, outputs, packages), packages)


def test_function_is_what_was_given_to_the_api(
    cloud: YandexCloud, deployed: Deployed, tmp_path: Path
) -> None:
    topology = _topology(cloud, deployed, tmp_path)
    function = topology.functions[deployed.function]

    assert (function.name, function.entry_point) == ("swap", "main.handler")
    assert (function.timeout_seconds, function.account) == (7.0, deployed.account)
    assert function.environment == {"LOG_LEVEL": "INFO"}
    assert function.package.read_bytes() == b"a zip"
    assert topology.document["paths"].keys() == {"/v1/swaps", "/"}
    assert wiring.faults(topology) == []


def test_missing_rights_and_targets_in_the_cloud_are_named(
    cloud: YandexCloud, api: Api, deployed: Deployed, tmp_path: Path
) -> None:
    _bind(api, "Function", deployed.function, "", "")
    _bind(api, "Secret", deployed.secret, "", "")
    HttpApi(cloud).storage("PUT", _BUCKET, "?acl", x_amz_acl="private")

    function, gateway = "yandex_function service-swap", "yandex_api_gateway service"
    invoker = "yandex_iam_service_account invoker"
    assert wiring.faults(_topology(cloud, deployed, tmp_path)) == [
        f"{function}: yandex_iam_service_account swap may not read the secret of API_KEYS",
        f"{gateway}: POST /v1/swaps: {invoker} may not invoke {function}",
        f"{gateway}: GET /: {invoker} may not read bucket {_BUCKET}",
        f"yandex_function_trigger every-minute: {invoker} may not invoke {function}",
    ]


def test_secret_version_that_is_destroyed_is_missing(
    cloud: YandexCloud, api: Api, deployed: Deployed, tmp_path: Path
) -> None:
    api.call(
        "Secret", "ScheduleVersionDestruction", secret_id=deployed.secret,
        version_id=deployed.version,
    )  # fmt: skip

    assert wiring.faults(_topology(cloud, deployed, tmp_path)) == [
        "yandex_function service-swap: the secret version of API_KEYS does not exist"
    ]


def test_function_without_a_version_is_named(
    cloud: YandexCloud, api: Api, deployed: Deployed, tmp_path: Path
) -> None:
    api.create("Function", name="service-empty")

    with pytest.raises(Fault, match="yandex_function service-empty has no version"):
        _topology(cloud, deployed, tmp_path)


def test_machine_and_its_certificate_are_read(
    cloud: YandexCloud, api: Api, deployed: Deployed, tmp_path: Path
) -> None:
    made = cloud.authority.certificate("mqtt.example.com")
    entries = [{"key": "server.pem", "text_value": made}]
    api.create("Secret", name="certificate", version_payload_entries=entries)
    _machine(api, deployed.invoker)
    topology = _topology(cloud, deployed, tmp_path)

    versions = [one.values["entries"] for one in topology.all("yandex_lockbox_secret_version")]
    command = [{"args": ["server", "mqtt.example.com"]}]
    assert [{"key": "server.pem", "command": command}] in versions
    assert topology.metadata("user-data") == "#cloud-config"
    assert topology.machine.values["service_account_id"] == deployed.invoker


def _machine(api: Api, account: str) -> Any:
    _, subnet = api.network()
    family = "ubuntu-2404-lts"
    image = api.call("Image", "GetLatestByFamily", folder_id="standard-images", family=family)
    return api.create(
        "Instance", name="broker", zone_id="ru-central1-a", platform_id="standard-v3",
        resources_spec={"cores": 2, "core_fraction": 50, "memory": 2 * _GIGABYTE},
        boot_disk_spec={"disk_spec": {"size": 10 * _GIGABYTE, "image_id": image.id}},
        network_interface_specs=[{"subnet_id": subnet.id}], service_account_id=account,
        metadata={"user-data": "#cloud-config"},
    )  # fmt: skip
