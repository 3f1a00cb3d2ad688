"""Cloud Functions in the fake: functions, versions, scaling policies, triggers, gateways."""

import json
from typing import Any

import pytest
from grpc import StatusCode

from local.yandex_cloud import YandexCloud
from local.yandex_cloud.service import FOLDER_ID
from local.yandex_cloud.services.functions import PACKAGE
from tests.support.yandex_api import Api, refused

_VERSION = {
    "runtime": "python312", "entrypoint": "main.handler", "content": b"a zip",
    "resources": {"memory": 128 << 20}, "execution_timeout": {"seconds": 5},
}  # fmt: skip


def _version(api: Api, function_id: str, **fields: Any) -> Any:
    return api.call("Function", "CreateVersion", function_id=function_id, **_VERSION, **fields)


def test_new_version_gets_the_tag_latest_from_the_one_before(cloud: YandexCloud, api: Api) -> None:
    function = api.create("Function", name="swap")
    with refused(StatusCode.NOT_FOUND, "tag $latest"):
        api.call("Function", "GetVersionByTag", function_id=function.id, tag="$latest")

    first = _version(api, function.id, tag=["v1"])
    second = _version(api, function.id, environment={"A": "b"})

    found = api.call("Function", "GetVersionByTag", function_id=function.id, tag="$latest")
    assert (found.id, found.function_id, dict(found.environment)) == (
        second.id,
        function.id,
        {"A": "b"},
    )
    listed = api.call("Function", "ListVersions", function_id=function.id).versions
    assert [(one.id, list(one.tags)) for one in listed] == [
        (second.id, ["$latest"]),
        (first.id, ["v1"]),
    ]
    assert cloud.state.read(PACKAGE, first.id) == b"a zip"


def test_version_is_made_by_an_operation_that_is_done_later(api: Api) -> None:
    function = api.create("Function", name="swap")

    operation = api.start("Function", "CreateVersion", function_id=function.id, **_VERSION)

    assert not operation.done
    done = api.call("Operation", "Get", operation_id=operation.id)
    assert done.DESCRIPTOR.full_name == "yandex.cloud.serverless.functions.v1.Version"


def test_second_function_of_a_name_is_refused(api: Api) -> None:
    api.create("Function", name="swap")

    with refused(StatusCode.ALREADY_EXISTS, "Function with name swap already exists"):
        api.create("Function", name="swap")


def test_eleventh_function_is_refused(api: Api) -> None:
    for number in range(10):
        api.create("Function", name=f"function-{number}")

    with refused(StatusCode.RESOURCE_EXHAUSTED, "Quota limit serverless.functions.count exceeded"):
        api.create("Function", name="one-more")


@pytest.mark.parametrize("name", ["Swap", "a", "1swap", "swap_", "x" * 64])
def test_function_name_that_the_platform_refuses(api: Api, name: str) -> None:
    with refused(StatusCode.INVALID_ARGUMENT, "Request validation error: Name"):
        api.create("Function", name=name)


@pytest.mark.parametrize(
    ("fields", "words"),
    [
        ({"runtime": "python313"}, "Runtime python313 is not supported"),
        ({"resources": {"memory": 200 << 20}}, "multiple of 128 MB"),
        (
            {"resources": {"memory": 64 << 20}},
            "Resources.Memory: Value must be 134217728-8589934592",
        ),
        ({"execution_timeout": {"seconds": 4000}}, "ExecutionTimeout: Value must be 0s-3600s"),
        ({"content": b""}, "one of package, content, version_id is required"),
        ({"content": b"x" * 3_670_017}, "at most 3670016"),
        ({"service_account_id": "ajenobody"}, "Service account ajenobody is not available"),
        ({"environment": {"A": "x" * 4096}}, "Environment of 4097 bytes; at most 4096"),
        ({"environment": {"1A": "x"}}, 'Environment: "1A" does not match'),
    ],
)
def test_version_that_the_platform_refuses(api: Api, fields: dict[str, Any], words: str) -> None:
    function = api.create("Function", name="swap")
    version = {key: value for key, value in {**_VERSION, **fields}.items() if value != b""}

    with refused(StatusCode.INVALID_ARGUMENT, words):
        api.call("Function", "CreateVersion", function_id=function.id, **version)


def test_version_with_a_secret_that_does_not_exist_is_refused(api: Api) -> None:
    function = api.create("Function", name="swap")
    secret = api.create("Secret", name="keys")
    wanted = {"id": secret.id, "key": "k", "environment_variable": "KEY"}

    with refused(StatusCode.NOT_FOUND, f"of secret {secret.id} not found"):
        _version(api, function.id, secrets=[{**wanted, "version_id": "e6qnone"}])

    entry = {"key": "other", "text_value": "v"}
    version = api.call("Secret", "AddVersion", secret_id=secret.id, payload_entries=[entry])
    with refused(StatusCode.NOT_FOUND, f"Secret entry k of version {version.id}"):
        _version(api, function.id, secrets=[{**wanted, "version_id": version.id}])


def test_scaling_policy_of_a_tag_is_replaced_and_removed(api: Api) -> None:
    function = api.create("Function", name="swap")
    for limit in (3, 5):
        api.call(
            "Function", "SetScalingPolicy", function_id=function.id, tag="$latest",
            zone_instances_limit=limit, zone_requests_limit=limit,
        )  # fmt: skip

    (policy,) = api.call(
        "Function", "ListScalingPolicies", function_id=function.id
    ).scaling_policies
    assert (policy.tag, policy.zone_instances_limit) == ("$latest", 5)

    api.call("Function", "RemoveScalingPolicy", function_id=function.id, tag="$latest")
    assert not api.call("Function", "ListScalingPolicies", function_id=function.id).scaling_policies


def _trigger(api: Api, cron: str, **invoked: Any) -> Any:
    timer = {"cron_expression": cron, "invoke_function_with_retry": invoked}
    return api.create("Trigger", name="timer", rule={"timer": timer})


def test_timer_reads_back(api: Api) -> None:
    function = api.create("Function", name="swap")

    made = _trigger(api, "* * * * ? *", function_id=function.id)

    assert api.call("Trigger", "Get", trigger_id=made.id) == made
    assert made.rule.timer.invoke_function_with_retry.function_id == function.id


@pytest.mark.parametrize(
    "cron", ["* * * * * *", "* * ? * ? *", "* * * *", "60 * * * ? *", "0 0 ? * 8 *", "@daily"]
)
def test_cron_expression_that_the_platform_refuses(api: Api, cron: str) -> None:
    function = api.create("Function", name="swap")

    with refused(StatusCode.INVALID_ARGUMENT, f"Invalid cron expression {cron}"):
        _trigger(api, cron, function_id=function.id)


@pytest.mark.parametrize(
    "cron", ["0/5 8-18 ? * MON-FRI *", "0 0 L * ? *", "15 10 ? * 6#3", "0 12 1W JAN,JUL ? 2027"]
)
def test_cron_expression_that_the_platform_accepts(api: Api, cron: str) -> None:
    function = api.create("Function", name="swap")

    assert _trigger(api, cron, function_id=function.id).id


def test_trigger_of_a_function_that_does_not_exist_is_refused(api: Api) -> None:
    with refused(StatusCode.NOT_FOUND, "Function d4enone not found"):
        _trigger(api, "* * * * ? *", function_id="d4enone")


def test_trigger_of_a_kind_that_the_fake_does_not_have_is_not_accepted(api: Api) -> None:
    with refused(StatusCode.UNIMPLEMENTED, "a trigger with the rule mail"):
        api.create("Trigger", name="mail", rule={"mail": {"invoke_function": {"function_id": "x"}}})


def test_dead_letter_queue_has_to_be_an_arn(api: Api) -> None:
    function = api.create("Function", name="swap")
    queue = {"queue_id": "letters", "service_account_id": "aje"}

    with refused(StatusCode.INVALID_ARGUMENT, "Queue id letters is not an ARN"):
        _trigger(api, "* * * * ? *", function_id=function.id, dead_letter_queue=queue)


def test_gateway_stores_its_document(api: Api) -> None:
    document = json.dumps({"openapi": "3.0.0", "info": {"title": "t", "version": "1"}, "paths": {}})
    made = api.create("ApiGateway", name="api", openapi_spec=document)

    found = api.call("ApiGateway", "GetOpenapiSpec", api_gateway_id=made.id)
    assert (found.openapi_spec, made.domain.endswith(".apigw.yandexcloud.net")) == (document, True)

    other = document.replace('"t"', '"new"')
    api.call(
        "ApiGateway", "Update", api_gateway_id=made.id, update_mask={"paths": ["openapi_spec"]},
        openapi_spec=other,
    )  # fmt: skip
    found = api.call("ApiGateway", "GetOpenapiSpec", api_gateway_id=made.id)
    assert (found.openapi_spec, api.call("ApiGateway", "Get", api_gateway_id=made.id).name) == (
        other,
        "api",
    )


@pytest.mark.parametrize("document", ["{", "openapi: 3.0.0", "- a list", "{'a': ]"])
def test_gateway_with_a_broken_document_is_refused(api: Api, document: str) -> None:
    with refused(StatusCode.INVALID_ARGUMENT, "Invalid OpenAPI specification"):
        api.create("ApiGateway", name="api", openapi_spec=document)


def test_deleted_function_takes_its_versions_along(cloud: YandexCloud, api: Api) -> None:
    function = api.create("Function", name="swap")
    version = _version(api, function.id)

    api.call("Function", "Delete", function_id=function.id)

    with refused(StatusCode.NOT_FOUND, f"Function version {version.id} not found"):
        api.call("Function", "GetVersion", function_version_id=version.id)
    assert cloud.state.read(PACKAGE, version.id) is None
    assert not api.call("Function", "List", folder_id=FOLDER_ID).functions
