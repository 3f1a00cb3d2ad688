"""The physical truth: where each accumulator is, which doors are open, and who opened them.

The cabinets are simulated hardware, which shares no code with the service.
"""

import json
import random
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import NamedTuple

from local.cabinet.cells import Accumulator, Cell
from local.cabinet.hardware import Firmware, Hardware, Message, Reply
from tests.simulation.clock import Clock
from tests.simulation.network import Network, Session
from tests.simulation.plan import Plan


class CellId(NamedTuple):
    """A cell, as `C-1/3`."""

    cabinet_id: str
    number: int

    def __str__(self) -> str:
        return f"{self.cabinet_id}/{self.number}"


@dataclass(frozen=True)
class Opening:
    """The command that opened a door; None if a person forced it or nobody can tell."""

    command_id: str | None


@dataclass
class Cabinet:
    """A cabinet and how it sends its replies.

    `holding`: keeps replies in `held`; `twice`: sends each twice; `mute`: sends none.
    """

    hardware: Hardware
    firmware: Firmware
    """Without the faults of `change_firmware`."""
    powered: bool = True
    holding: bool = False
    twice: bool = False
    mute: bool = False
    held: list[bytes] = field(default_factory=list)
    later: list[tuple[float, Reply]] = field(default_factory=list)


@dataclass
class TakenAfterPull:
    """An accumulator that left by a door that a command had failed to open.

    `sent`: how many messages all cabinets had sent; `is_settled`: the failure was recorded.
    """

    accumulator_id: str
    command_id: str
    cell_id: CellId
    sent: int
    is_settled: bool = False


class World:
    """Cabinets, bags and scooters."""

    def __init__(self, clock: Clock, network: Network, plan: Plan) -> None:
        self.clock, self.network = clock, network
        self.firmware = Firmware(honours_ttl=plan.honours_ttl)
        self.rng = random.Random(plan.seed)  # noqa: S311 - a simulation
        self.cabinets: dict[str, Cabinet] = {}
        self.bags: dict[str, list[Accumulator]] = {}
        self.scooters: dict[str, list[Accumulator]] = {}
        self.open_by: dict[CellId, Opening] = {}
        self.executed: dict[str, set[int]] = {}
        """The cells that each command opened or found open."""
        self.opened_at: dict[CellId, int] = {}
        """How often each door has opened, for any reason."""
        self.content_at_close: dict[tuple[str, CellId], str | None] = {}
        """The content of a cell when the door that a command had opened was closed."""
        self.forced: set[CellId] = set()
        """Cells whose doors were ever forced."""
        self.misreported: set[CellId] = set()
        """Cells about which a cabinet has sent, or may still send, false reports."""
        self.expected_places: dict[str, str | None] = {}
        """Accumulators outside cells: the place to be recorded; None if it cannot be known."""
        self.uncertain: set[str] = set()
        """Accumulators whose last messages and reports may have been processed in any order."""
        self.duplicated_ids: set[str] = set()
        """Ids that two accumulators share."""
        self.lies: dict[str, set[str]] = {}
        """For each cabinet that has lied, the accumulators of others that it named."""
        self.put_at: dict[str, int] = {}
        """For each accumulator in a cell, how often the door had opened when it was inserted."""
        self.taken: set[tuple[str, str, int]] = set()
        """Each accumulator and cell from which it was ever taken."""
        self.carried_off: set[str] = set()
        """Accumulators that left by a forced door, or by the open door through which they came."""
        self.sent_messages: dict[tuple[str, str, int], list[tuple[int, Message]]] = {}
        """Every message of every cabinet, by cabinet, boot_id and seq, with its number in time."""
        self.misnumbered: set[str] = set()
        """Cabinets whose boot_id and seq have not always grown."""
        self.pulled: set[tuple[str, CellId]] = set()
        """Commands that failed to open a cell, and the cell, which was then pulled open."""
        self.taken_after_pull: dict[str, TakenAfterPull] = {}
        """Accumulators that left by such a door, until the service must know it."""
        self._sent = 0

    def add_cabinet(self, cabinet_id: str, cells: list[Cell]) -> None:
        """Add a connected cabinet."""
        self.network.sessions[cabinet_id] = Session()
        hardware = Hardware(cabinet_id, cells, now=self.clock.now, rng=self.rng)
        hardware.firmware = self.firmware
        self.cabinets[cabinet_id] = Cabinet(hardware, self.firmware)

    # --- commands -----------------------------------------------------------------------------

    def execute_command(self, cabinet_id: str) -> str | None:
        """Let a cabinet execute its next command and reply; return a description of the command."""
        cabinet, session = self.cabinets[cabinet_id], self.network.sessions[cabinet_id]
        if not session.commands or not cabinet.powered:
            return None
        publication = session.commands.popleft()
        command = publication.command
        before = set(self.open_cells(cabinet_id))
        replies = cabinet.hardware.handle(command, broadcast=publication.device_id is None)
        now = set(self.open_cells(cabinet_id))
        if command["kind"] == "unlock":
            asked = now & set(command["cells"])
            self.executed.setdefault(command["command_id"], set()).update(asked | (now - before))
            for number in asked & before:  # it was open already, so the opener is unknown
                self._opened(CellId(cabinet_id, number), None)
        for number in now - before:
            self._opened(CellId(cabinet_id, number), command["command_id"])
        self._reply(cabinet_id, replies)
        self.send_sensor_events(cabinet_id)
        return f"{command['kind']} {command.get('cells', '')} {command['command_id']}"

    def _reply(self, cabinet_id: str, replies: list[Reply]) -> None:
        cabinet = self.cabinets[cabinet_id]
        for reply in replies:
            if reply.after_s > 0:
                due = self.clock.now().timestamp() + reply.after_s
                cabinet.later.append((due, reply))
            elif cabinet.mute:
                reply.make()
            else:
                message = reply.make()
                self._note_sent(cabinet_id, message)
                payload = json.dumps(message).encode()
                for _ in range(2 if cabinet.twice else 1):
                    if cabinet.holding:
                        cabinet.held.append(payload)
                    else:
                        self.network.enqueue(cabinet_id, payload)

    def pass_time(self) -> None:
        """Send the delayed replies that are due."""
        now = self.clock.now().timestamp()
        for cabinet_id, cabinet in self.cabinets.items():
            due = [reply for at, reply in cabinet.later if at <= now]
            cabinet.later = [(at, r) for at, r in cabinet.later if at > now]
            for reply in due if cabinet.powered else []:
                self.send(cabinet_id, reply.make())

    def _lose_messages(self) -> None:
        """Note that unsent messages were lost: the service may never learn who took what."""
        self.expected_places.update(dict.fromkeys(self.expected_places))
        self.uncertain |= self.expected_places.keys()

    # --- messages of cabinets -----------------------------------------------------------------

    def send(self, cabinet_id: str, *messages: Message) -> None:
        """Send messages, without holding, doubling or muting them."""
        for message in messages:
            self._note_sent(cabinet_id, message)
            self.network.enqueue(cabinet_id, json.dumps(message).encode())

    def _note_sent(self, cabinet_id: str, message: Message) -> None:
        self._sent += 1
        key = (cabinet_id, message["boot_id"], message["seq"])
        self.sent_messages.setdefault(key, []).append((self._sent, message))

    def send_sensor_events(self, cabinet_id: str) -> None:
        """Send the events of the sensors; without power, they are lost."""
        cabinet = self.cabinets[cabinet_id]
        if cabinet.powered:
            self.send(cabinet_id, *cabinet.hardware.poll_sensors())
        elif cabinet.hardware.poll_sensors():
            self._lose_messages()

    def act(self, cabinet_id: str, action: Callable[[Hardware], object]) -> None:
        """Change a cabinet by hand, and send what its sensors notice."""
        action(self.cabinets[cabinet_id].hardware)
        self.send_sensor_events(cabinet_id)

    def power_up(self, cabinet_id: str, *, keep_outbox: bool) -> None:
        """Boot a cabinet; without `keep_outbox`, unsent messages are lost."""
        cabinet, session = self.cabinets[cabinet_id], self.network.sessions[cabinet_id]
        self.network.cut(cabinet_id)
        if not keep_outbox:
            if session.outbox or cabinet.held:
                self._lose_messages()
            session.outbox.clear()
            cabinet.held.clear()
        cabinet.later.clear()
        cabinet.powered = True
        cabinet.hardware.reboot()
        self._connect(cabinet_id)

    def reconnect(self, cabinet_id: str) -> None:
        """Connect a cabinet again, unless it has no power."""
        if not self.network.sessions[cabinet_id].connected and self.cabinets[cabinet_id].powered:
            self._connect(cabinet_id)

    def _connect(self, cabinet_id: str) -> None:
        hardware = self.cabinets[cabinet_id].hardware
        self.network.connect(cabinet_id, json.dumps(hardware.connect()).encode())
        self.send(cabinet_id, hardware.hello(), hardware.state_report())

    def release(self, cabinet_id: str) -> int:
        """Send the replies that were held back; return how many."""
        cabinet = self.cabinets[cabinet_id]
        held, cabinet.held, cabinet.holding = cabinet.held, [], False
        for payload in held:
            self.network.enqueue(cabinet_id, payload)
        return len(held)

    # --- people -------------------------------------------------------------------------------

    def open_cells(self, cabinet_id: str) -> list[int]:
        """Return the numbers of the cells whose doors are open."""
        cells = self.cabinets[cabinet_id].hardware.cells
        return [number for number, cell in cells.items() if cell.door == "open"]

    def pry(self, cell_id: CellId) -> None:
        """Force a door."""
        self._opened(cell_id, None)
        self.forced.add(cell_id)
        self.act(cell_id.cabinet_id, lambda hardware: hardware.pry_open(cell_id.number))

    def loosened_cells(self) -> list[CellId]:
        """Return the closed cells whose lock a command has loosened without opening the door."""
        return [
            CellId(cabinet_id, number)
            for cabinet_id, cabinet in self.cabinets.items()
            for number, cell in cabinet.hardware.cells.items()
            if cell.door == "closed" and cell.loosened_by is not None
        ]

    def pull(self, cell_id: CellId) -> None:
        """Pull open a door that a command has failed to open."""
        cell = self.cabinets[cell_id.cabinet_id].hardware.cells[cell_id.number]
        command_id = cell.loosened_by or ""
        self._opened(cell_id, command_id)
        self.executed.setdefault(command_id, set()).add(cell_id.number)
        self.pulled.add((command_id, cell_id))
        self.act(cell_id.cabinet_id, lambda hardware: hardware.pull_open(cell_id.number))

    def take(self, cell_id: CellId, contractor: str) -> Accumulator:
        """Move an accumulator from an open cell into a bag."""
        taken: list[Accumulator] = []
        sent = self._sent
        self.act(cell_id.cabinet_id, lambda hardware: taken.append(hardware.remove(cell_id.number)))
        self.bags[contractor].append(taken[0])
        self.taken.add((taken[0].accumulator_id, *cell_id))
        command_id = self.open_by.get(cell_id, Opening(None)).command_id
        if command_id is not None and (command_id, cell_id) in self.pulled:
            id_ = taken[0].accumulator_id
            self.taken_after_pull[id_] = TakenAfterPull(id_, command_id, cell_id, sent)
        was_forced = command_id is None
        was_just_inserted = self.put_at.get(taken[0].accumulator_id) == self.opened_at.get(
            cell_id, 0
        )
        if was_forced or was_just_inserted:
            self.carried_off.add(taken[0].accumulator_id)
        return taken[0]

    def put(self, cell_id: CellId, contractor: str, accumulator: Accumulator) -> None:
        """Move an accumulator from a bag into an open, empty cell."""
        self.bags[contractor].remove(accumulator)
        self.expected_places.pop(accumulator.accumulator_id, None)
        self.uncertain.discard(accumulator.accumulator_id)
        self.taken_after_pull.pop(accumulator.accumulator_id, None)
        self.put_at[accumulator.accumulator_id] = self.opened_at.get(cell_id, 0)
        self.act(cell_id.cabinet_id, lambda hardware: hardware.insert(cell_id.number, accumulator))

    def close(self, cell_id: CellId) -> None:
        """Close a door."""
        opening = self.open_by.pop(cell_id, None)
        if opening is not None and opening.command_id is not None:
            self.content_at_close[opening.command_id, cell_id] = self.content(cell_id)
        self.act(cell_id.cabinet_id, lambda hardware: hardware.close_door(cell_id.number))

    def places(self) -> dict[str, str]:
        """Return where each accumulator is: `C-1/3`, `T-1` or `S-1`; one place per id."""
        return {id_: places[-1] for id_, places in self.everywhere().items()}

    def everywhere(self) -> dict[str, list[str]]:
        """Return all places of each id; two if two accumulators share it."""
        found: dict[str, list[str]] = {}
        for cabinet_id, cabinet in self.cabinets.items():
            for number, cell in cabinet.hardware.cells.items():
                if cell.accumulator:
                    id_ = cell.accumulator.accumulator_id
                    found.setdefault(id_, []).append(str(CellId(cabinet_id, number)))
        for holders in (self.bags, self.scooters):
            for holder, accumulators in holders.items():
                for one in accumulators:
                    found.setdefault(one.accumulator_id, []).append(holder)
        return found

    def content(self, cell_id: CellId) -> str | None:
        """Return the id of the accumulator in a cell."""
        accumulator = self.cabinets[cell_id.cabinet_id].hardware.cells[cell_id.number].accumulator
        return accumulator.accumulator_id if accumulator else None

    def _opened(self, cell_id: CellId, command_id: str | None) -> None:
        self.open_by[cell_id] = Opening(command_id)
        self.opened_at[cell_id] = self.opened_at.get(cell_id, 0) + 1
