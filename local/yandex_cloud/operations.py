"""Long-running operations: what every change is answered with."""

from typing import Any

from google.protobuf.descriptor import MethodDescriptor
from google.protobuf.message import Message
from google.protobuf.message_factory import GetMessageClass
from yandex.cloud.api import operation_pb2 as options
from yandex.cloud.operation.operation_pb2 import Operation

from local.yandex_cloud import ids
from local.yandex_cloud.refusals import not_found
from local.yandex_cloud.service import Service, now


class Operations(Service):
    """Operations by id."""

    proto, name = "yandex.cloud.operation.operation_service", "OperationService"

    def get(self, request: Any) -> Any:
        """Return the operation, which is done now."""
        operation = self.state.get(Operation, request.operation_id)
        if operation is None:
            raise not_found("Operation", request.operation_id)
        return operation


def is_operation(method: MethodDescriptor) -> bool:
    """Return whether an RPC is answered with an operation that the platform makes."""
    return bool(
        method.output_type is Operation.DESCRIPTOR
        and method.GetOptions().Extensions[options.operation].metadata
    )


def wrap(
    service: Service, method: MethodDescriptor, request: Message, response: Message
) -> Operation:
    """Return the operation of a change that was made, and store it."""
    operation = Operation(
        id=ids.new(service.prefix),
        description=method.name,
        created_at=now(),
        created_by="ajeoperator000000001",
        modified_at=now(),
        done=True,
    )
    operation.metadata.Pack(_metadata(method, request, response))
    operation.response.Pack(response)
    service.state.put(operation.id, operation)
    if method.name in service.slow:
        answer = Operation()
        answer.CopyFrom(operation)
        answer.ClearField("response")
        answer.done = False
        return answer
    return operation


def _metadata(method: MethodDescriptor, request: Any, response: Any) -> Message:
    """Return the metadata: ids and names from the request, else those of the new resource."""
    name = method.GetOptions().Extensions[options.operation].metadata
    pool = method.containing_service.file.pool
    package = method.containing_service.file.package
    metadata = GetMessageClass(_find(pool, package, name))()
    asked, made = request.DESCRIPTOR.fields_by_name, response.DESCRIPTOR.fields_by_name
    for field in metadata.DESCRIPTOR.fields:
        if field.type != field.TYPE_STRING or field.is_repeated:
            continue
        if field.name in asked:
            value = getattr(request, field.name)
        elif field.name in made:
            value = getattr(response, field.name)
        elif field.name == "version_id" and "current_version" in made:
            value = response.current_version.id
        elif field.name.endswith("_id") and "id" in made:
            value = response.id
        elif field.name.endswith("_name") and "name" in made:
            value = response.name
        else:
            value = ""
        setattr(metadata, field.name, value)
    return metadata


def _find(pool: Any, package: str, name: str) -> Any:
    """Return the descriptor of a name that is relative to a package, or to one around it."""
    while package:
        try:
            return pool.FindMessageTypeByName(f"{package}.{name}")
        except KeyError:
            package = package.rpartition(".")[0]
    return pool.FindMessageTypeByName(name)
