"""Service accounts, and their static keys for Object Storage and Message Queue."""

import secrets
from typing import Any

from google.protobuf.empty_pb2 import Empty
from yandex.cloud.iam.v1.awscompatibility.access_key_pb2 import AccessKey
from yandex.cloud.iam.v1.awscompatibility.access_key_service_pb2 import (
    CreateAccessKeyResponse,
    ListAccessKeysResponse,
)
from yandex.cloud.iam.v1.service_account_pb2 import ServiceAccount

from local.yandex_cloud import ids
from local.yandex_cloud.access import AccessBindings
from local.yandex_cloud.refusals import not_found
from local.yandex_cloud.service import Collection, Service, now

SECRET_OF_KEY = "access-key-secret"  # noqa: S105 - a kind
"""The kind in the state of a static key's secret part, under its key_id."""


class ServiceAccounts(AccessBindings, Collection):
    """Service accounts."""

    proto, name = "yandex.cloud.iam.v1.service_account_service", "ServiceAccountService"
    resource, noun, prefix = ServiceAccount, "Service account", "aje"

    def fill(self, resource: Any, request: Any) -> None:  # noqa: ARG002 - as in the others
        """Make it usable."""
        resource.status = ServiceAccount.ACTIVE

    def remove(self, resource: Any) -> None:
        """Forget the account and its keys."""
        for key in self.state.all(AccessKey):
            if key.service_account_id == resource.id:
                forget(self, key)
        super().remove(resource)


class AccessKeys(Service):
    """Static keys. Creating one is no operation."""

    proto, name = "yandex.cloud.iam.v1.awscompatibility.access_key_service", "AccessKeyService"
    prefix = "aje"

    def create(self, request: Any) -> Any:
        """Make a key, and tell its secret this once."""
        if self.state.get(ServiceAccount, request.service_account_id) is None:
            raise not_found("Service account", request.service_account_id)
        key = AccessKey(
            id=ids.new(self.prefix),
            service_account_id=request.service_account_id,
            description=request.description,
            created_at=now(),
            key_id="YCAJE" + secrets.token_hex(10).upper(),
        )
        secret = "YC" + secrets.token_hex(19)
        self.state.put(key.id, key)
        self.state.write(SECRET_OF_KEY, key.key_id, secret.encode())
        return CreateAccessKeyResponse(access_key=key, secret=secret)

    def get(self, request: Any) -> Any:
        """Return a key without its secret."""
        return self._find(request.access_key_id)

    def list(self, request: Any) -> Any:
        """Return an account's keys."""
        keys = self.state.all(AccessKey)
        return ListAccessKeysResponse(
            access_keys=[
                one for one in keys if one.service_account_id == request.service_account_id
            ]
        )

    def delete(self, request: Any) -> Any:
        """Delete a key."""
        forget(self, self._find(request.access_key_id))
        return Empty()

    def _find(self, key_id: str) -> Any:
        key = self.state.get(AccessKey, key_id)
        if key is None:
            raise not_found("Access key", key_id)
        return key


def forget(service: Service, key: Any) -> None:
    """Remove a static key and its secret."""
    service.state.remove(AccessKey, key.id)
    service.state.erase(SECRET_OF_KEY, key.key_id)
