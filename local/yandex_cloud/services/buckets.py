"""Object Storage's buckets; S3 has their settings and objects (local/yandex_cloud/http)."""

import re
from typing import Any

from grpc import StatusCode
from yandex.cloud.storage.v1.bucket_pb2 import Bucket

from local.yandex_cloud import ids
from local.yandex_cloud.access import AccessBindings
from local.yandex_cloud.http import buckets, objects
from local.yandex_cloud.refusals import Refused, in_use, invalid, not_found, quota_exceeded
from local.yandex_cloud.service import Collection

_NAME = re.compile(r"[a-z0-9](?!.*(?:\.\.|\.-|-\.))[a-z0-9.-]{1,61}[a-z0-9]")
_ADDRESS = re.compile(r"\d+\.\d+\.\d+\.\d+")
_CLASSES = ("STANDARD", "COLD", "ICE")
_QUOTA = 25


class Buckets(AccessBindings, Collection):
    """Buckets by their name, which is unique in the whole cloud."""

    proto, name, prefix = "yandex.cloud.storage.v1.bucket_service", "BucketService", "e3e"
    resource, noun = Bucket, "Bucket"

    def create(self, request: Any) -> Any:
        """Make a bucket."""
        if not _NAME.fullmatch(request.name) or _ADDRESS.fullmatch(request.name):
            raise invalid(f"Request validation error: Name: invalid bucket name {request.name}")
        if self.state.get(Bucket, request.name):
            raise Refused(StatusCode.ALREADY_EXISTS, "The requested bucket name is not available")
        if len(self.all()) >= _QUOTA:
            raise quota_exceeded("storage.buckets.count")
        return super().create(request)

    def check(self, resource: Any) -> None:
        """Refuse storage classes that do not exist."""
        resource.default_storage_class = resource.default_storage_class or "STANDARD"
        if resource.default_storage_class not in _CLASSES:
            raise invalid(f"Invalid storage class {resource.default_storage_class}")

    def stamp(self, resource: Any) -> None:
        """Use the name as the id, as the platform does."""
        super().stamp(resource)
        resource.resource_id = ids.new(self.prefix)
        resource.id = resource.name

    def save(self, resource: Any) -> Any:
        """Store the bucket under its name."""
        self.state.put(resource.name, resource)
        return resource

    def check_unused(self, resource: Any) -> None:
        """Refuse to delete a bucket with objects."""
        if not objects.is_empty(self.state, resource.name):
            raise in_use("The bucket you tried to delete is not empty")

    def remove(self, resource: Any) -> None:
        """Forget the bucket with its settings."""
        buckets.forget(self.state, resource.name)

    def get_httpsconfig(self, request: Any) -> Any:
        """Answer that the bucket has no certificate."""
        self.find(request.name)
        raise not_found("HTTPS configuration of bucket", request.name)
