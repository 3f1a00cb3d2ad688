"""Object Storage, and the gateway's routes to its objects."""

import re
from collections.abc import Iterator
from dataclasses import dataclass

from werkzeug.wrappers import Response

from local.rehearsal.topology import Topology


@dataclass(frozen=True)
class StoredObject:
    """An object's content and headers."""

    content: bytes
    content_type: str
    cache_control: str


Objects = dict[tuple[str, str], StoredObject]
"""By bucket and key."""


class BucketPages:
    """Serves the gateway's routes with the integration `object_storage`."""

    def __init__(self, topology: Topology, objects: Objects) -> None:
        self._routes = dict(_routes(topology))
        self._objects = objects

    def answer(self, path: str) -> Response | None:
        """Return the response to a GET of `path`; None if no route leads to a bucket."""
        for pattern, (bucket, key) in self._routes.items():
            if found := re.fullmatch(pattern, path):
                return self._object(bucket, key.format(**found.groupdict()))
        return None

    def _object(self, bucket: str, key: str) -> Response:
        stored = self._objects.get((bucket, key))
        if stored is None:
            return Response(f"there is no object {key}", 404, mimetype="text/plain")
        headers = {"Cache-Control": stored.cache_control}
        return Response(stored.content, headers=headers, content_type=stored.content_type)


def _routes(topology: Topology) -> Iterator[tuple[str, tuple[str, str]]]:
    """Return the bucket and the key's template of each route, by a pattern of its path."""
    for resource, item in topology.document["paths"].items():
        integration = item.get("get", {}).get("x-yc-apigateway-integration", {})
        if integration.get("type") == "object_storage":
            greedy = re.sub(r"\{(\w+)\+\}", r"(?P<\1>.+)", resource)
            pattern = re.sub(r"\{(\w+)\}", r"(?P<\1>[^/]+)", greedy)
            yield pattern, (integration["bucket"], integration["object"])
