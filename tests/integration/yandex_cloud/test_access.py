"""Service accounts, static keys, roles, tokens, and calls that the fake does not know."""

from typing import Any

import pytest
from grpc import StatusCode

from local.yandex_cloud import YandexCloud
from local.yandex_cloud.service import FOLDER_ID
from tests.support.yandex_api import Api, refused


def _binding(role: str, account: str, kind: str = "serviceAccount") -> dict[str, Any]:
    return {"role_id": role, "subject": {"id": account, "type": kind}}


def _delta(action: str, role: str, account: str) -> dict[str, Any]:
    return {"action": action, "access_binding": _binding(role, account)}


def _roles(api: Api, service: str, resource_id: str) -> list[tuple[str, str]]:
    found = api.call(service, "ListAccessBindings", resource_id=resource_id).access_bindings
    return [(one.role_id, one.subject.id) for one in found]


def test_roles_on_the_folder_are_added_once_and_removed(api: Api) -> None:
    account = api.create("ServiceAccount", name="runner")
    for _ in range(2):
        api.call(
            "Folder", "UpdateAccessBindings", resource_id=FOLDER_ID,
            access_binding_deltas=[_delta("ADD", "vpc.user", account.id)],
        )  # fmt: skip
    assert _roles(api, "Folder", FOLDER_ID) == [("vpc.user", account.id)]

    api.call(
        "Folder", "UpdateAccessBindings", resource_id=FOLDER_ID,
        access_binding_deltas=[_delta("REMOVE", "vpc.user", account.id)],
    )  # fmt: skip
    assert _roles(api, "Folder", FOLDER_ID) == []


@pytest.mark.parametrize("service", ["Function", "Secret", "LogGroup"])
def test_bindings_of_a_resource_are_replaced_as_a_whole(api: Api, service: str) -> None:
    made = api.create(service, name="thing")
    accounts = [api.create("ServiceAccount", name=name).id for name in ("one", "two")]
    for account in accounts:
        api.call(
            service, "SetAccessBindings", resource_id=made.id,
            access_bindings=[_binding("viewer", account)],
        )  # fmt: skip

    assert _roles(api, service, made.id) == [("viewer", accounts[1])]


def test_role_that_does_not_exist_is_refused(api: Api) -> None:
    account = api.create("ServiceAccount", name="runner")

    with refused(StatusCode.INVALID_ARGUMENT, "Role functions.functionInvoke not found"):
        api.call(
            "Folder", "UpdateAccessBindings", resource_id=FOLDER_ID,
            access_binding_deltas=[_delta("ADD", "functions.functionInvoke", account.id)],
        )  # fmt: skip
    assert _roles(api, "Folder", FOLDER_ID) == []


def test_role_for_an_account_that_does_not_exist_is_refused(api: Api) -> None:
    with refused(StatusCode.NOT_FOUND, "Service account ajenobody not found"):
        api.call(
            "Folder", "UpdateAccessBindings", resource_id=FOLDER_ID,
            access_binding_deltas=[_delta("ADD", "viewer", "ajenobody")],
        )  # fmt: skip


def test_static_key_tells_its_secret_once(api: Api) -> None:
    account = api.create("ServiceAccount", name="queues")
    made = api.call("AccessKey", "Create", service_account_id=account.id, description="for queues")

    found = api.call("AccessKey", "Get", access_key_id=made.access_key.id)
    assert (found, bool(made.secret)) == (made.access_key, True)

    api.call("ServiceAccount", "Delete", service_account_id=account.id)
    with refused(StatusCode.NOT_FOUND, "Access key"):
        api.call("AccessKey", "Get", access_key_id=found.id)


def test_call_without_a_valid_token_is_refused(cloud: YandexCloud) -> None:
    with refused(StatusCode.UNAUTHENTICATED, "The token is invalid"):
        Api(cloud, token="nonsense").create("Network", name="net")


def test_call_that_the_fake_does_not_know_is_refused_with_its_name(api: Api) -> None:
    network = api.create("Network", name="net")

    with refused(StatusCode.UNIMPLEMENTED, "/yandex.cloud.vpc.v1.NetworkService/Move"):
        api.call("Network", "Move", network_id=network.id, destination_folder_id=FOLDER_ID)


def test_folder_that_does_not_exist_is_refused(api: Api) -> None:
    with refused(StatusCode.NOT_FOUND, "Folder b1gother not found"):
        api.call("Network", "Create", folder_id="b1gother", name="net")
    with refused(StatusCode.INVALID_ARGUMENT, "FolderId: Field is required"):
        api.call("Function", "Create", name="swap")
