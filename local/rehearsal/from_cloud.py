"""What the fake of the Yandex Cloud API holds, in the form of `terraform show -json`.

The rehearsal then runs what the API was given: packages, the gateway's document, the machine's
metadata, role bindings. Addresses are types and names, because the API knows no others.
"""

from base64 import b64encode
from collections.abc import Iterator
from hashlib import sha256
from pathlib import Path
from typing import Any

from cryptography import x509
from yandex.cloud.compute.v1.instance_pb2 import Instance
from yandex.cloud.iam.v1.service_account_pb2 import ServiceAccount
from yandex.cloud.lockbox.v1 import payload_pb2, secret_pb2
from yandex.cloud.mdb.postgresql.v1.cluster_pb2 import Cluster, Host
from yandex.cloud.mdb.postgresql.v1.database_pb2 import Database
from yandex.cloud.mdb.postgresql.v1.user_pb2 import User
from yandex.cloud.serverless.apigateway.v1.apigateway_pb2 import ApiGateway
from yandex.cloud.serverless.functions.v1.function_pb2 import Function, Version
from yandex.cloud.serverless.triggers.v1.trigger_pb2 import Trigger
from yandex.cloud.storage.v1.bucket_pb2 import Bucket

from local.rehearsal import Fault
from local.yandex_cloud.access import bindings
from local.yandex_cloud.http import buckets
from local.yandex_cloud.service import FOLDER_ID
from local.yandex_cloud.services.functions import LATEST, PACKAGE
from local.yandex_cloud.services.gateways import DOCUMENT
from local.yandex_cloud.state import State

Values = dict[str, Any]


def show(state: State, outputs: dict[str, Any], packages: Path) -> dict[str, Any]:
    """Return all that the rehearsal needs, and write the functions' packages into a directory.

    `outputs`: `terraform output -json`. Raises Fault if something cannot run.
    """
    resources = [
        {"mode": "managed", "type": kind, "address": f"{kind} {name}", "values": values}
        for kind, name, values in _resources(state, outputs, packages)
    ]
    return {"values": {"root_module": {"resources": resources}, "outputs": outputs}}


def _resources(
    state: State, outputs: dict[str, Any], packages: Path
) -> Iterator[tuple[str, str, Values]]:
    names = {id_: name for name, id_ in outputs["function_ids"]["value"].items()}
    for function in state.all(Function):
        package = packages / f"{names.get(function.id, function.name)}.zip"
        yield "yandex_function", function.name, _function(state, function, package)
        for role, members in _members(state, function.id).items():
            values = {"function_id": function.id, "role": role, "members": members}
            yield "yandex_function_iam_binding", f"{function.name} {role}", values
    for gateway in state.all(ApiGateway):
        document = (state.read(DOCUMENT, gateway.id) or b"").decode()
        seconds = str(gateway.execution_timeout.seconds)
        values = {"id": gateway.id, "spec": document, "execution_timeout": seconds}
        yield "yandex_api_gateway", gateway.name, values
    for trigger in state.all(Trigger):
        yield "yandex_function_trigger", trigger.name, _trigger(trigger)
    for account in state.all(ServiceAccount):
        yield "yandex_iam_service_account", account.name, {"id": account.id, "name": account.name}
    for role, members in _members(state, FOLDER_ID).items():
        for member in members:
            values = {"role": role, "member": member}
            yield "yandex_resourcemanager_folder_iam_member", f"{role} {member}", values
    yield from _secrets(state)
    yield from _database(state)
    yield from _machines(state)
    yield from _buckets(state)


def _function(state: State, function: Any, package: Path) -> Values:
    versions = [one for one in state.all(Version) if one.function_id == function.id]
    version = next((one for one in versions if LATEST in one.tags), None)
    if version is None:
        raise Fault(f"yandex_function {function.name} has no version")
    content = state.read(PACKAGE, version.id) or b""
    package.write_bytes(content)
    names = ("id", "version_id", "key", "environment_variable")
    return {
        "id": function.id,
        "name": function.name,
        "content": [{"zip_filename": package.name}],
        "user_hash": b64encode(sha256(content).digest()).decode(),
        "entrypoint": version.entrypoint,
        "execution_timeout": str(version.execution_timeout.seconds),
        "service_account_id": version.service_account_id,
        "environment": dict(version.environment),
        "secrets": [{name: getattr(one, name) for name in names} for one in version.secrets],
    }


def _trigger(trigger: Any) -> Values:
    kind = trigger.rule.WhichOneof("rule")
    rule = getattr(trigger.rule, kind)
    invoked = getattr(rule, rule.WhichOneof("action"))
    function = {"id": invoked.function_id, "service_account_id": invoked.service_account_id}
    timer = [{"cron_expression": rule.cron_expression}] if kind == "timer" else []
    return {"id": trigger.id, "function": [function], "timer": timer}


def _secrets(state: State) -> Iterator[tuple[str, str, Values]]:
    names = {}
    for secret in state.all(secret_pb2.Secret):
        generated = secret.password_payload_specification.password_key
        names[secret.id] = secret.name, generated
        specification = [{"password_key": generated}] if generated else []
        values = {"id": secret.id, "password_payload_specification": specification}
        yield "yandex_lockbox_secret", secret.name, values
        for role, members in _members(state, secret.id).items():
            for member in members:
                values = {"secret_id": secret.id, "role": role, "member": member}
                yield "yandex_lockbox_secret_iam_member", f"{secret.name} {role} {member}", values
    for version in state.all(secret_pb2.Version):
        payload = state.get(payload_pb2.Payload, version.id)
        if payload and version.status == secret_pb2.Version.ACTIVE:
            name, generated = names[version.secret_id]
            entries = [_entry(one) for one in payload.entries if one.key != generated]
            values = {"id": version.id, "secret_id": version.secret_id, "entries": entries}
            yield "yandex_lockbox_secret_version", f"{name} {version.id}", values


def _entry(entry: Any) -> Values:
    """Return an entry; that of a certificate with the command that made it for its host."""
    certificate = entry.text_value.partition("-----BEGIN CERTIFICATE-----")
    if not certificate[1]:
        return {"key": entry.key}
    host = _host("".join(certificate[1:]).encode())
    return {"key": entry.key, "command": [{"args": ["server", host]}]}


def _host(pem: bytes) -> str:
    certificate = x509.load_pem_x509_certificate(pem)
    names = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    return str(next(iter(names)).value)


def _database(state: State) -> Iterator[tuple[str, str, Values]]:
    for cluster in state.all(Cluster):
        hosts = {
            host.name: {"fqdn": host.name}
            for host in state.all(Host)
            if host.cluster_id == cluster.id
        }
        values = {"id": cluster.id, "hosts": hosts}
        yield "yandex_mdb_postgresql_cluster_v2", cluster.name, values
    for database in state.all(Database):
        values = {"name": database.name, "owner": database.owner}
        yield "yandex_mdb_postgresql_database", database.name, values
    for user in state.all(User):
        permission = [{"database_name": one.database_name} for one in user.permissions]
        yield "yandex_mdb_postgresql_user", user.name, {"name": user.name, "permission": permission}


def _machines(state: State) -> Iterator[tuple[str, str, Values]]:
    for machine in state.all(Instance):
        yield (
            "yandex_compute_instance",
            machine.name,
            {
                "id": machine.id,
                "service_account_id": machine.service_account_id,
                "metadata": dict(machine.metadata),
            },
        )


def _buckets(state: State) -> Iterator[tuple[str, str, Values]]:
    for bucket in state.all(Bucket):
        yield "yandex_storage_bucket", bucket.name, {"bucket": bucket.name}
        grants = [
            {"id": one["id"], "type": one["type"], "permissions": [one["permission"]]}
            for one in buckets.grants(state, bucket.name)
        ]
        values = {"bucket": bucket.name, "grant": grants}
        yield "yandex_storage_bucket_grant", bucket.name, values


def _members(state: State, resource_id: str) -> dict[str, list[str]]:
    """Return who has which role on a resource, as serviceAccount:<id>, by role."""
    found: dict[str, list[str]] = {}
    for one in bindings(state, resource_id).access_bindings:
        found.setdefault(one.role_id, []).append(f"{one.subject.type}:{one.subject.id}")
    return found
