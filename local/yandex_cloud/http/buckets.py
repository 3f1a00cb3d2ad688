"""Object Storage's settings of buckets: each is a document, which is answered as it was written."""

from collections.abc import Mapping
from typing import Any
from xml.etree import ElementTree as ET

from werkzeug.wrappers import Request, Response
from yandex.cloud.storage.v1.bucket_pb2 import Bucket

from local.yandex_cloud.http.answers import (
    XML,
    HttpRefused,
    element,
    not_implemented,
    parse,
    xml,
)
from local.yandex_cloud.state import State

KIND = "s3."
"""A setting is stored under this and its name, by the name of the bucket."""
_MISSING = {
    "policy": ("NoSuchBucketPolicy", "The bucket policy does not exist"),
    "cors": ("NoSuchCORSConfiguration", "The CORS configuration does not exist"),
    "website": (
        "NoSuchWebsiteConfiguration",
        "The specified bucket does not have a website configuration",
    ),
    "lifecycle": (
        "NoSuchLifecycleConfiguration",
        "The lifecycle configuration does not exist",
    ),
    "encryption": (
        "ServerSideEncryptionConfigurationNotFoundError",
        "The server side encryption configuration was not found",
    ),
    "object-lock": (
        "ObjectLockConfigurationNotFoundError",
        "Object Lock configuration does not exist for this bucket",
    ),
}
"""The errors of settings that have not been written."""
_EMPTY = {
    "versioning": b"<VersioningConfiguration/>",
    "logging": b"<BucketLoggingStatus/>",
    "tagging": b"<Tagging><TagSet/></Tagging>",
}
"""What other settings are until they are written."""
SETTINGS = {"acl", *_MISSING, *_EMPTY}
_PERMISSIONS = {"READ", "WRITE", "READ_ACP", "WRITE_ACP", "FULL_CONTROL"}
_ALL = "http://acs.amazonaws.com/groups/global/AllUsers"
_AUTHENTICATED = "http://acs.amazonaws.com/groups/global/AuthenticatedUsers"
_CANNED: Mapping[str, list[tuple[str, str]]] = {
    "private": [],
    "bucket-owner-full-control": [],
    "public-read": [(_ALL, "READ")],
    "public-read-write": [(_ALL, "READ"), (_ALL, "WRITE")],
    "authenticated-read": [(_AUTHENTICATED, "READ")],
}
_XSI = "http://www.w3.org/2001/XMLSchema-instance"


def answer(state: State, bucket: Any, name: str, request: Request) -> Response:
    """Answer a request for a setting of a bucket. Raises HttpRefused."""
    if request.method == "GET":
        return Response(_read(state, bucket, name), content_type=XML)
    if request.method == "PUT":
        _write(state, bucket, name, request)
        return Response(status=200)
    if request.method == "DELETE" and name != "acl":
        state.erase(KIND + name, bucket.name)
        return Response(status=204)
    raise not_implemented(f"{request.method} ?{name}")


def forget(state: State, bucket: str) -> None:
    """Forget a bucket and its settings."""
    state.remove(Bucket, bucket)
    for name in SETTINGS:
        state.erase(KIND + name, bucket)


def grants(state: State, bucket: str) -> list[dict[str, str]]:
    """Return a bucket's grants; each has `id` or `uri`, `type` and `permission`."""
    document = state.read(f"{KIND}acl", bucket)
    if document is None:
        return []
    return [
        {
            "id": one.findtext("Grantee/ID", ""),
            "uri": one.findtext("Grantee/URI", ""),
            "type": grantee.get(f"{{{_XSI}}}type", ""),
            "permission": one.findtext("Permission", ""),
        }
        for one in parse(document).iter("Grant")
        if (grantee := one.find("Grantee")) is not None
    ]


def _read(state: State, bucket: Any, name: str) -> bytes:
    stored = state.read(KIND + name, bucket.name)
    if stored is not None:
        return stored
    if name == "acl":
        return _acl(bucket, [_grant("CanonicalUser", "ID", bucket.folder_id, "FULL_CONTROL")])
    if name in _MISSING:
        raise HttpRefused(404, *_MISSING[name])
    return _EMPTY[name]


def _write(state: State, bucket: Any, name: str, request: Request) -> None:
    body = request.get_data()
    if name == "acl":
        canned = request.headers.get("x-amz-acl")
        body = _canned(bucket, canned) if canned else _checked(body)
        if not body:
            state.erase(f"{KIND}acl", bucket.name)
            return
    elif name != "policy":
        parse(body)
    state.write(KIND + name, bucket.name, body)


def _checked(document: bytes) -> bytes:
    """Return the document of an ACL, if its grants are valid. Raises HttpRefused."""
    for one in parse(document).iter("Grant"):
        permission = one.findtext("Permission", "")
        if permission not in _PERMISSIONS or one.find("Grantee") is None:
            message = f"The ACL has a grant that is not valid: permission {permission!r}"
            raise HttpRefused(400, "MalformedACLError", message)
    return document


def _canned(bucket: Any, name: str) -> bytes:
    """Return the document of a predefined ACL; empty if it grants nothing. Raises HttpRefused."""
    if name not in _CANNED:
        raise HttpRefused(400, "InvalidArgument", f"x-amz-acl: there is no ACL {name}")
    granted = [_grant("Group", "URI", uri, permission) for uri, permission in _CANNED[name]]
    return _acl(bucket, granted) if granted else b""


def _grant(kind: str, name: str, value: str, permission: str) -> ET.Element:
    grantee = element("Grantee", [element(name, value)])
    grantee.set("xmlns:xsi", _XSI)  # here, because the provider's library looks nowhere else
    grantee.set("xsi:type", kind)
    return element("Grant", [grantee, element("Permission", permission)])


def _acl(bucket: Any, granted: list[ET.Element]) -> bytes:
    owner = element("Owner", [element("ID", bucket.folder_id)])
    root = element("AccessControlPolicy", [owner, element("AccessControlList", granted)])
    return bytes(xml(root).get_data())
