"""Object Storage's objects. Earlier versions of an object are not kept."""

import json
from collections.abc import Iterator
from hashlib import md5
from xml.etree import ElementTree as ET

from werkzeug.http import http_date
from werkzeug.wrappers import Request, Response

from local.yandex_cloud.http.answers import HttpRefused, element, not_implemented, parse, xml
from local.yandex_cloud.state import State

_CONTENT, _HEADERS, _TAGS = "s3.object", "s3.object.headers", "s3.object.tagging"
_KEPT = ("Content-Type", "Cache-Control", "Content-Encoding", "Content-Disposition")
_NO_TAGS = b"<Tagging><TagSet/></Tagging>"


def answer(state: State, bucket: str, key: str, request: Request) -> Response:
    """Answer a request for an object. Raises HttpRefused."""
    where = f"{bucket}/{key}"
    if "tagging" in request.args:
        return _tagging(state, where, request)
    if others := [name for name in request.args if name not in ("versionId", "x-id")]:
        raise not_implemented(f"{request.method} ?{others[0]} of an object")
    if request.method == "PUT":
        return _put(state, where, request)
    if request.method == "DELETE":
        for kind in (_CONTENT, _HEADERS, _TAGS):
            state.erase(kind, where)
        return Response(status=204)
    if request.method in ("GET", "HEAD"):
        return _get(state, where)
    raise not_implemented(f"{request.method} of an object")


def listed(state: State, bucket: str, request: Request) -> Response:
    """Answer a request for the list of a bucket's objects, or of their versions."""
    found = list(_keys(state, bucket, request.args.get("prefix", "")))
    is_of_versions = "versions" in request.args
    entries = [_entry(state, bucket, key, is_of_versions=is_of_versions) for key in found]
    root = "ListVersionsResult" if is_of_versions else "ListBucketResult"
    about = {"Name": bucket, "KeyCount": str(len(found)), "IsTruncated": "false"}
    return xml(element(root, [*(element(*one) for one in about.items()), *entries]))


def delete(state: State, bucket: str, request: Request) -> Response:
    """Answer a request to delete several objects."""
    keys = [one.findtext("Key", "") for one in parse(request.get_data()).iter("Object")]
    for key in keys:
        for kind in (_CONTENT, _HEADERS, _TAGS):
            state.erase(kind, f"{bucket}/{key}")
    return xml(element("DeleteResult", [_deleted(key) for key in keys]))


def is_empty(state: State, bucket: str) -> bool:
    """Return whether a bucket has no objects."""
    return not any(_keys(state, bucket, ""))


def read(state: State, bucket: str, key: str) -> tuple[bytes, dict[str, str]] | None:
    """Return an object's content and headers; None if there is none."""
    content = state.read(_CONTENT, f"{bucket}/{key}")
    if content is None:
        return None
    headers: dict[str, str] = json.loads(state.read(_HEADERS, f"{bucket}/{key}") or "{}")
    return content, headers


def _put(state: State, where: str, request: Request) -> Response:
    if "x-amz-copy-source" in request.headers:
        raise not_implemented("CopyObject")
    content = request.get_data()
    kept = {name: request.headers[name] for name in _KEPT if name in request.headers}
    headers = {"Content-Type": "application/octet-stream", **kept, "ETag": _tag(content)}
    headers["Last-Modified"] = http_date()
    state.write(_CONTENT, where, content)
    state.write(_HEADERS, where, json.dumps(headers).encode())
    return Response(headers={"ETag": _tag(content)})


def _get(state: State, where: str) -> Response:
    found = read(state, *where.split("/", 1))
    if found is None:
        raise _no_such_key()
    content, headers = found
    return Response(content, headers=headers)


def _tagging(state: State, where: str, request: Request) -> Response:
    if state.read(_CONTENT, where) is None:
        raise _no_such_key()
    if request.method == "GET":
        return Response(state.read(_TAGS, where) or _NO_TAGS, content_type="application/xml")
    if request.method == "PUT":
        parse(request.get_data())
        state.write(_TAGS, where, request.get_data())
        return Response()
    state.erase(_TAGS, where)
    return Response(status=204)


def _keys(state: State, bucket: str, prefix: str) -> Iterator[str]:
    for where, _ in state.items(_HEADERS):
        if where.startswith(f"{bucket}/{prefix}"):
            yield where.removeprefix(f"{bucket}/")


def _entry(state: State, bucket: str, key: str, *, is_of_versions: bool) -> ET.Element:
    content = state.read(_CONTENT, f"{bucket}/{key}") or b""
    about = {"Key": key, "Size": str(len(content)), "ETag": _tag(content)}
    if is_of_versions:
        about |= {"VersionId": "null", "IsLatest": "true"}
    name = "Version" if is_of_versions else "Contents"
    return element(name, [element(*one) for one in about.items()])


def _deleted(key: str) -> ET.Element:
    return element("Deleted", [element("Key", key)])


def _tag(content: bytes) -> str:
    return f'"{md5(content, usedforsecurity=False).hexdigest()}"'


def _no_such_key() -> HttpRefused:
    return HttpRefused(404, "NoSuchKey", "The specified key does not exist.")
