"""Object Storage: finds what a request is for, a bucket, one of its settings, or an object."""

from typing import Any

from werkzeug.wrappers import Request, Response
from yandex.cloud.storage.v1.bucket_pb2 import Bucket

from local.yandex_cloud.http import access, buckets, objects
from local.yandex_cloud.http.answers import HttpRefused, element, error, not_implemented, xml
from local.yandex_cloud.state import State

HOST = "storage.yandexcloud.net"
_LISTS = {"versions", "list-type", "prefix", "max-keys", "encoding-type", "delimiter"}


class Storage:
    """Answers S3 requests."""

    host = HOST

    def __init__(self, state: State) -> None:
        self._state = state

    def name(self, request: Request) -> str:
        """Return what a request asks for, for the count of calls."""
        _, key = _target(request)
        setting = next((f"?{one}" for one in request.args if one in buckets.SETTINGS), "")
        return f"S3 {request.method} {'object' if key else 'bucket'}{setting}"

    def answer(self, request: Request) -> Response:
        """Answer a request. Raises HttpRefused."""
        access.check(request, self._state)
        name, key = _target(request)
        if not name:
            raise not_implemented("The list of buckets by S3")
        if not key and request.method == "PUT" and not request.args:
            raise not_implemented("Creating a bucket by S3 (without folder_id)")
        bucket = self._state.get(Bucket, name)
        if bucket is None:
            raise HttpRefused(404, "NoSuchBucket", "The specified bucket does not exist.")
        if key:
            return objects.answer(self._state, name, key, request)
        return self._bucket(bucket, request)

    def refuse(self, refused: HttpRefused) -> Response:
        """Return the response for an error."""
        return xml(element("Error", error(refused)), refused.status)

    def _bucket(self, bucket: Any, request: Request) -> Response:
        asked = set(request.args)
        if setting := asked & buckets.SETTINGS:
            return buckets.answer(self._state, bucket, setting.pop(), request)
        if request.method == "POST" and asked == {"delete"}:
            return objects.delete(self._state, bucket.name, request)
        if request.method == "GET" and asked <= _LISTS:
            return objects.listed(self._state, bucket.name, request)
        if request.method == "HEAD" and not asked:
            return Response()
        if request.method == "DELETE" and not asked:
            return self._delete(bucket.name)
        query = "".join(f" ?{one}" for one in sorted(asked))
        raise not_implemented(f"{request.method} of a bucket{query}")

    def _delete(self, bucket: str) -> Response:
        if not objects.is_empty(self._state, bucket):
            message = "The bucket you tried to delete is not empty."
            raise HttpRefused(409, "BucketNotEmpty", message)
        buckets.forget(self._state, bucket)
        return Response(status=204)


def _target(request: Request) -> tuple[str, str]:
    """Return the bucket and the key: the bucket is in the host, or first in the path."""
    bucket = request.host.partition(":")[0].removesuffix(HOST).rstrip(".")
    path = request.path.lstrip("/")
    if bucket:
        return bucket, path
    bucket, _, key = path.partition("/")
    return bucket, key
