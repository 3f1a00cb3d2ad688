"""Access bindings: which subject has which role on a resource."""

from typing import Any, Protocol

from google.protobuf.empty_pb2 import Empty
from yandex.cloud.access.access_pb2 import (
    AccessBindingAction,
    AccessBindingsOperationResult,
    ListAccessBindingsResponse,
)
from yandex.cloud.api import operation_pb2 as options
from yandex.cloud.iam.v1.service_account_pb2 import ServiceAccount

from local.yandex_cloud.refusals import invalid, not_found
from local.yandex_cloud.state import State

_TYPES = {"userAccount", "serviceAccount", "federatedUser", "group", "system"}
_ROLES = {
    "": "admin auditor editor viewer",
    "api-gateway": "admin auditor editor viewer websocketBroadcaster websocketWriter",
    "compute": "admin auditor editor operator viewer disks.user images.user",
    "functions": "admin auditor editor viewer functionInvoker mdbProxiesUser",
    "iam": "admin auditor editor viewer serviceAccounts.user serviceAccounts.admin"
    " serviceAccounts.tokenCreator serviceAccounts.keyAdmin serviceAccounts.accessKeyAdmin",
    "kms": "admin auditor editor viewer keys.user keys.decrypter keys.encrypter"
    " keys.encrypterDecrypter",
    "lockbox": "admin auditor editor viewer payloadViewer",
    "logging": "admin editor viewer reader writer",
    "managed-postgresql": "admin auditor editor viewer user clusters.connector",
    "mdb": "admin auditor viewer",
    "monitoring": "admin editor viewer",
    "resource-manager": "admin auditor editor viewer clouds.member clouds.owner",
    "serverless-containers": "admin auditor editor viewer containerInvoker",
    "serverless": "mdbProxies.user",
    "storage": "admin configViewer configurer editor uploader viewer",
    "vpc": "admin auditor viewer user privateAdmin publicAdmin bridgeAdmin"
    " securityGroups.admin securityGroups.user gateways.user",
    "ymq": "admin reader writer",
}
ROLES = {
    f"{service}.{role}".removeprefix(".")
    for service, roles in _ROLES.items()
    for role in roles.split()
}
"""The roles of the services that this project uses."""


class _Findable(Protocol):
    state: State

    def find(self, key: str) -> Any: ...


class AccessBindings:
    """The three RPCs for the access bindings of a service's resources."""

    def list_access_bindings(self: _Findable, request: Any) -> Any:
        """Return the bindings of a resource."""
        self.find(request.resource_id)
        return bindings(self.state, request.resource_id)

    def set_access_bindings(self: _Findable, request: Any) -> Any:
        """Replace all bindings of a resource."""
        self.find(request.resource_id)
        for binding in request.access_bindings:
            _check(self.state, binding)
        found = ListAccessBindingsResponse(access_bindings=request.access_bindings)
        self.state.put(request.resource_id, found)
        return _result(self)

    def update_access_bindings(self: _Findable, request: Any) -> Any:
        """Add and remove bindings of a resource."""
        self.find(request.resource_id)
        found = bindings(self.state, request.resource_id)
        for delta in request.access_binding_deltas:
            present = delta.access_binding in found.access_bindings
            if delta.action == AccessBindingAction.REMOVE and present:
                found.access_bindings.remove(delta.access_binding)
            elif delta.action == AccessBindingAction.ADD and not present:
                _check(self.state, delta.access_binding)
                found.access_bindings.append(delta.access_binding)
        self.state.put(request.resource_id, found)
        return _result(self)


def bindings(state: State, resource_id: str) -> Any:
    """Return the bindings of a resource, a ListAccessBindingsResponse."""
    return state.get(ListAccessBindingsResponse, resource_id) or ListAccessBindingsResponse()


def _check(state: State, binding: Any) -> None:
    subject = binding.subject
    if binding.role_id not in ROLES:
        raise invalid(f"Role {binding.role_id} not found")  # NOT_FOUND would be the resource
    if subject.type not in _TYPES:
        raise invalid(f"Request validation error: Subject.Type: unknown type {subject.type}")
    if subject.type == "serviceAccount" and state.get(ServiceAccount, subject.id) is None:
        raise not_found("Service account", subject.id)


def _result(service: Any) -> Any:
    """Return what the operation of this service's bindings responds with."""
    method = service.descriptor().methods_by_name["SetAccessBindings"]
    if method.GetOptions().Extensions[options.operation].response.endswith("Result"):
        return AccessBindingsOperationResult()
    return Empty()
