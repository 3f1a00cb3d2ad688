"""Services: a class each, with a method for each RPC that the fake knows."""

import importlib
import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, ClassVar

from google.protobuf.descriptor import MethodDescriptor, ServiceDescriptor
from google.protobuf.empty_pb2 import Empty
from google.protobuf.message import Message
from google.protobuf.message_factory import GetMessageClass
from google.protobuf.timestamp_pb2 import Timestamp
from yandex.cloud.access.access_pb2 import ListAccessBindingsResponse

from local.yandex_cloud import ids, messages
from local.yandex_cloud.refusals import already_exists, invalid, not_found, quota_exceeded
from local.yandex_cloud.state import State

CLOUD_ID = "b1gcloud000000000001"
FOLDER_ID = "b1gfolder00000000001"

Rpc = Callable[[Any], Message]


@dataclass(frozen=True)
class Context:
    """What services share. `address`: returns host and port of the server."""

    state: State
    address: Callable[[], str]


class Service:
    """A service of the API. A method `list_hosts` answers the RPC `ListHosts`."""

    proto: ClassVar[str]
    """The module of its descriptor, such as yandex.cloud.vpc.v1.network_service."""
    name: ClassVar[str]
    """The service in that module, such as NetworkService."""
    prefix: ClassVar[str] = "b1g"
    """Of the ids of its resources and operations."""
    slow: ClassVar[frozenset[str]] = frozenset()
    """RPCs whose operation is not done yet when they are answered."""

    def __init__(self, context: Context) -> None:
        self.context = context
        self.state = context.state

    @classmethod
    def descriptor(cls) -> ServiceDescriptor:
        """Return the service's descriptor."""
        module = importlib.import_module(f"{cls.proto}_pb2")
        descriptor: ServiceDescriptor = module.DESCRIPTOR.services_by_name[cls.name]
        return descriptor

    def rpcs(self) -> Iterator[tuple[MethodDescriptor, Rpc]]:
        """Return the RPCs that this class has methods for."""
        for method in self.descriptor().methods:
            rpc = getattr(self, re.sub(r"(?<=[a-z])(?=[A-Z])", "_", method.name).lower(), None)
            if rpc:
                yield method, rpc


class Collection(Service):
    """Get, List, Create, Update and Delete of a kind of resource in a folder."""

    resource: ClassVar[type[Message]]
    noun: ClassVar[str]
    """The kind in error messages, such as Network."""
    quota: ClassVar[tuple[str, int] | None] = None
    """The name of the platform's quota, and how many resources it allows."""
    name_pattern: ClassVar[str] = ".*"
    """Of resources' names, if the service's descriptor does not declare one."""

    def get(self, request: Any) -> Any:
        """Return the resource."""
        return self.find(self.key(request))

    def list(self, request: Any) -> Any:
        """Return the folder's resources."""
        method = self.descriptor().methods_by_name["List"]
        answer = _message_class(method)()
        found = [one for one in self.all() if self._is_listed(one, request)]
        getattr(answer, method.output_type.fields[0].name).extend(found)
        return answer

    def create(self, request: Any) -> Any:
        """Make a resource, with the request's values."""
        self.check_folder(request.folder_id)
        self.check_name(request.folder_id, request.name)
        if self.quota and len(self.all()) >= self.quota[1]:
            raise quota_exceeded(self.quota[0])
        resource = self.resource()
        messages.copy(request, resource)
        self.stamp(resource)
        self.check(resource)
        self.fill(resource, request)
        return self.save(resource)

    def update(self, request: Any) -> Any:
        """Change the values at the request's mask; without a mask, all values."""
        resource = self.find(self.key(request))
        if "name" in self.paths(request) and request.name != resource.name:
            self.check_name(resource.folder_id, request.name)
        messages.update(request, resource, self.paths(request))
        self.check(resource)
        self.change(resource, request)
        return self.save(resource)

    def delete(self, request: Any) -> Any:
        """Delete the resource, unless another one needs it."""
        resource = self.find(self.key(request))
        self.check_unused(resource)
        self.remove(resource)
        return Empty()

    # What the services add.

    def check(self, resource: Any) -> None:
        """Raise Refused if the platform would not accept these values."""

    def fill(self, resource: Any, request: Any) -> None:
        """Set the values of a new resource that the platform chooses."""

    def change(self, resource: Any, request: Any) -> None:
        """Set the values of a changed resource that the platform chooses."""

    def check_unused(self, resource: Any) -> None:
        """Raise Refused if the resource cannot be deleted now."""

    def remove(self, resource: Any) -> None:
        """Forget the resource and what belongs to it."""
        self.state.remove(ListAccessBindingsResponse, resource.id)
        self.state.remove(self.resource, resource.id)

    # Helps.

    def find(self, key: str) -> Any:
        """Return the resource with this id. Raises Refused."""
        resource = self.state.get(self.resource, key)
        if resource is None:
            raise not_found(self.noun, key)
        return resource

    def all(self) -> Sequence[Any]:
        """Return all resources of this kind."""
        return self.state.all(self.resource)

    def save(self, resource: Any) -> Any:
        """Store the resource and return it."""
        self.state.put(resource.id, resource)
        return resource

    def stamp(self, resource: Any) -> None:
        """Give a new resource its id and time."""
        resource.id = ids.new(self.prefix)
        resource.created_at.CopyFrom(now())

    def key(self, request: Any) -> str:
        """Return the id that a request is about."""
        return str(
            getattr(request, self.descriptor().methods_by_name["Get"].input_type.fields[0].name)
        )

    def paths(self, request: Any) -> Sequence[str]:
        """Return the paths of the request's mask. Raises Refused for one that does not exist."""
        fields = request.DESCRIPTOR.fields_by_name
        if "update_mask" not in fields or not request.update_mask.paths:
            return [name for name in fields if name != "update_mask"]
        for path in request.update_mask.paths:
            if path.split(".")[0] not in fields:
                raise invalid(f"Request validation error: UpdateMask: unknown field {path}")
        return list(request.update_mask.paths)

    def check_folder(self, folder_id: str) -> None:
        """Raise Refused unless it is the fake's folder."""
        if folder_id != FOLDER_ID:
            raise not_found("Folder", folder_id)

    def check_name(self, folder_id: str, name: str) -> None:
        """Raise Refused for an invalid name, and for that of another resource in the folder."""
        if not re.fullmatch(self.name_pattern, name):
            raise invalid("Request validation error: Name: invalid resource name")
        if name and any((one.folder_id, one.name) == (folder_id, name) for one in self.all()):
            raise already_exists(self.noun, name)

    def _is_listed(self, resource: Any, request: Any) -> bool:
        folder_id = getattr(request, "folder_id", "")
        if folder_id and resource.folder_id != folder_id:
            return False
        if not getattr(request, "filter", ""):
            return True
        wanted = re.fullmatch(r"""\s*name\s*=\s*["'](.*)["']\s*""", request.filter)
        if not wanted:
            raise invalid(f"Request validation error: Filter: {request.filter}")
        return bool(resource.name == wanted[1])


def now() -> Timestamp:
    """Return the time, in whole seconds, as the platform stores it."""
    time = Timestamp()
    time.FromDatetime(datetime.now(UTC).replace(microsecond=0))
    return time


def _message_class(method: MethodDescriptor) -> type[Message]:
    found: type[Message] = GetMessageClass(method.output_type)
    return found
