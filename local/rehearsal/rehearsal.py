"""Starts the applied system on this machine, then plays the demo against it."""

import json
import os
import subprocess
import sys
import time
from base64 import b64decode
from collections.abc import Callable
from contextlib import ExitStack
from functools import partial
from io import StringIO
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from local import CannotStart
from local.api import Api, UnexpectedStatus
from local.cabinet.control import Control, ControlError, ControlServer
from local.cabinet.fleet import Fleet
from local.children import free_port
from local.demo import Shift, StepFailed
from local.functions import FunctionFailed, FunctionTimedOut
from local.gateway import Gateway, Routes
from local.postgres import Postgres
from local.rehearsal import Fault, database, topics, wiring
from local.rehearsal.broker import Machine
from local.rehearsal.bucket import BucketPages
from local.rehearsal.certificates import Authority
from local.rehearsal.cloud import OPERATOR, Cloud, token_of
from local.rehearsal.functions_in_processes import FunctionProcesses
from local.rehearsal.replacements import BROKER_HOST, Replacements
from local.rehearsal.topology import Function, Resource, Topology, read
from local.stack import API_KEYS
from local.timer import timer_event
from shared import log

CABINETS, CELLS = 4, 12
_LISTENER = "rehearsal-listener"
_ERRORS_SHOWN = 3
_PROJECT = Path(__file__).parents[2]

Say = Callable[[str], None]


def main(*, topology: Path, packages: Path, say: Say = print) -> int:
    """Rehearse the topology in a file; return 0 if it works, else 1 after a line per fault."""
    begun = time.monotonic()
    try:
        applied = read(topology, packages)
        say(f"Rehearsing {len(applied.resources)} resources, {len(applied.functions)} functions.")
        with TemporaryDirectory(prefix="accumulator-rehearsal-") as directory, ExitStack() as parts:
            Rehearsal(applied, Path(directory), parts, say).play()
    except Fault as fault:
        for line in str(fault).splitlines():
            say(f"The rehearsal fails: {line}")
        return 1
    say(f"The deployment works; {time.monotonic() - begun:.1f} s in all.")
    return 0


class Rehearsal:
    """One run, in an empty directory; the caller closes `parts`."""

    def __init__(self, topology: Topology, directory: Path, parts: ExitStack, say: Say) -> None:
        self._topology = topology
        self._directory = directory
        self._parts = parts
        self._say = say

    def play(self) -> None:
        """Run all steps in order. Raises Fault, CannotStart."""
        if not self._topology.all("yandex_compute_instance"):
            raise CannotStart('only mqtt_backend = "mosquitto" can be rehearsed')
        log.configure("WARNING", StringIO())  # for the gateway
        _fail_if_any(wiring.faults(self._topology))
        self._say("All references exist, and accounts have the rights to use them.")
        self._prepare_cloud()
        self._start_functions()
        self._say("All functions load, with their own requirements and variables.")
        self._start_broker()
        self._say(
            "Mosquitto runs with cloud-init's files; messages reach the readers of each topic."
        )
        self._start_service()
        self._say(
            "The schema is migrated, the console is published, the gateway and the bridge run."
        )
        self._start_cabinets()
        self._fire_timers()
        self._say("The timer's poll reaches the cabinets. Now the demo:")
        self._play_demo()
        _fail_if_any(self._cloud.refusals)

    def _prepare_cloud(self) -> None:
        """Install the broker's machine, and start the cloud's APIs."""
        topology, root = self._topology, self._directory
        self._broker_authority = Authority(root / "pki")
        self._replacements = Replacements(topology, self._broker_authority)
        package = b64decode(topology.metadata("bridge"))
        self._machine = Machine(topology.metadata("user-data"), package, root / "machine")
        self._parts.callback(self._machine.stop_mosquitto)
        self._cloud = Cloud(
            topology,
            Authority(root / "cloud"),
            secrets=self._replacements.secrets,
            invoke=self._invoke,
        )
        self._cloud.start()
        self._parts.callback(self._cloud.stop)

    def _start_functions(self) -> None:
        """Start the functions; meanwhile, the database."""
        directory = self._directory / "postgres"
        server = Postgres(directory, port=free_port(), durable=False)
        environment = partial(
            self._replacements.environment,
            database_url=server.url,
            broker_port=self._machine.service_port,
        )
        self._functions = FunctionProcesses(
            self._topology.functions.values(),
            self._directory / "functions",
            environment=lambda function: {**self._cloud.environment, **environment(function)},
            token=token_of,
        )
        self._parts.callback(self._functions.close)
        self._parts.enter_context(server)
        passwords = self._replacements.database_passwords
        database.create(server, directory, self._topology, passwords)
        _fail_if_any(self._functions.faults())

    def _start_broker(self) -> None:
        settings = json.loads(self._topology.metadata("broker"))
        replaced = self._replacements.machine_settings(settings)
        self._cloud.metadata["broker"] = json.dumps(replaced)
        self._fleet = Fleet(CABINETS, CELLS, registry_id=self._output("registry_id"))
        # A login of its own for the checks: a login has one connection at the broker.
        self._passwords = self._add_logins([_LISTENER, *self._fleet.by_id])
        self._cabinet = (_LISTENER, self._passwords[_LISTENER])
        self._machine.start_mosquitto(self._cloud.environment)
        device_id, password = self._cabinet
        port, service_port = self._machine.port, self._machine.service_port
        logins = {
            "service": (service_port, self._replacements.service_password),
            "bridge": (service_port, self._machine.bridge_password),
            device_id: (port, password),
        }
        _fail_if_any(
            topics.faults(
                self._broker_authority.ca,
                logins,
                device_id=device_id,
                registry_id=self._output("registry_id"),
            )
        )

    def _start_service(self) -> None:
        self._run("terraform/migrate.py", self._output("function_ids")["migrate"])
        self._parts.callback(self._machine.stop_bridge)
        self._machine.start_bridge(self._cloud.environment)
        self._publish_console()
        gateway = self._topology.one("yandex_api_gateway").values
        text = gateway["spec"]
        for function in self._topology.functions.values():
            text = text.replace(f'"{function.id}"', f'"${{function_ids.{function.name}}}"')
        seconds = float(gateway["execution_timeout"])
        self._gateway = Gateway(
            Routes(json.loads(text)),
            self._functions.pool,
            port=0,
            pages=[BucketPages(self._topology, self._cloud.objects)],
            execution_timeout=seconds,
        )
        self._parts.callback(self._gateway.stop)
        self._gateway.start()

    def _publish_console(self) -> None:
        built = str((self._topology.packages / "console").resolve())
        options = ["--built", built, "--patience", "0"]
        self._run("-m terraform.publish_console", self._output("console_bucket"), *options)

    def _start_cabinets(self) -> None:
        api = Api(self._gateway.url, API_KEYS["operator"])
        try:
            for body in self._fleet.registrations():
                api.post("/v1/cabinets", body)
            for accumulator_id in self._fleet.accumulator_ids():
                api.post("/v1/accumulators", {"accumulator_id": accumulator_id})
        except UnexpectedStatus as error:
            raise Fault(f"a registration is refused: {error}") from None
        self._parts.callback(self._fleet.stop)
        self._fleet.start(
            BROKER_HOST,
            self._machine.port,
            passwords=self._passwords,
            ca_file=str(self._broker_authority.ca),
        )

    def _fire_timers(self) -> None:
        for trigger in self._topology.all("yandex_function_trigger"):
            if trigger.values["timer"]:
                function = self._topology.functions[trigger.values["function"][0]["id"]]
                if function.name == "poll_cabinets":
                    self._poll(trigger, function)
                else:
                    self._fire(trigger, function)

    def _poll(self, trigger: Resource, function: Function) -> None:
        """Invoke the trigger's function now; check that cabinets receive the poll."""
        topic = f"$registries/{self._output('registry_id')}/commands"
        with topics.Login(self._machine.port, self._broker_authority.ca, *self._cabinet) as cabinet:
            cabinet.subscribe(topic)
            self._fire(trigger, function)
            if not cabinet.receives(topic):
                raise Fault(f"{function.address} runs, but cabinets receive nothing on {topic}")
        if not self._cloud.metrics:
            raise Fault(f"{function.address} has written no metrics {self._earlier_errors()}")

    def _fire(self, trigger: Resource, function: Function) -> None:
        """Invoke a timer's function now."""
        try:
            self._invoke(function.name, timer_event())
        except (FunctionFailed, FunctionTimedOut) as error:
            why = f"{error}: {self._earlier_errors()}"
            raise Fault(f"{trigger.address}: {function.address} fails: {why}") from None

    def _play_demo(self) -> None:
        control = ControlServer(self._fleet)
        self._parts.callback(control.stop)
        control.start()
        api = Api(self._gateway.url, API_KEYS["backend"])
        shift = Shift(api, Control(control.url), self._say)
        try:
            shift.play()
        except (StepFailed, UnexpectedStatus, ControlError) as error:
            raise Fault(
                f"after step {shift.steps} of the demo: {error} {self._earlier_errors()}"
            ) from None
        self._run("terraform/smoke_test.py", self._gateway.url, "--patience", "0")

    def _invoke(self, function: str, event: Any) -> Any:
        longest = max(one.timeout_seconds for one in self._topology.functions.values())
        return self._functions.pool.invoke(function, event, timeout=longest)

    def _add_logins(self, device_ids: list[str]) -> dict[str, str]:
        """Give devices their logins; return the passwords."""
        outputs, handover = self._directory / "outputs.json", self._directory / "logins.json"
        values = {name: {"value": value} for name, value in self._topology.outputs.items()}
        outputs.write_text(json.dumps(values))
        options = ["--outputs", str(outputs), "--handover", str(handover)]
        self._run("-m tools logins add", *device_ids, *options)
        logins = json.loads(handover.read_text())["logins"]
        return {one["username"]: one["password"] for one in logins}

    def _run(self, program: str, *arguments: str) -> None:
        """Run a Python program of the project as the operator. Raises Fault."""
        environment = {
            "PATH": os.defpath,
            "PKI": str(self._broker_authority.directory),
            "YC_TOKEN": token_of(OPERATOR),
            "MIGRATE_PATIENCE_SECONDS": "0",
            "API_KEY": API_KEYS["operator"],
            "no_proxy": "127.0.0.1",
            **self._cloud.environment,
        }
        command = [sys.executable, *program.split(), *arguments]
        done = subprocess.run(  # noqa: S603 - our own program
            command, cwd=_PROJECT, env=environment, capture_output=True, text=True, check=False
        )
        if done.returncode:
            output = " ".join((done.stdout + done.stderr).split())
            raise Fault(f"{program} fails: {output} {self._earlier_errors()}")

    def _output(self, name: str) -> Any:
        if name not in self._topology.outputs:
            raise CannotStart(f"the topology has no output {name}")
        return self._topology.outputs[name]

    def _earlier_errors(self) -> str:
        """Describe errors of the cloud's APIs and of functions so far."""
        all_errors = [*self._cloud.refusals, *self._functions.errors()]
        errors = dict.fromkeys(" ".join(one.split()) for one in all_errors)
        return f"(earlier errors: {'; '.join([*errors][-_ERRORS_SHOWN:])})" if errors else ""


def _fail_if_any(faults: list[str]) -> None:
    if faults:
        raise Fault("\n".join(faults))
