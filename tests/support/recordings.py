"""Recorded calls of the real Terraform provider, sent again to a fake."""

import gzip
import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import grpc
from google.protobuf import descriptor_pool, json_format, message_factory

from local.yandex_cloud import YandexCloud
from local.yandex_cloud.cloud import TOKEN
from local.yandex_cloud.recorder import texts
from tests.support.yandex_http import HttpApi

_CHOSEN = re.compile(
    r"[a-z0-9]{20}(\.local\.apigw\.yandexcloud\.net)?"  # ids, and what is made of them
    r"|https://functions\.yandexcloud\.net/[a-z0-9]{20}"
    r"|https://message-queue\.api\.cloud\.yandex\.net/[a-z0-9]{20}/[a-z0-9]{20}/[\w-]+"
    r"|default-sg-[a-z0-9]{20}"
    r"|rc1[abd]-[a-z0-9]{16}\.mdb\.yandexcloud\.net"
    r"|YCAJE[A-Z0-9]{20}"
    r"|d0:0d(:[0-9a-f]{2}){4}"
    r"|[0-9a-f]{16}"  # etags
    r"|localhost:\d+"
)
"""Values that the cloud chooses, which are others each time."""
_TIME = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?Z")
_NOT_COMPARED = {"imageSize", "secret", "textValue"}
"""Fields whose values depend on what a recording does not have: packages and secrets."""


def read(file: Path) -> list[dict[str, Any]]:
    """Return the calls of a recording."""
    with gzip.open(file, "rt", encoding="utf-8") as lines:
        return [json.loads(line) for line in lines]


def values(recorded: Any, names: set[str]) -> Iterator[str]:
    """Return the values of all fields of these names."""
    if isinstance(recorded, list):
        for one in recorded:
            yield from values(one, names)
    elif isinstance(recorded, dict):
        for name, one in recorded.items():
            if name in names and isinstance(one, str):
                yield one
            yield from values(one, names)


class Replay:
    """Sends recorded calls. Ids that the cloud chose then stand for those that it chooses now."""

    def __init__(self, cloud: YandexCloud) -> None:
        trusted = cloud.authority.ca.read_bytes()
        credentials = grpc.composite_channel_credentials(
            grpc.ssl_channel_credentials(trusted), grpc.access_token_call_credentials(TOKEN)
        )
        self._channel = grpc.secure_channel(cloud.address, credentials)
        self._http = HttpApi(cloud)
        self._now: dict[str, str] = {}

    def send(self, call: dict[str, Any]) -> list[str]:
        """Send a call; return how the answer differs from the recorded one."""
        if call["method"].startswith("HTTP "):
            return self._send_http(call)
        service, _, name = call["method"].rpartition(".")
        method = descriptor_pool.Default().FindServiceByName(service).methods_by_name[name]
        request = message_factory.GetMessageClass(method.input_type)()
        json_format.ParseDict(self._translate(call["request"]), request)
        rpc = self._channel.unary_unary(
            f"/{service}/{name}",
            request_serializer=lambda message: message.SerializeToString(),
            response_deserializer=message_factory.GetMessageClass(method.output_type).FromString,
        )
        try:
            answer = {"answer": json_format.MessageToDict(rpc(request))}
        except grpc.RpcError as error:
            answer = {"error": [error.code().name, error.details()]}
        expected = {key: value for key, value in call.items() if key in ("answer", "error")}
        return [f"{call['method']}: {line}" for line in self._differences(expected, answer, "")]

    def _send_http(self, call: dict[str, Any]) -> list[str]:
        request = self._translate(call["request"])
        method = call["method"].removeprefix("HTTP ")
        body = request.get("form") or request.get("body")
        response = self._http.send(method, request["url"], body, request["headers"])
        found = {"status": response.status_code, "texts": texts(response.content)}
        where = f"{call['method']} {request['url']}"
        return [f"{where}: {line}" for line in self._differences(call["answer"], found, "")]

    def _translate(self, value: Any) -> Any:
        """Return a recorded value with the ids of now."""
        if isinstance(value, dict):
            return {key: self._translate(one) for key, one in value.items()}
        if isinstance(value, list):
            return [self._translate(one) for one in value]
        if isinstance(value, str):
            return re.sub(_CHOSEN, lambda found: self._now.get(found[0], found[0]), value)
        return value

    def _differences(self, recorded: Any, found: Any, path: str) -> Iterator[str]:
        if isinstance(recorded, dict) and isinstance(found, dict):
            for key in recorded:
                yield from self._differences(recorded[key], found.get(key), f"{path}.{key}")
        elif isinstance(recorded, list) and isinstance(found, list) and len(recorded) == len(found):
            for number, (one, other) in enumerate(zip(recorded, found, strict=True)):
                yield from self._differences(one, other, f"{path}[{number}]")
        elif not self._is_same(recorded, found, path):
            yield f"{path} was {recorded!r} and is {found!r}"

    def _is_same(self, recorded: Any, found: Any, path: str) -> bool:
        if path.rpartition(".")[2] in _NOT_COMPARED or self._translate(recorded) == found:
            return True
        if not isinstance(recorded, str) or not isinstance(found, str):
            return False
        if _TIME.fullmatch(recorded) and _TIME.fullmatch(found):
            return True
        if recorded in self._now or not _CHOSEN.fullmatch(recorded) or not _CHOSEN.fullmatch(found):
            return False
        self._now[recorded] = found
        return True
