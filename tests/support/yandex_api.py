"""Calls of the cloud's API by the public Python SDK, against the fake in local/yandex_cloud."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import grpc
import pytest
import yandexcloud._sdk
from google.protobuf import any_pb2, descriptor_pool, message_factory
from yandex.cloud.compute.v1 import disk_service_pb2_grpc as disks
from yandex.cloud.compute.v1 import image_service_pb2_grpc as images
from yandex.cloud.compute.v1 import instance_service_pb2_grpc as instances
from yandex.cloud.compute.v1 import snapshot_schedule_service_pb2_grpc as schedules
from yandex.cloud.iam.v1 import service_account_service_pb2_grpc as accounts
from yandex.cloud.iam.v1.awscompatibility import access_key_service_pb2_grpc as keys
from yandex.cloud.lockbox.v1 import payload_service_pb2_grpc as payloads
from yandex.cloud.lockbox.v1 import secret_service_pb2_grpc as secrets
from yandex.cloud.logging.v1 import log_group_service_pb2_grpc as log_groups
from yandex.cloud.mdb.postgresql.v1 import cluster_service_pb2_grpc as clusters
from yandex.cloud.mdb.postgresql.v1 import database_service_pb2_grpc as databases
from yandex.cloud.mdb.postgresql.v1 import user_service_pb2_grpc as users
from yandex.cloud.monitoring.v3 import dashboard_service_pb2_grpc as dashboards
from yandex.cloud.operation import operation_service_pb2 as operation_messages
from yandex.cloud.operation import operation_service_pb2_grpc as operations
from yandex.cloud.resourcemanager.v1 import folder_service_pb2_grpc as folders
from yandex.cloud.serverless.apigateway.v1 import apigateway_service_pb2_grpc as gateways
from yandex.cloud.serverless.functions.v1 import function_service_pb2_grpc as functions
from yandex.cloud.serverless.triggers.v1 import trigger_service_pb2_grpc as triggers
from yandex.cloud.smartwebsecurity.v1 import security_profile_service_pb2_grpc as profiles
from yandex.cloud.smartwebsecurity.v1.advanced_rate_limiter import (
    advanced_rate_limiter_profile_service_pb2_grpc as limits,
)
from yandex.cloud.storage.v1 import bucket_service_pb2_grpc as buckets
from yandex.cloud.vpc.v1 import address_service_pb2_grpc as addresses
from yandex.cloud.vpc.v1 import network_service_pb2_grpc as networks
from yandex.cloud.vpc.v1 import security_group_service_pb2_grpc as groups
from yandex.cloud.vpc.v1 import subnet_service_pb2_grpc as subnets

from local.yandex_cloud import YandexCloud
from local.yandex_cloud.cloud import TOKEN
from local.yandex_cloud.service import FOLDER_ID

_STUBS = {
    "AccessKey": keys.AccessKeyServiceStub,
    "Address": addresses.AddressServiceStub,
    "ApiGateway": gateways.ApiGatewayServiceStub,
    "Bucket": buckets.BucketServiceStub,
    "Cluster": clusters.ClusterServiceStub,
    "Dashboard": dashboards.DashboardServiceStub,
    "Database": databases.DatabaseServiceStub,
    "Disk": disks.DiskServiceStub,
    "Folder": folders.FolderServiceStub,
    "Function": functions.FunctionServiceStub,
    "Image": images.ImageServiceStub,
    "Instance": instances.InstanceServiceStub,
    "LogGroup": log_groups.LogGroupServiceStub,
    "Network": networks.NetworkServiceStub,
    "Operation": operations.OperationServiceStub,
    "Payload": payloads.PayloadServiceStub,
    "Secret": secrets.SecretServiceStub,
    "AdvancedRateLimiterProfile": limits.AdvancedRateLimiterProfileServiceStub,
    "SecurityProfile": profiles.SecurityProfileServiceStub,
    "SecurityGroup": groups.SecurityGroupServiceStub,
    "ServiceAccount": accounts.ServiceAccountServiceStub,
    "SnapshotSchedule": schedules.SnapshotScheduleServiceStub,
    "Subnet": subnets.SubnetServiceStub,
    "Trigger": triggers.TriggerServiceStub,
    "User": users.UserServiceStub,
}


_WITHOUT_ADDRESS = {"AdvancedRateLimiterProfile", "Dashboard", "SecurityProfile"}
"""Services that the SDK has messages for, but no address."""


class Api:
    """The API of a fake. Names of services are without the word Service."""

    def __init__(self, cloud: YandexCloud, token: str = TOKEN) -> None:
        trusted = cloud.authority.ca.read_bytes()
        self._sdk = yandexcloud._sdk.SDK(
            iam_token=token, endpoint=cloud.address, root_certificates=trusted
        )
        credentials = grpc.composite_channel_credentials(
            grpc.ssl_channel_credentials(trusted), grpc.access_token_call_credentials(token)
        )
        self._channel = grpc.secure_channel(cloud.address, credentials)

    def call(self, service: str, rpc: str, **fields: Any) -> Any:
        """Return the answer to a call; of an operation, what it responds with when it is done."""
        answer = self.start(service, rpc, **fields)
        if answer.DESCRIPTOR.full_name != "yandex.cloud.operation.Operation":
            return answer
        while not answer.done:
            request = operation_messages.GetOperationRequest(operation_id=answer.id)
            answer = self._client("Operation").Get(request)
        return unpack(answer.response)

    def start(self, service: str, rpc: str, **fields: Any) -> Any:
        """Return the operation that a call starts."""
        return getattr(self._client(service), rpc)(_request(service, rpc, fields))

    def create(self, service: str, **fields: Any) -> Any:
        """Return a new resource in the fake's folder."""
        return self.call(service, "Create", folder_id=FOLDER_ID, **fields)

    def _client(self, service: str) -> Any:
        if service in _WITHOUT_ADDRESS:
            return _STUBS[service](self._channel)
        return self._sdk.client(_STUBS[service])

    def network(self, name: str = "net") -> tuple[Any, Any]:
        """Return a new network with a subnet in zone a."""
        network = self.create("Network", name=name)
        subnet = self.create(
            "Subnet", name=name, network_id=network.id, zone_id="ru-central1-a",
            v4_cidr_blocks=["10.1.0.0/24"],
        )  # fmt: skip
        return network, subnet


@contextmanager
def refused(code: grpc.StatusCode, words: str) -> Iterator[None]:
    """Expect a call to fail with this code, and a message with these words."""
    with pytest.raises(grpc.RpcError) as raised:
        yield
    assert (raised.value.code(), words in raised.value.details()) == (code, True), (
        f"{raised.value.code()}: {raised.value.details()}"
    )


def unpack(packed: any_pb2.Any) -> Any:
    """Return the message in an Any."""
    descriptor = descriptor_pool.Default().FindMessageTypeByName(packed.TypeName())
    return message_factory.GetMessageClass(descriptor).FromString(packed.value)


def _request(service: str, rpc: str, fields: dict[str, Any]) -> Any:
    name = _STUBS[service].__module__.removesuffix("_pb2_grpc")
    build: Callable[..., Any] = message_factory.GetMessageClass(
        _method(name, f"{service}Service", rpc).input_type
    )
    return build(**fields)


def _method(module: str, service: str, rpc: str) -> Any:
    file = descriptor_pool.Default().FindFileByName(module.replace(".", "/") + ".proto")
    return file.services_by_name[service].methods_by_name[rpc]
