"""Changes that somebody makes in the cloud's console, past Terraform."""

from typing import Any

import grpc
from google.protobuf.duration_pb2 import Duration
from google.protobuf.field_mask_pb2 import FieldMask
from yandex.cloud.access.access_pb2 import (
    AccessBindingAction,
    AccessBindingDelta,
    UpdateAccessBindingsRequest,
)
from yandex.cloud.logging.v1.log_group_pb2 import LogGroup
from yandex.cloud.logging.v1.log_group_service_pb2 import UpdateLogGroupRequest
from yandex.cloud.logging.v1.log_group_service_pb2_grpc import LogGroupServiceStub
from yandex.cloud.serverless.functions.v1.function_pb2 import Function
from yandex.cloud.serverless.functions.v1.function_service_pb2_grpc import FunctionServiceStub
from yandex.cloud.serverless.triggers.v1.trigger_pb2 import Trigger
from yandex.cloud.serverless.triggers.v1.trigger_service_pb2 import DeleteTriggerRequest
from yandex.cloud.serverless.triggers.v1.trigger_service_pb2_grpc import TriggerServiceStub

from local.yandex_cloud import YandexCloud
from local.yandex_cloud.access import bindings
from local.yandex_cloud.cloud import TOKEN

_DAY = 86400
_METADATA = [("authorization", f"Bearer {TOKEN}")]


def change(cloud: YandexCloud) -> set[str]:
    """Change three things through the API; return the addresses that a plan must name."""
    credentials = grpc.ssl_channel_credentials(cloud.authority.ca.read_bytes())
    with grpc.secure_channel(cloud.address, credentials) as channel:
        _delete_trigger(channel, _named(cloud, Trigger, "poll-cabinets"))
        _shorten_retention(channel, _named(cloud, LogGroup, "accumulator"))
        _revoke(cloud, channel, _named(cloud, Function, "unlock"))
    return {
        "yandex_function_trigger.poll_cabinets",
        "yandex_logging_group.main",
        'yandex_function_iam_binding.invoker["unlock"]',
    }


def _delete_trigger(channel: grpc.Channel, trigger: Any) -> None:
    request = DeleteTriggerRequest(trigger_id=trigger.id)
    TriggerServiceStub(channel).Delete(request, metadata=_METADATA)


def _shorten_retention(channel: grpc.Channel, group: Any) -> None:
    request = UpdateLogGroupRequest(
        log_group_id=group.id,
        update_mask=FieldMask(paths=["retention_period"]),
        retention_period=Duration(seconds=3 * _DAY),
    )
    LogGroupServiceStub(channel).Update(request, metadata=_METADATA)


def _revoke(cloud: YandexCloud, channel: grpc.Channel, function: Any) -> None:
    """Take the role to invoke a function from all who have it."""
    deltas = [
        AccessBindingDelta(action=AccessBindingAction.REMOVE, access_binding=one)
        for one in bindings(cloud.state, function.id).access_bindings
    ]
    request = UpdateAccessBindingsRequest(resource_id=function.id, access_binding_deltas=deltas)
    FunctionServiceStub(channel).UpdateAccessBindings(request, metadata=_METADATA)


def _named(cloud: YandexCloud, kind: Any, name: str) -> Any:
    return next(one for one in cloud.state.all(kind) if one.name.endswith(f"-{name}"))
