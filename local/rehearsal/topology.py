"""The applied resources, from `terraform show -json` of a state or a plan."""

import json
from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

from local import CannotStart
from local.rehearsal import Fault

INVOKER = "functions.functionInvoker"
READER, VIEWER = "lockbox.payloadViewer", "lockbox.viewer"
_EXPECTED = "pass `terraform show -json` of a state, or of a plan after the first apply"


@dataclass(frozen=True)
class Resource:
    """A managed resource; `values`: its arguments and attributes."""

    address: str
    type: str
    values: dict[str, Any]


@dataclass(frozen=True)
class Function:
    """A deployed function. `name`: that of its package."""

    name: str
    address: str
    id: str
    package: Path
    entry_point: str
    timeout_seconds: float
    account: str
    package_hash: str
    """SHA-256 of the applied package, in base64."""
    environment: dict[str, str] = field(repr=False)
    secrets: tuple[dict[str, str], ...]
    """Each with id, version_id, key and environment_variable."""


class Topology:
    """The applied resources and their relations."""

    def __init__(self, shown: dict[str, Any], packages: Path) -> None:
        """`shown`: from `terraform show -json`; `packages`: the directory of the zip files."""
        values = shown.get("values") or shown.get("planned_values") or {}
        if "root_module" not in values:
            raise CannotStart(f"the topology has no resources: {_EXPECTED}")
        self.resources = list(_resources(values["root_module"]))
        self.outputs = {
            name: output.get("value") for name, output in values.get("outputs", {}).items()
        }
        self.packages = packages

    def all(self, kind: str) -> list[Resource]:
        """Return the resources of this type."""
        return [one for one in self.resources if one.type == kind]

    def one(self, kind: str) -> Resource:
        """Return the only resource of this type. Raises Fault if there is not exactly one."""
        found = self.all(kind)
        if len(found) != 1:
            raise Fault(f"a deployment has exactly one {kind}; this one has {len(found)}")
        return found[0]

    @cached_property
    def functions(self) -> dict[str, Function]:
        """The functions by id."""
        return {one.values["id"]: self._function(one) for one in self.all("yandex_function")}

    @cached_property
    def document(self) -> dict[str, Any]:
        """The OpenAPI document that Terraform rendered for the gateway."""
        document: dict[str, Any] = json.loads(self.one("yandex_api_gateway").values["spec"])
        return document

    @cached_property
    def machine(self) -> Resource:
        """The broker's virtual machine."""
        return self.one("yandex_compute_instance")

    def metadata(self, key: str) -> str:
        """Return a value of the machine's metadata. Raises Fault if it has none."""
        text = self.machine.values["metadata"].get(key)
        if not text:
            raise Fault(f"{self.machine.address}: the metadata has no {key!r}")
        return str(text)

    def may_invoke(self, account: str, function_id: str) -> bool:
        """Return whether a service account has the role to invoke the function."""
        return any(
            f"serviceAccount:{account}" in one.values["members"]
            for one in self.all("yandex_function_iam_binding")
            if (one.values["function_id"], one.values["role"]) == (function_id, INVOKER)
        )

    def may_read(self, account: str, secret_id: str, role: str = READER) -> bool:
        """Return whether a service account has this role on a secret."""
        required = (f"serviceAccount:{account}", secret_id, role)
        return any(
            (one.values["member"], one.values["secret_id"], one.values["role"]) == required
            for one in self.all("yandex_lockbox_secret_iam_member")
        )

    def may_read_bucket(self, account: str, bucket: str) -> bool:
        """Return whether a service account may read a bucket's objects."""
        return any(
            one.values["bucket"] == bucket
            and grant["id"] == account
            and grant["type"] == "CanonicalUser"
            and {"READ", "FULL_CONTROL"} & set(grant["permissions"])
            for one in self.all("yandex_storage_bucket_grant")
            for grant in one.values["grant"]
        )

    def name_of(self, account: str) -> str:
        """Return the address of a service account's resource, for messages."""
        accounts = self.all("yandex_iam_service_account")
        return next((one.address for one in accounts if one.values["id"] == account), account)

    def _function(self, resource: Resource) -> Function:
        values = resource.values
        package = self.packages / Path(values["content"][0]["zip_filename"]).name
        return Function(
            name=package.stem,
            address=resource.address,
            id=values["id"],
            package=package,
            entry_point=values["entrypoint"],
            timeout_seconds=float(values["execution_timeout"]),
            account=values["service_account_id"] or "",
            package_hash=values["user_hash"] or "",
            environment=values["environment"] or {},
            secrets=tuple(values["secrets"]),
        )


def read(file: Path, packages: Path) -> Topology:
    """Return the topology in a file. Raises CannotStart."""
    try:
        shown = json.loads(file.read_text())
    except (OSError, ValueError) as error:
        raise CannotStart(f"cannot read a topology from {file} ({error}): {_EXPECTED}") from None
    topology = Topology(shown, packages)
    unknown = [
        one.address
        for one in topology.resources
        if one.type in ("yandex_function", "yandex_api_gateway") and not _is_known(one)
    ]
    if unknown:
        raise CannotStart(f"the values of {unknown[0]} are not known yet in {file}: {_EXPECTED}")
    return topology


def _is_known(resource: Resource) -> bool:
    needed = "spec" if resource.type == "yandex_api_gateway" else "environment"
    return {"id", needed} <= set(resource.values)


def _resources(module: dict[str, Any]) -> Iterator[Resource]:
    for one in module.get("resources", []):
        if one["mode"] == "managed":
            yield Resource(one["address"], one["type"], one["values"])
    for child in module.get("child_modules", []):
        yield from _resources(child)
