"""Message Queue: the calls of SQS that manage queues. No messages are kept."""

import json
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any
from xml.etree import ElementTree as ET

from werkzeug.wrappers import Request, Response

from local.yandex_cloud import ids
from local.yandex_cloud.http import access
from local.yandex_cloud.http.answers import HttpRefused, element, error, not_implemented, xml
from local.yandex_cloud.service import CLOUD_ID
from local.yandex_cloud.state import State

HOST = "message-queue.api.cloud.yandex.net"
KIND = "ymq.queue"
"""Queues are stored under this, by folder and name."""
_REGION = "ru-central1"
_NAME = re.compile(r"[0-9A-Za-z_-]{1,80}(?<!\.fifo)|[0-9A-Za-z_-]{1,75}\.fifo")
_RANGES = {
    "DelaySeconds": (0, 900),
    "MaximumMessageSize": (1024, 262144),
    "MessageRetentionPeriod": (60, 1209600),
    "ReceiveMessageWaitTimeSeconds": (0, 20),
    "VisibilityTimeout": (0, 43200),
}
_DEFAULTS = {
    "DelaySeconds": "0",
    "MaximumMessageSize": "262144",
    "MessageRetentionPeriod": "345600",
    "ReceiveMessageWaitTimeSeconds": "0",
    "VisibilityTimeout": "30",
}
_OTHERS = {"RedrivePolicy", "FifoQueue", "ContentBasedDeduplication"}
_MANAGERS = {"ymq.admin", "editor", "admin"}


@dataclass(frozen=True)
class Queue:
    """A queue, as it is stored."""

    name: str
    url: str
    arn: str
    attributes: dict[str, str]
    tags: dict[str, str]


Fields = dict[str, str]


class Queues:
    """Answers SQS requests of the query protocol."""

    host = HOST

    def __init__(self, state: State) -> None:
        self._state = state
        self._calls: dict[str, Callable[[Fields, str], list[ET.Element]]] = {
            "CreateQueue": self._create,
            "GetQueueUrl": self._get_url,
            "GetQueueAttributes": self._get_attributes,
            "SetQueueAttributes": self._set_attributes,
            "ListQueueTags": self._list_tags,
            "TagQueue": self._tag,
            "UntagQueue": self._untag,
            "DeleteQueue": self._delete,
        }

    def name(self, request: Request) -> str:
        """Return what a request asks for, for the count of calls."""
        return f"SQS {request.form.get('Action', '')}"

    def answer(self, request: Request) -> Response:
        """Answer a request. Raises HttpRefused."""
        account = access.check(request, self._state)
        if account is None:
            message = "Message Queue takes a static key of a service account, and no IAM token"
            raise HttpRefused(403, "AccessDeniedException", message)
        if not access.has_role(account, _MANAGERS, self._state):
            message = f"The service account {account.name} needs the role ymq.admin"
            raise HttpRefused(403, "AccessDeniedException", message)
        fields = request.form.to_dict()
        action = fields.get("Action", "")
        if action not in self._calls:
            raise not_implemented(f"SQS {action}")
        result = self._calls[action](fields, str(account.folder_id))
        return xml(element(f"{action}Response", [element(f"{action}Result", result)]))

    def refuse(self, refused: HttpRefused) -> Response:
        """Return the response for an error."""
        described = element("Error", [element("Type", "Sender"), *error(refused)])
        return xml(element("ErrorResponse", [described]), refused.status)

    def _create(self, fields: Fields, folder_id: str) -> list[ET.Element]:
        name = fields.get("QueueName", "")
        if not _NAME.fullmatch(name):
            raise HttpRefused(400, "InvalidParameterValue", f"QueueName: {name!r} is not a name")
        asked = _DEFAULTS | _checked(_pairs(fields, "Attribute", "Name"))
        found = self._stored(folder_id, name)
        if found is not None and found.attributes != asked:
            message = "A queue already exists with the same name and a different value"
            raise HttpRefused(400, "QueueAlreadyExists", message)
        if found is None:
            path = f"{CLOUD_ID}/{ids.new('dj6')}/{name}"
            arn = f"yrn:yc:ymq:{_REGION}:{folder_id}:{name}"
            tags = _pairs(fields, "Tag", "Key")
            found = Queue(name, f"https://{HOST}/{path}", arn, asked, tags)
            self._store(folder_id, found)
        return [element("QueueUrl", found.url)]

    def _get_url(self, fields: Fields, folder_id: str) -> list[ET.Element]:
        found = self._stored(folder_id, fields.get("QueueName", ""))
        if found is None:
            raise _no_such_queue()
        return [element("QueueUrl", found.url)]

    def _get_attributes(self, fields: Fields, folder_id: str) -> list[ET.Element]:
        queue = self._queue(fields, folder_id)
        attributes = {**queue.attributes, "QueueArn": queue.arn}
        return [
            element("Attribute", [element("Name", name), element("Value", value)])
            for name, value in attributes.items()
        ]

    def _set_attributes(self, fields: Fields, folder_id: str) -> list[ET.Element]:
        queue = self._queue(fields, folder_id)
        queue.attributes.update(_checked(_pairs(fields, "Attribute", "Name")))
        self._store(folder_id, queue)
        return []

    def _list_tags(self, fields: Fields, folder_id: str) -> list[ET.Element]:
        tags = self._queue(fields, folder_id).tags
        return [
            element("Tag", [element("Key", key), element("Value", value)])
            for key, value in tags.items()
        ]

    def _tag(self, fields: Fields, folder_id: str) -> list[ET.Element]:
        queue = self._queue(fields, folder_id)
        queue.tags.update(_pairs(fields, "Tag", "Key"))
        self._store(folder_id, queue)
        return []

    def _untag(self, fields: Fields, folder_id: str) -> list[ET.Element]:
        queue = self._queue(fields, folder_id)
        for _, key in _numbered(fields, "TagKey"):
            queue.tags.pop(key, None)
        self._store(folder_id, queue)
        return []

    def _delete(self, fields: Fields, folder_id: str) -> list[ET.Element]:
        queue = self._queue(fields, folder_id)
        self._state.erase(KIND, f"{folder_id}/{queue.name}")
        return []

    def _queue(self, fields: Fields, folder_id: str) -> Queue:
        """Return the queue with the request's URL. Raises HttpRefused."""
        url = fields.get("QueueUrl", "")
        found = self._stored(folder_id, url.rpartition("/")[2])
        if found is None or found.url != url:
            raise _no_such_queue()
        return found

    def _stored(self, folder_id: str, name: str) -> Queue | None:
        body = self._state.read(KIND, f"{folder_id}/{name}")
        return None if body is None else Queue(**json.loads(body))

    def _store(self, folder_id: str, queue: Queue) -> None:
        self._state.write(KIND, f"{folder_id}/{queue.name}", json.dumps(vars(queue)).encode())


def _pairs(fields: Fields, prefix: str, key: str) -> Fields:
    """Return {fields["Attribute.1.Name"]: fields["Attribute.1.Value"], …}."""
    return {
        value: fields.get(f"{prefix}.{number}.Value", "")
        for number, value in _numbered(fields, prefix, f".{key}")
    }


def _numbered(fields: Fields, prefix: str, suffix: str = "") -> Iterator[tuple[str, str]]:
    pattern = re.compile(rf"{prefix}\.(\d+){re.escape(suffix)}")
    for field, value in fields.items():
        if found := pattern.fullmatch(field):
            yield found[1], value


def _checked(attributes: Fields) -> Fields:
    """Return the attributes, if a queue can have them. Raises HttpRefused."""
    for name, value in attributes.items():
        if name not in _RANGES and name not in _OTHERS:
            raise HttpRefused(400, "InvalidAttributeName", f"Unknown Attribute {name}.")
        least, most = _RANGES.get(name, (0, 0))
        is_valid = name in _OTHERS or (value.isdigit() and least <= int(value) <= most)
        if not is_valid:
            message = f"Invalid value for the parameter {name}: {value}, not {least} to {most}"
            raise HttpRefused(400, "InvalidAttributeValue", message)
    return attributes


def _no_such_queue() -> HttpRefused:
    code = "AWS.SimpleQueueService.NonExistentQueue"
    return HttpRefused(400, code, "The specified queue doesn't exist.")


def all_queues(state: State) -> list[dict[str, Any]]:
    """Return all queues, as they are stored."""
    return [json.loads(body) for _, body in state.items(KIND)]
