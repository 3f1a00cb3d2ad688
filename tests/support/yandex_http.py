"""Requests to Object Storage and Message Queue, as the provider sends them to the fake."""

from typing import Any

import requests

from local.yandex_cloud import YandexCloud
from local.yandex_cloud.cloud import TOKEN
from local.yandex_cloud.http.answers import parse

QUEUES = "message-queue.api.cloud.yandex.net"


class HttpApi:
    """The HTTP APIs of a fake."""

    def __init__(self, cloud: YandexCloud) -> None:
        self._session = requests.Session()
        self._session.trust_env = False
        self._session.proxies = {"http": cloud.http.environment["HTTP_PROXY"]}

    def storage(
        self, method: str, bucket: str, path: str = "", *, body: bytes | str = b"", **headers: str
    ) -> requests.Response:
        """Send a request for a bucket, with the bucket in the host and an IAM token."""
        named = {name.replace("_", "-"): value for name, value in headers.items()}
        return self._session.request(
            method,
            f"http://{bucket}.storage.yandexcloud.net/{path}",
            data=body,
            headers={"X-YaCloud-SubjectToken": TOKEN} | named,
        )

    def queues(self, key: str, action: str, **fields: Any) -> requests.Response:
        """Send a request for queues, signed with a static key; `__` is a dot in a field's name."""
        form = {name.replace("__", "."): value for name, value in fields.items()}
        credential = f"{key}/20261201/ru-central1/sqs/aws4_request"
        signed = f"AWS4-HMAC-SHA256 Credential={credential}, SignedHeaders=host, Signature=0"
        return self._session.post(
            f"http://{QUEUES}/",
            data={"Action": action, "Version": "2012-11-05", **form},
            headers={"Authorization": signed},
        )

    def send(self, method: str, url: str, body: Any, headers: dict[str, str]) -> requests.Response:
        """Send a recorded request; `body`: text, or the fields of a form."""
        return self._session.request(method, url, data=body, headers=headers)

    def get(self, url: str, **headers: str) -> requests.Response:
        """Send any other request."""
        return self._session.get(url, headers=headers)


def code(response: requests.Response) -> tuple[int, str]:
    """Return the status and the error's code."""
    return response.status_code, parse(response.content).findtext(".//Code", "")


def texts(response: requests.Response, name: str) -> list[str]:
    """Return the texts of all elements of this name."""
    assert response.status_code == 200, response.text
    return [one.text or "" for one in parse(response.content).iter(name)]
