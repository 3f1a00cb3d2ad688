"""What is in the fake, by service."""

from collections.abc import Iterator
from typing import NamedTuple

from yandex.cloud.iam.v1.awscompatibility.access_key_pb2 import AccessKey

from local.yandex_cloud.http.queues import all_queues
from local.yandex_cloud.service import Collection, Context
from local.yandex_cloud.services import all_services
from local.yandex_cloud.state import State


class Listed(NamedTuple):
    """A resource. `service`: such as vpc; `noun`: such as Network."""

    service: str
    noun: str
    id: str
    name: str


def resources(state: State) -> list[Listed]:
    """Return everything that Terraform made, in the order of services."""
    return sorted(_resources(state))


def lines(state: State) -> list[str]:
    """Return a line for each service, and under it one for each of its resources."""
    found: list[str] = []
    service = ""
    for one in resources(state):
        if one.service != service:
            service = one.service
            found.append(service)
        found.append(f"  {one.noun:<20} {one.id:<22} {one.name}".rstrip())
    return found or ["nothing"]


def _resources(state: State) -> Iterator[Listed]:
    for service in all_services(Context(state, lambda: "")):
        if isinstance(service, Collection):
            for one in service.all():
                group = _service(service.proto)
                yield Listed(group, service.noun, getattr(one, "id", one.name), one.name)
    for key in state.all(AccessKey):
        yield Listed("iam", "Static key", key.id, f"of {key.service_account_id}")
    for queue in all_queues(state):
        yield Listed("ymq", "Queue", queue["url"].split("/")[-2], queue["name"])


def _service(proto: str) -> str:
    """Return vpc for yandex.cloud.vpc.v1.network_service."""
    return proto.removeprefix("yandex.cloud.").partition(".v1.")[0]
