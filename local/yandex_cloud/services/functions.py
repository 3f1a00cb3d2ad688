"""Cloud Functions: functions, their versions with packages and tags, and scaling policies."""

from typing import Any

from google.protobuf.empty_pb2 import Empty
from yandex.cloud.iam.v1.service_account_pb2 import ServiceAccount
from yandex.cloud.lockbox.v1.payload_pb2 import Payload
from yandex.cloud.lockbox.v1.secret_pb2 import Version as SecretVersion
from yandex.cloud.logging.v1.log_group_pb2 import LogGroup
from yandex.cloud.serverless.functions.v1.function_pb2 import Function, ScalingPolicy, Version
from yandex.cloud.serverless.functions.v1.function_service_pb2 import (
    ListFunctionsVersionsResponse,
    ListRuntimesResponse,
    ListScalingPoliciesResponse,
)
from yandex.cloud.vpc.v1.network_pb2 import Network

from local.yandex_cloud import ids, messages
from local.yandex_cloud.access import AccessBindings
from local.yandex_cloud.refusals import Refused, invalid, not_found
from local.yandex_cloud.service import Collection, now

PACKAGE = "function-package"
"""The kind in the state of a version's zip file, under the version's id."""
LATEST = "$latest"
_RUNTIMES = (
    "bash-2204", "dotnet8", "golang123", "java21", "kotlin20", "nodejs18", "nodejs22", "php82",
    "python312", "python314", "r43",
)  # fmt: skip
_PACKAGE_BYTES = 3_670_016  # sent directly; the platform's limit for a bucket is another
_ENVIRONMENT_BYTES = 4096
_MEMORY_STEP = 128 << 20
_TAGS = 10


class Functions(AccessBindings, Collection):
    """Functions."""

    proto, name = "yandex.cloud.serverless.functions.v1.function_service", "FunctionService"
    resource, noun, prefix = Function, "Function", "d4e"
    quota = ("serverless.functions.count", 10)
    slow = frozenset({"CreateVersion"})

    def fill(self, resource: Any, request: Any) -> None:  # noqa: ARG002 - as in the others
        """Give the function its URL."""
        resource.http_invoke_url = f"https://functions.yandexcloud.net/{resource.id}"
        resource.status = Function.ACTIVE

    def remove(self, resource: Any) -> None:
        """Forget the function, its versions and their packages."""
        for version in self._versions(resource.id):
            self.state.remove(Version, version.id)
            self.state.erase(PACKAGE, version.id)
        self.state.remove(ListScalingPoliciesResponse, resource.id)
        super().remove(resource)

    # Versions.

    def create_version(self, request: Any) -> Any:
        """Make a version, which gets the tag $latest."""
        function = self.find(request.function_id)
        self._check_version(request)
        version = Version()
        messages.copy(request, version)
        version.id, version.function_id = ids.new(self.prefix), function.id
        version.created_at.CopyFrom(now())
        version.status, version.image_size = Version.ACTIVE, len(request.content)
        for tag in dict.fromkeys([LATEST, *request.tag]):
            self._tag(version, tag)
        self.state.put(version.id, version)
        self.state.write(PACKAGE, version.id, request.content)
        return version

    def get_version(self, request: Any) -> Any:
        """Return a version."""
        version = self.state.get(Version, request.function_version_id)
        if version is None:
            raise not_found("Function version", request.function_version_id)
        return version

    def get_version_by_tag(self, request: Any) -> Any:
        """Return the version with a tag."""
        function = self.find(request.function_id)
        tag = request.tag or LATEST
        for version in self._versions(function.id):
            if tag in version.tags:
                return version
        raise not_found("Function version with tag", f"{tag} of function {function.id}")

    def list_versions(self, request: Any) -> Any:
        """Return a function's versions, newest first."""
        versions = self._versions(self.find(request.function_id).id)
        return ListFunctionsVersionsResponse(versions=reversed(versions))

    def set_tag(self, request: Any) -> Any:
        """Move a tag to a version."""
        version = self.get_version(request)
        if request.tag not in version.tags and len(version.tags) >= _TAGS:
            raise invalid(f"Function version {version.id} has {_TAGS} tags already")
        self._tag(version, request.tag)
        self.state.put(version.id, version)
        return version

    def list_runtimes(self, request: Any) -> Any:  # noqa: ARG002 - as in the others
        """Return the runtimes that versions can have."""
        return ListRuntimesResponse(runtimes=_RUNTIMES)

    def _versions(self, function_id: str) -> list[Any]:
        return [one for one in self.state.all(Version) if one.function_id == function_id]

    def _tag(self, version: Any, tag: str) -> None:
        for other in self._versions(version.function_id):
            if tag in other.tags:
                other.tags.remove(tag)
                self.state.put(other.id, other)
        if tag not in version.tags:
            version.tags.append(tag)

    def _check_version(self, request: Any) -> None:
        if request.runtime not in _RUNTIMES:
            raise invalid(f"Runtime {request.runtime} is not supported")
        if request.resources.memory % _MEMORY_STEP:
            raise invalid(
                f"Memory must be a multiple of 128 MB, but is {request.resources.memory} bytes"
            )
        if len(request.content) > _PACKAGE_BYTES:
            raise invalid(f"Package of {len(request.content)} bytes; at most {_PACKAGE_BYTES}")
        if not request.content:
            raise Refused.unimplemented("a function's package in a bucket")
        account = request.service_account_id
        if account and self.state.get(ServiceAccount, account) is None:
            raise invalid(f"Service account {account} is not available")
        self._check_uses(request)
        size = sum(len(key) + len(value) for key, value in self._environment(request))
        if size > _ENVIRONMENT_BYTES:
            raise invalid(f"Environment of {size} bytes; at most {_ENVIRONMENT_BYTES}")

    def _check_uses(self, request: Any) -> None:
        network, group = request.connectivity.network_id, request.log_options.log_group_id
        if network and self.state.get(Network, network) is None:
            raise not_found("Network", network)
        if group and self.state.get(LogGroup, group) is None:
            raise not_found("Log group", group)

    def _environment(self, request: Any) -> list[tuple[str, str]]:
        """Return the variables with their values, also those from secrets."""
        variables = [(name, request.environment[name]) for name in request.environment]
        for secret in request.secrets:
            version = self.state.get(SecretVersion, secret.version_id)
            if version is None or version.secret_id != secret.id:
                raise not_found("Secret version", f"{secret.version_id} of secret {secret.id}")
            payload = self.state.get(Payload, secret.version_id)
            entries = payload.entries if payload else []
            values = [one.text_value for one in entries if one.key == secret.key]
            if not values:
                raise not_found("Secret entry", f"{secret.key} of version {secret.version_id}")
            variables.append((secret.environment_variable, values[0]))
        return variables

    # Scaling policies.

    def list_scaling_policies(self, request: Any) -> Any:
        """Return a function's policies."""
        self.find(request.function_id)
        return self._policies(request.function_id)

    def set_scaling_policy(self, request: Any) -> Any:
        """Set the policy of a tag."""
        self.find(request.function_id)
        found = self._policies(request.function_id)
        policy = ScalingPolicy(created_at=now(), modified_at=now())
        messages.copy(request, policy)
        self._keep_policies(request, [*_without(found, request.tag), policy])
        return policy

    def remove_scaling_policy(self, request: Any) -> Any:
        """Remove the policy of a tag."""
        found = self._policies(self.find(request.function_id).id)
        rest = _without(found, request.tag)
        if len(rest) == len(found.scaling_policies):
            raise not_found("Scaling policy", f"{request.tag} of function {request.function_id}")
        self._keep_policies(request, rest)
        return Empty()

    def _policies(self, function_id: str) -> Any:
        stored = self.state.get(ListScalingPoliciesResponse, function_id)
        return stored or ListScalingPoliciesResponse()

    def _keep_policies(self, request: Any, policies: list[Any]) -> None:
        self.state.put(request.function_id, ListScalingPoliciesResponse(scaling_policies=policies))


def _without(policies: Any, tag: str) -> list[Any]:
    return [one for one in policies.scaling_policies if one.tag != tag]
