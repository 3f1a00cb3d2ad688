"""Three RabbitMQ nodes on the loopback, clustered, with the configuration that is deployed."""

import os
import secrets
import shutil
import signal
import sys
import urllib.error
import urllib.request
from collections.abc import Mapping
from pathlib import Path
from typing import Literal, Self

from local import CannotStart
from local.broker import BRIDGE_LOGIN, DEVICE_PASSWORD, SERVICE_LOGIN
from local.children import HOST, Child, find_program, free_port, make_directory, unprivileged_user
from local.passwords import hashed
from terraform.broker import access
from tests.support.processes import ROOT, is_free
from tests.support.programs import find_rabbitmq
from tests.support.waiting import wait_until

RECIPE = ROOT / "terraform" / "broker" / "rabbitmq"
NODES = 3
_SHORT_TTL = '"message-ttl": 1000'
"""How long a command waits for a client that is away, milliseconds; the tests wait for its end."""
_SECONDS_TO_START = 60
_PLUGINS = (
    *("rabbitmq_mqtt", "rabbitmq_prometheus"),
    *("rabbitmq_auth_backend_http", "rabbitmq_auth_backend_cache"),
)
_ERLANG = (
    "-kernel inet_dist_use_interface {127,0,0,1} "
    "+sbwt none +sbwtdcpu none +sbwtdio none"  # do not spin: other things need the cores
)
_NODE = """\
listeners.tcp = none
mqtt.listeners.tcp.1 = 127.0.0.1:{mqtt_port}
prometheus.tcp.ip = 127.0.0.1
prometheus.tcp.port = {health_port}
cluster_formation.peer_discovery_backend = classic_config
cluster_formation.classic_config.nodes.1 = rabbit1@localhost
cluster_formation.discovery_retry_limit = 200
load_definitions = {recipe}/definitions.json
auth_http.user_path = http://127.0.0.1:{access_port}/user
auth_http.vhost_path = http://127.0.0.1:{access_port}/vhost
auth_http.resource_path = http://127.0.0.1:{access_port}/resource
auth_http.topic_path = http://127.0.0.1:{access_port}/topic
log.console = true
log.console.level = warning
log.file = false
"""


class Node:
    """One broker of the cluster."""

    def __init__(self, number: int, directory: Path, environment: dict[str, str]) -> None:
        self.number = number
        self.port = free_port()
        self._health_port = free_port()
        self._home = directory / f"rabbit{number}"
        self._child = Child(f"rabbit{number}", directory, stop_signal=signal.SIGTERM)
        self._environment = environment | {
            "RABBITMQ_NODENAME": f"rabbit{number}@localhost",
            "RABBITMQ_DIST_PORT": str(free_port()),
            "RABBITMQ_CONFIG_FILES": str(self._home / "conf.d"),
            "RABBITMQ_MNESIA_BASE": str(self._home / "data"),
            "RABBITMQ_LOG_BASE": str(self._home),
            "RABBITMQ_PID_FILE": str(self._home / "pid"),
        }

    @property
    def pid(self) -> int | None:
        """The process id; None while it does not run."""
        return self._child.pid

    def configure(self, access_port: int) -> None:
        """Write its configuration."""
        owner = unprivileged_user()
        make_directory(self._home, owner)
        folder = self._home / "conf.d"
        make_directory(folder, owner)
        for name, text in {
            "10-cabinets.conf": (RECIPE / "cabinets.conf").read_text(),
            "20-node.conf": _NODE.format(
                mqtt_port=self.port,
                health_port=self._health_port,
                access_port=access_port,
                recipe=self._home,
            ),
        }.items():
            (folder / name).write_text(text)
        definitions = (RECIPE / "definitions.json").read_text()
        definitions = definitions.replace('"message-ttl": 15000', _SHORT_TTL)
        (self._home / "definitions.json").write_text(definitions)

    def start(self) -> None:
        """Start the process, and return at once."""
        self._child.start(
            [find_rabbitmq() or ""],
            port=self.port,
            ready=lambda: True,
            cwd=self._home,
            user=unprivileged_user(),
            environment=self._environment,
        )

    def is_healthy(self, seconds: float = 2) -> bool:
        """Whether it answers a load balancer's health check."""
        try:
            url = f"http://{HOST}:{self._health_port}/metrics"
            with urllib.request.urlopen(url, timeout=seconds) as response:
                return bool(response.status == 200)
        except (OSError, urllib.error.URLError):
            return False

    def wait(self) -> None:
        """Return when it is healthy. Raises CannotStart with the end of its log."""
        try:
            wait_until(lambda: self.is_healthy() or self.pid is None, seconds=_SECONDS_TO_START)
        except TimeoutError:
            raise CannotStart(f"not ready after {_SECONDS_TO_START} s: {self._log()}") from None
        if self.pid is None:
            raise CannotStart(f"a node has ended: {self._log()}")

    def stop(self) -> None:
        """Stop it cleanly, as for an upgrade."""
        self._child.signal(signal.SIGTERM)
        try:
            self._child._wait(30)
        finally:
            self._child.kill()

    def kill(self) -> None:
        """Kill it, as a power cut would."""
        self._child.kill()

    def signal(self, number: signal.Signals) -> None:
        """Send it a signal; SIGSTOP is a node that the others do not see any more."""
        self._child.signal(number)

    def _log(self) -> str:
        return (self._home.parent / f"rabbit{self.number}.log").read_text()[-2000:]


class Cluster:
    """Three nodes that accept the same logins, with a test's own load balancer in front of them.

    Each login has a node of its own, so that messages cross the cluster: port_of.
    """

    engine: Literal["rabbitmq"] = "rabbitmq"
    host = HOST
    mqtt_version = "3.1.1"

    def __init__(self, directory: Path) -> None:
        self._directory = directory
        self._logins: dict[str, str] = {}
        self._epmd_port, self._access_port = free_port(), free_port()
        self._epmd = Child("epmd", directory, stop_signal=signal.SIGTERM)
        self._access = Child("access", directory, stop_signal=signal.SIGTERM)
        self.nodes = [Node(number + 1, directory, self._environment()) for number in range(NODES)]

    @property
    def port(self) -> int:
        """The port for devices."""
        return self.port_of("")

    def port_of(self, username: str) -> int:
        """Return the port of this login's node."""
        own = {SERVICE_LOGIN[0]: 0, BRIDGE_LOGIN[0]: 1}
        return self.nodes[own.get(username, 2)].port

    def at(self, number: int) -> "AtNode":
        """Return the cluster as clients of one node see it."""
        return AtNode(self, self.nodes[number - 1])

    def start(self) -> Self:
        """Start whatever does not run, and return when all nodes are healthy."""
        if self._epmd.pid is None:
            self._prepare()
        is_first = not any(node.pid for node in self.nodes)
        for node in self.nodes:
            if node.pid is None:
                node.start()
            if is_first and node is self.nodes[0]:  # the others join it
                node.wait()
        for node in self.nodes:
            node.wait()
        return self

    def add_devices(self, *device_ids: str) -> None:
        """Let devices log in with DEVICE_PASSWORD."""
        for device_id in device_ids:
            if not access.DEVICE.fullmatch(device_id) or device_id in access.OWN_LOGINS:
                raise ValueError(f"{device_id!r} cannot be a device's id at this broker")
        self._logins |= {device_id: hashed(DEVICE_PASSWORD) for device_id in device_ids}
        self._write("passwords", self._logins)

    def add_device(self, device_id: str) -> None:
        """Let one device log in."""
        self.add_devices(device_id)

    def close(self) -> None:
        """Kill everything: nothing of it is needed any more."""
        for node in self.nodes:
            node.kill()
        self._access.kill()
        self._epmd.kill()

    def __enter__(self) -> Self:
        try:
            return self.start()
        except BaseException:  # interrupted: nodes may run already
            self.close()
            raise

    def __exit__(self, *_: object) -> None:
        self.close()

    def _prepare(self) -> None:
        """Start what the nodes need: Erlang's port mapper and the answers about logins."""
        owner = unprivileged_user()
        make_directory(self._directory, owner)
        cookie = self._directory / ".erlang.cookie"
        cookie.touch(mode=0o600)
        cookie.write_text(secrets.token_hex())
        os.chown(cookie, owner or -1, owner or -1)
        cookie.chmod(0o400)
        plugins = self._directory / "plugins"
        plugins.write_text(f"[{','.join(_PLUGINS)}].")
        shutil.copy(RECIPE.parent / "acl", self._directory / "acl")
        self._write("passwords.own", {n: hashed(p) for n, p in (SERVICE_LOGIN, BRIDGE_LOGIN)})
        self._write("passwords", self._logins)
        epmd = [find_program("epmd") or "", "-address", HOST, "-port", str(self._epmd_port)]
        answers = [sys.executable, access.__file__, str(self._directory), str(self._access_port)]
        self._serve(self._epmd, epmd, self._epmd_port)
        self._serve(self._access, answers, self._access_port)
        for node in self.nodes:
            node.configure(self._access_port)

    def _serve(self, child: Child, command: list[str], port: int) -> None:
        child.start(command, port=port, ready=lambda: not is_free(port), cwd=self._directory)

    def _environment(self) -> dict[str, str]:
        """What all nodes have in common; everything stays on the loopback."""
        return {
            "PATH": os.environ["PATH"],  # noqa: TID251 - for a program, not a setting
            "HOME": str(self._directory),
            "ERL_CRASH_DUMP": os.devnull,
            "ERL_EPMD_ADDRESS": HOST,
            "ERL_EPMD_PORT": str(self._epmd_port),
            "RABBITMQ_CONF_ENV_FILE": str(self._directory / "none"),
            "RABBITMQ_ENABLED_PLUGINS_FILE": str(self._directory / "plugins"),
            "RABBITMQ_LOGS": "-",
            "RABBITMQ_SERVER_ADDITIONAL_ERL_ARGS": _ERLANG,
            "detached": "yes",  # the script becomes the server, so that a signal reaches it
        }

    def _write(self, name: str, logins: Mapping[str, str]) -> None:
        new = self._directory / f"{name}.new"
        new.write_text("".join(f"{login}:{stored}\n" for login, stored in logins.items()))
        new.replace(self._directory / name)


class AtNode:
    """A cluster whose clients all connect to one node."""

    engine, host, mqtt_version = Cluster.engine, HOST, Cluster.mqtt_version

    def __init__(self, cluster: Cluster, node: Node) -> None:
        self._cluster = cluster
        self.port = node.port

    def port_of(self, username: str) -> int:  # noqa: ARG002 - as the others
        """Return the node's port, whoever asks."""
        return self.port

    def add_device(self, device_id: str) -> None:
        """Let one device log in."""
        self._cluster.add_device(device_id)

    def start(self) -> None:
        """Start the nodes that do not run."""
        self._cluster.start()
