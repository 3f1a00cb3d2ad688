"""Lockbox: secrets, their versions, and the payloads of these."""

import secrets
import string
from datetime import timedelta
from typing import Any

from google.protobuf.timestamp_pb2 import Timestamp
from yandex.cloud.lockbox.v1.payload_pb2 import Payload
from yandex.cloud.lockbox.v1.secret_pb2 import Secret, Version
from yandex.cloud.lockbox.v1.secret_service_pb2 import ListVersionsResponse

from local.yandex_cloud import ids
from local.yandex_cloud.access import AccessBindings
from local.yandex_cloud.refusals import in_use, invalid, not_found
from local.yandex_cloud.service import Collection, Service, now

_BYTES = 65_536
_WEEK = timedelta(days=7)
_LENGTH = 36


class Secrets(AccessBindings, Collection):
    """Secrets and their versions."""

    proto, name = "yandex.cloud.lockbox.v1.secret_service", "SecretService"
    resource, noun, prefix = Secret, "Secret", "e6q"

    def fill(self, resource: Any, request: Any) -> None:
        """Make the first version, if the request has one."""
        resource.status = Secret.ACTIVE
        if request.version_payload_entries or request.create_version.value:
            entries = request.version_payload_entries
            self._add(resource, entries, request.version_description, base=None)

    def check_unused(self, resource: Any) -> None:
        """Keep a protected secret."""
        if resource.deletion_protection:
            raise in_use(f"Secret {resource.id} has deletion protection enabled")

    def delete(self, request: Any) -> Any:
        """Delete a secret; the answer is the secret."""
        secret = self.find(request.secret_id)
        super().delete(request)
        return secret

    def remove(self, resource: Any) -> None:
        """Forget the secret, its versions and payloads."""
        for version in self._versions(resource.id):
            self.state.remove(Version, version.id)
            self.state.remove(Payload, version.id)
        super().remove(resource)

    def add_version(self, request: Any) -> Any:
        """Add a version and make it the current one."""
        secret = self.find(request.secret_id)
        base = request.base_version_id or secret.current_version.id
        version = self._add(secret, request.payload_entries, request.description, base=base)
        self.save(secret)
        return version

    def list_versions(self, request: Any) -> Any:
        """Return the secret's versions, newest first."""
        self.find(request.secret_id)
        return ListVersionsResponse(versions=reversed(self._versions(request.secret_id)))

    def schedule_version_destruction(self, request: Any) -> Any:
        """Make a version's payload unreadable, and delete it later."""
        version = self._version(request)
        version.status = Version.SCHEDULED_FOR_DESTRUCTION
        pending = request.pending_period.ToTimedelta() or _WEEK
        version.destroy_at.FromDatetime(now().ToDatetime() + pending)
        return self._store(request, version)

    def cancel_version_destruction(self, request: Any) -> Any:
        """Make the version's payload readable again."""
        version = self._version(request)
        version.status = Version.ACTIVE
        version.destroy_at.CopyFrom(Timestamp())
        version.ClearField("destroy_at")
        return self._store(request, version)

    def _add(self, secret: Any, changes: Any, description: str, base: str | None) -> Any:
        old = self.state.get(Payload, base) if base else None
        version = Version(
            id=ids.new(self.prefix), secret_id=secret.id, description=description,
            created_at=now(), status=Version.ACTIVE,
        )  # fmt: skip
        if secret.HasField("password_payload_specification"):
            specification = secret.password_payload_specification
            version.password_payload_specification.CopyFrom(specification)
            entries = [
                Payload.Entry(key=specification.password_key, text_value=_password(specification))
            ]
        else:
            entries = _changed(list(old.entries) if old else [], changes)
        version.payload_entry_keys.extend(entry.key for entry in entries)
        self.state.put(version.id, version)
        self.state.put(version.id, Payload(version_id=version.id, entries=entries))
        secret.current_version.CopyFrom(version)
        return version

    def _version(self, request: Any) -> Any:
        version = self.state.get(Version, request.version_id)
        if version is None or version.secret_id != self.find(request.secret_id).id:
            raise not_found("Version", request.version_id)
        return version

    def _store(self, request: Any, version: Any) -> Any:
        secret = self.find(request.secret_id)
        if secret.current_version.id == version.id:
            secret.current_version.CopyFrom(version)
            self.save(secret)
        self.state.put(version.id, version)
        return version

    def _versions(self, secret_id: str) -> list[Any]:
        return [one for one in self.state.all(Version) if one.secret_id == secret_id]


class Payloads(Service):
    """What secrets hold."""

    proto, name = "yandex.cloud.lockbox.v1.payload_service", "PayloadService"
    prefix = "e6q"

    def get(self, request: Any) -> Any:
        """Return the payload of a version; without an id, of the current one."""
        secret = self.state.get(Secret, request.secret_id)
        if secret is None:
            raise not_found("Secret", request.secret_id)
        version_id = request.version_id or secret.current_version.id
        if not version_id:
            raise in_use(f"Secret {secret.id} has no current version")
        version = self.state.get(Version, version_id)
        if version is None or version.secret_id != secret.id:
            raise not_found("Version", version_id)
        if version.status != Version.ACTIVE:
            raise in_use(f"Version {version_id} is scheduled for destruction")
        return self.state.get(Payload, version_id)


def _changed(entries: list[Any], changes: Any) -> list[Any]:
    """Return the entries with the changes; a change to an empty text removes one."""
    values = {entry.key: entry for entry in entries}
    keys = [change.key for change in changes]
    if len(set(keys)) != len(keys):
        raise invalid(f"Request validation error: PayloadEntries: keys are not unique: {keys}")
    for change in changes:
        kind = change.WhichOneof("value")
        value = getattr(change, kind) if kind else ""
        values.pop(change.key, None)
        if value:
            values[change.key] = Payload.Entry(**{"key": change.key, kind: value})
    if not values:
        raise invalid("Request validation error: PayloadEntries: a version has at least one entry")
    size = sum(one.ByteSize() for one in values.values())
    if size > _BYTES:
        raise invalid(f"Request validation error: PayloadEntries: {size} bytes; at most {_BYTES}")
    return list(values.values())


def _password(specification: Any) -> str:
    """Return a password of the kind that the platform generates."""
    alphabet = ""
    for name, letters in (
        ("include_uppercase", string.ascii_uppercase),
        ("include_lowercase", string.ascii_lowercase),
        ("include_digits", string.digits),
        ("include_punctuation", specification.included_punctuation or string.punctuation),
    ):
        if not specification.HasField(name) or getattr(specification, name).value:
            alphabet += letters
    length = specification.length or _LENGTH
    return "".join(secrets.choice(alphabet) for _ in range(length))
