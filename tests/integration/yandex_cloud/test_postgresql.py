"""Managed PostgreSQL in the fake: clusters, hosts, users, databases."""

from typing import Any

import pytest
from grpc import StatusCode

from tests.support.yandex_api import Api, refused


def _cluster(api: Api, **fields: Any) -> Any:
    network, subnet = api.network()
    resources = {
        "resource_preset_id": "s3-c2-m8",
        "disk_type_id": "network-ssd",
        "disk_size": 10 << 30,
    }
    values = {
        "name": "main", "environment": "PRODUCTION", "network_id": network.id,
        "config_spec": {"version": "17", "resources": resources},
        "host_specs": [{"zone_id": "ru-central1-a", "subnet_id": subnet.id}],
    }  # fmt: skip
    config = {**values["config_spec"], **fields.pop("config", {})}
    return api.create("Cluster", **{**values, "config_spec": config, **fields})


def _user(api: Api, cluster_id: str, name: str = "service", **fields: Any) -> Any:
    specification = {"name": name, "password": "a password", **fields}
    return api.call("User", "Create", cluster_id=cluster_id, user_spec=specification)


def _database(api: Api, cluster_id: str, **fields: Any) -> Any:
    specification = {"name": "accumulators", "owner": "service", **fields}
    return api.call("Database", "Create", cluster_id=cluster_id, database_spec=specification)


def test_cluster_reads_back_with_its_hosts(api: Api) -> None:
    made = _cluster(api)

    assert api.call("Cluster", "Get", cluster_id=made.id) == made
    (host,) = api.call("Cluster", "ListHosts", cluster_id=made.id).hosts
    assert host.name.startswith("rc1a-")
    assert host.resources == made.config.resources
    with refused(StatusCode.FAILED_PRECONDITION, "needs at least one host"):
        api.call("Cluster", "DeleteHosts", cluster_id=made.id, host_names=[host.name])


@pytest.mark.parametrize(
    ("fields", "code", "words"),
    [
        (
            {"config": {"version": "9.6"}},
            StatusCode.INVALID_ARGUMENT,
            "Version 9.6 is not available",
        ),
        (
            {"config": {"resources": {"resource_preset_id": "s9", "disk_type_id": "network-ssd"}}},
            StatusCode.NOT_FOUND,
            "Resource preset s9 not found",
        ),
        ({"host_specs": []}, StatusCode.INVALID_ARGUMENT, "HostSpecs"),
        (
            {"config": {"backup_retain_period_days": {"value": 90}}},
            StatusCode.INVALID_ARGUMENT,
            "7-60",
        ),
        ({"name": "no spaces"}, StatusCode.INVALID_ARGUMENT, "Name"),
    ],
)
def test_cluster_that_the_platform_refuses(
    api: Api, fields: dict[str, Any], code: StatusCode, words: str
) -> None:
    with refused(code, words):
        _cluster(api, **fields)


def test_protected_cluster_is_kept(api: Api) -> None:
    cluster = _cluster(api, deletion_protection=True)

    with refused(StatusCode.FAILED_PRECONDITION, "deletion protection"):
        api.call("Cluster", "Delete", cluster_id=cluster.id)


def test_settings_that_the_fake_does_not_keep_are_not_accepted(api: Api) -> None:
    settings = {"postgresql_config_17": {"max_connections": {"value": 400}}}

    with refused(StatusCode.UNIMPLEMENTED, "settings of PostgreSQL"):
        _cluster(api, config=settings)


def test_owner_of_a_database_cannot_be_deleted(api: Api) -> None:
    cluster = _cluster(api).id
    with refused(StatusCode.NOT_FOUND, "User service not found"):
        _database(api, cluster)
    _user(api, cluster)
    _database(api, cluster)

    with refused(StatusCode.FAILED_PRECONDITION, "owner of database accumulators"):
        api.call("User", "Delete", cluster_id=cluster, user_name="service")
    with refused(StatusCode.ALREADY_EXISTS, "Database with name accumulators already exists"):
        _database(api, cluster)


def test_deleted_database_takes_its_permissions_along(api: Api) -> None:
    cluster = _cluster(api).id
    with refused(StatusCode.NOT_FOUND, "Database accumulators not found"):
        _user(api, cluster, "reader", permissions=[{"database_name": "accumulators"}])
    _user(api, cluster)
    _database(api, cluster)
    reader = _user(api, cluster, "reader", permissions=[{"database_name": "accumulators"}])
    assert (reader.conn_limit, reader.login.value, len(reader.permissions)) == (50, True, 1)

    api.call("Database", "Delete", cluster_id=cluster, database_name="accumulators")

    assert not api.call("User", "Get", cluster_id=cluster, user_name="reader").permissions


def test_user_update_changes_what_the_mask_names(api: Api) -> None:
    cluster = _cluster(api).id
    _user(api, cluster, conn_limit={"value": 10})

    api.call(
        "User", "Update", cluster_id=cluster, user_name="service", conn_limit=70,
        update_mask={"paths": ["conn_limit"]},
    )  # fmt: skip

    found = api.call("User", "Get", cluster_id=cluster, user_name="service")
    assert (found.conn_limit, found.name, found.login.value) == (70, "service", True)
