"""A load balancer in front of a cluster: one address for clients, and checks of the nodes."""

import itertools
import socket
import threading
from collections.abc import Mapping
from contextlib import ExitStack
from typing import Self

from local.broker import BRIDGE_LOGIN, SERVICE_LOGIN
from local.children import HOST
from tests.support.proxy import Proxy
from tests.support.rabbitmq import Cluster, Node

CHECK_SECONDS = 2
"""How often a node is checked, and how long its answer may take; one failure is enough."""
_CONNECT_SECONDS = 1


class Balancer(Proxy):
    """Gives each new connection to the next healthy node; what is connected stays where it is."""

    def __init__(self, health: "Health") -> None:
        super().__init__(HOST, 0)
        self.node: Node | None = None
        """The node of the newest connection."""
        self._health = health
        self._turn = itertools.count()

    def _connect(self) -> socket.socket:
        nodes = self._health.healthy
        if not nodes:
            raise ConnectionError("no node is healthy")
        node = nodes[next(self._turn) % len(nodes)]
        connection = socket.create_connection((HOST, node.port), _CONNECT_SECONDS)
        connection.settimeout(None)
        self.node = node
        return connection


class Health:
    """Checks the nodes on a thread of each."""

    def __init__(self, nodes: list[Node]) -> None:
        self._nodes = nodes
        self._is_healthy = dict.fromkeys((node.number for node in nodes), True)
        self._stopping = threading.Event()
        self._threads = [threading.Thread(target=self._watch, args=(node,)) for node in nodes]

    @property
    def healthy(self) -> list[Node]:
        """The nodes that answered their last check."""
        return [node for node in self._nodes if self._is_healthy[node.number]]

    def __enter__(self) -> Self:
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stopping.set()
        for thread in self._threads:
            thread.join()

    def _watch(self, node: Node) -> None:
        while not self._stopping.wait(CHECK_SECONDS):
            self._is_healthy[node.number] = node.is_healthy(CHECK_SECONDS)


class Balanced:
    """A cluster behind load balancers: one for service, one for the bridge, one for devices."""

    engine, host = Cluster.engine, HOST
    mqtt_version = Cluster.mqtt_version

    def __init__(self, cluster: Cluster) -> None:
        self.cluster = cluster
        self._health = Health(cluster.nodes)
        names = (SERVICE_LOGIN[0], BRIDGE_LOGIN[0], "")
        self._balancers: Mapping[str, Balancer] = {name: Balancer(self._health) for name in names}
        self._stack = ExitStack()

    @property
    def port(self) -> int:
        """The port for devices."""
        return self.port_of("")

    def port_of(self, username: str) -> int:
        """Return the port of this login's load balancer."""
        return self._balancer(username).port

    def node_of(self, username: str) -> Node:
        """Return the node that has this login's newest connection."""
        node = self._balancer(username).node
        assert node is not None, f"{username} has not connected"
        return node

    def add_device(self, device_id: str) -> None:
        """Let one device log in."""
        self.cluster.add_device(device_id)

    def start(self) -> None:
        """Start the nodes that do not run."""
        self.cluster.start()

    def __enter__(self) -> Self:
        self._stack.enter_context(self._health)
        for balancer in self._balancers.values():
            self._stack.enter_context(balancer)
        return self

    def __exit__(self, *_: object) -> None:
        self._stack.close()

    def _balancer(self, username: str) -> Balancer:
        return self._balancers.get(username, self._balancers[""])
