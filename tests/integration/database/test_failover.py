"""The database fails over to its replica, as a managed cluster does: what was acknowledged is kept.

A managed cluster replicates synchronously, and promotes the replica itself.
"""

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from itertools import count
from threading import Event

import pytest

from local.postgres import FUNCTIONS_USER, Postgres
from tests.support import database
from tests.support.service import Service, running
from tests.support.standby import Standby
from tests.support.waiting import wait_until

pytestmark = pytest.mark.slow

RECOVERY_SECONDS = 30


@dataclass
class Cluster:
    """A primary and its synchronous replica, with a database of the service."""

    primary: Postgres
    standby: Standby
    name: str

    def url(self, session_attributes: str) -> str:
        """Return the functions' URL, which names both hosts."""
        ports = [
            server.url_of("").rpartition("@")[2].strip("/")
            for server in (self.primary, self.standby)
        ]
        return (
            f"postgresql://{FUNCTIONS_USER}@{','.join(ports)}/{self.name}"
            f"?target_session_attrs={session_attributes}"
        )

    def fail_over(self) -> None:
        """Kill the primary and promote the replica."""
        self.primary.kill()
        self.standby.promote()


@pytest.fixture
def cluster() -> Iterator[Cluster]:
    with (
        database.fast_directory() as directory,
        Postgres(directory / "primary", durable=False) as primary,
    ):
        name = database.make_template(primary)
        with Standby(primary, directory / "standby") as standby:
            standby.make_synchronous()
            yield Cluster(primary, standby, name)


@pytest.fixture
def service(cluster: Cluster, monkeypatch: pytest.MonkeyPatch) -> Iterator[Service]:
    settings = {
        "DATABASE_URL": cluster.url("read-write"),
        "DATABASE_REPLICA_URL": cluster.url("prefer-standby"),
    }
    with running(cluster.primary.url_of(cluster.name), monkeypatch, **settings) as service:
        yield service
        service.url = cluster.standby.url_of(cluster.name)
        service.check_invariants()


def test_what_was_acknowledged_is_kept(service: Service, cluster: Cluster) -> None:
    acknowledged: list[str] = []
    unanswered: list[str] = []
    ended = Event()

    def register() -> None:
        for number in count():
            if ended.is_set():
                return
            accumulator_id = f"A-{number}"
            body = {"accumulator_id": accumulator_id}
            response = service.call("POST", "/v1/accumulators", body, key="operator")
            assert response.status in {201, 503}, response
            (acknowledged if response.status == 201 else unanswered).append(accumulator_id)

    with ThreadPoolExecutor(1) as threads:
        registering = threads.submit(register)
        wait_until(lambda: len(acknowledged) > 20)
        cluster.fail_over()
        before = len(acknowledged)
        wait_until(lambda: len(acknowledged) > before + 20, seconds=RECOVERY_SECONDS)
        ended.set()
        registering.result()
    rows = database.query(
        cluster.standby.url_of(cluster.name), "SELECT accumulator_id FROM accumulators"
    )
    kept = {accumulator_id for (accumulator_id,) in rows}
    assert kept >= set(acknowledged)
    assert kept <= {*acknowledged, *unanswered}


def test_an_unlock_in_flight_is_settled_by_the_cabinets_report(
    service: Service, cluster: Cluster
) -> None:
    service.add_cabinet(charges=[90])
    booking = service.book()
    service.hold_messages = True
    with ThreadPoolExecutor(1) as threads:
        unlocking = threads.submit(service.unlock, booking)
        wait_until(lambda: service.held_messages)
        cluster.fail_over()
        assert unlocking.result().status in {503, 504}
    service.hold_messages = False
    service.deliver_held_messages()
    assert service.booking(booking)["status"] == "completed"
    assert service.place("C-1.A-1") == {"contractor_id": "T-1"}
    assert service.movement_causes("C-1.A-1") == ["registered", "reported", "issued"]
